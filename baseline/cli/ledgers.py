"""What was lost on the way, said once when it begins and once at the end."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from baseline.window import Histogram, Ledger, Tally, Window


class LossReport:
    """Adds up the ledgers of all windows and says what is not right about them.

    Args:
        say: told at once when a workload's counts begin to be lost.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._total = Ledger()
        self._complete = np.zeros((4, 4), np.int64)
        self._told: set[str] = set()

    def add(self, window: Window) -> None:
        """Take a window's ledger into account."""
        self._total += window.ledger
        if window.workload in self._told:
            return
        if complaint := complaint_about(window.ledger):
            self._told.add(window.workload)
            self._say(f"Warning: {window.workload}: {complaint}.")

    def add_complete(self, tallies: npt.NDArray[np.int64]) -> None:
        """Take ledgers into account that are all right, as numbers: one or the sum of many."""
        self._complete += tallies

    def summary(self) -> str:
        """The end of a sentence about everything that was seen."""
        complete = Ledger(*map(Tally._make, self._complete.tolist()))
        return complaint_about(self._total + complete) or "nothing lost"


def complaint_about(ledger: Ledger) -> str:
    """What is not right about a ledger; empty where everything arrived and adds up."""
    if ledger.is_complete:
        return ""
    complaints = []
    for histogram in Histogram:
        tally = getattr(ledger, histogram.value)
        if tally.lost:
            complaints.append(f"{tally.lost:,} of {tally.counted:,} {histogram.value} lost")
        if tally.missing:
            complaints.append(f"{tally.missing:,} {histogram.value} unaccounted for")
    if ledger.events.lost:
        complaints.append(f"{ledger.events.lost:,} first-sight events dropped")
    return ", ".join(complaints)
