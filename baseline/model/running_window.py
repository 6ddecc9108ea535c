"""What was seen for the first time since the last window, judged before the window is complete.

Surprises add, so the first sights of a running window are judged together, each at the cost of
itself: their bits are added to a sum by signal, and the sums are what the window's own are to the
calibration.  What is sighted of a window is a part of it, once each, and without its volumes of
calls; so at no time do first sights show more evidence than their complete window, and a threshold
that keeps the budget for windows keeps it for them.

What a running window does not know is how much it will count in the end.  What is new weighs the
less the more that is (:mod:`baseline.model.combination`): it is taken to count as much as the
window before it, and no less than windows of training did on average.  And windows are compared
with others of their load (:mod:`baseline.model.load_calibration`): it is judged as if it had the
one at which so much is least rare.  What is rare at its own load alone is told when it is complete.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property

from baseline.model.score import NOVELTIES, Item, Score, Signal, signal_of
from baseline.model.signal_model import Surprise
from baseline.model.workload_model import WorkloadModel, counted
from baseline.window import Window

MOST_SIGHTED = 1024
"""Items of each signal that are judged before their window is complete; the others wait for it."""


class RunningWindow:
    """The first sights of one replica since its last window.

    Args:
        model: of its workload.
        last: its last window; ``None`` where there was none.

    Attributes:
        since: end of the last window, in nanoseconds since the epoch; 0 where there was none.
        start: when the first of them was sighted.
    """

    def __init__(self, model: WorkloadModel, last: Window | None) -> None:
        self.since = last.end if last else 0
        self.start: int | None = None
        self._model = model
        self._last = last
        self._surprises: dict[Signal, dict[Item, Surprise]] = {s: {} for s in NOVELTIES}
        self._by_signal = dict.fromkeys(NOVELTIES, 0.0)

    # Next to all windows bring nothing new, and need neither of these.
    @cached_property
    def _counted(self) -> Mapping[Signal, int]:
        usual = self._model.usual_counts
        if self._last is None:
            return usual
        return {signal: max(n, usual[signal]) for signal, n in counted(self._last).items()}

    @cached_property
    def _shares(self) -> Mapping[Signal, float]:
        return self._model.shares(self._counted)

    def __contains__(self, item: Item) -> bool:
        return item in self._surprises[signal_of(item)]

    @property
    def items(self) -> list[Item]:
        """What was sighted."""
        return [item for signal in NOVELTIES for item in self._surprises[signal]]

    def add(self, items: Iterable[Item], time: int) -> bool:
        """Take what one more first sight shows that the model does not know.

        Returns:
            Whether there was room for it.
        """
        for item in items:
            signal = signal_of(item)
            surprises = self._surprises[signal]
            if len(surprises) >= MOST_SIGHTED:
                return False
            bits = self._model.signals[signal].bits(item)
            surprises[item] = Surprise(item, 1, bits)
            self._by_signal[signal] += bits * self._shares[signal]
            self.start = self.start or time
        return True

    def clear(self) -> None:
        """Begin again: what was sighted so far has been told."""
        self.start = None
        for signal in NOVELTIES:
            self._surprises[signal].clear()
            self._by_signal[signal] = 0.0

    @property
    def is_anomaly(self) -> bool:
        """Whether it is worth an alert already; the cost does not depend on how much there is."""
        return self._model.is_anomaly(self._by_signal)

    def score(self) -> Score:
        """The judgement, with its evidence where it is anomalous."""
        surprises = {
            signal: [s for s in found.values() if s.bits > 0]
            for signal, found in self._surprises.items()
        }
        return self._model.judge(surprises, self._counted)
