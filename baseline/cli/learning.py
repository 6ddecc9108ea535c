"""What was seen so far while learning, and how complete that is."""

from collections import defaultdict
from collections.abc import Sequence
from operator import is_

from baseline.model.completeness import State, WorkloadCompleteness, percent
from baseline.model.completeness_accumulator import CompletenessAccumulator
from baseline.model.time_blocks import in_order
from baseline.window import Window

HOUR = 3600.0

_GROWTH = 1.02
"""Completeness is estimated anew each time the windows of a workload have grown by this factor."""


class Learning:
    """Keeps the windows of each workload, and now and then estimates how complete they are.

    Attributes:
        windows: by workload.
        completeness: by workload, at its last estimate.
        status: that of the least complete workload in half a line, such as ``partial, up to 16%
            unseen, 1,200 new items/h``.
    """

    def __init__(self) -> None:
        self.windows: defaultdict[str, list[Window]] = defaultdict(list)
        self.completeness: dict[str, WorkloadCompleteness] = {}
        self.status = ""
        self._accumulators: defaultdict[str, CompletenessAccumulator] = defaultdict(
            CompletenessAccumulator
        )
        self._due: defaultdict[str, float] = defaultdict(float)

    def add(self, window: Window) -> None:
        """Take one more window."""
        name = window.workload
        self.windows[name].append(window)
        self._accumulators[name].add(window)
        if len(self.windows[name]) >= self._due[name]:
            self._due[name] = len(self.windows[name]) * _GROWTH
            self._estimate(name)

    def finish(self) -> None:
        """Estimate once more, of all windows."""
        for name in self.windows:
            self._estimate(name)

    def completeness_of(self, windows: Sequence[Window]) -> WorkloadCompleteness | None:
        """The estimate of these windows, where it is the last one, and they came in order of time.

        Args:
            windows: of one workload that was added.
        """
        name = windows[0].workload
        came = self.windows[name]
        is_theirs = len(came) == len(windows) and all(map(is_, in_order(windows), came))
        return self.completeness[name] if is_theirs else None

    @property
    def complete(self) -> int:
        """How many workloads are complete."""
        return sum(its.state == State.COMPLETE for its in self.completeness.values())

    @property
    def is_stable(self) -> bool:
        """Whether there is a workload, and every one is complete."""
        return 0 < self.complete == len(self.completeness)

    def _estimate(self, name: str) -> None:
        self.completeness[name] = self._accumulators[name].estimate()
        worst = max(self.completeness.values(), key=lambda its: its.unseen_mass_bound)
        expected = sum(its.new_items(HOUR).expected for its in worst.signals.values())
        number = len(self.completeness)
        self.status = (
            worst.state.value if number == 1 else f"{self.complete} of {number} complete"
        ) + f", up to {percent(worst.unseen_mass_bound)} unseen, {estimated(expected)} new items/h"


def estimated(number: float) -> str:
    """A number with the two digits of it that mean something: ``0.3``, ``12``, ``1,200``."""
    return f"{float(f'{number:.2g}'):,.0f}" if number >= 10 else f"{round(number, 1):g}"
