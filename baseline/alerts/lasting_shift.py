"""What the latest windows of one replica add up to: small shifts that last."""

import heapq
import math
from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace

from baseline.model.score import Evidence, Item
from baseline.model.shift import step
from baseline.model.workload_model import WorkloadModel
from baseline.window import Window

KEPT = 16
"""Windows kept to explain a shift: the most surprising ones."""


class LastingShift:
    """The sequential test of :mod:`baseline.model.shift`, with what it takes to explain an alarm.

    Attributes:
        bits: the shift so far.
        start: when the first window of it began, in nanoseconds since the epoch.
    """

    def __init__(self) -> None:
        self.bits = 0.0
        self.start = 0
        self._windows: list[tuple[float, int, Window, Collection[Item]]] = []
        self._number = 0

    def add(self, window: Window, bits: float, told: Collection[Item]) -> None:
        """Take one more window.

        Args:
            window: what the workload did.
            bits: how rare it is, ``-log2 p``.
            told: items in it that were left out, because an alert had told of them.
        """
        if self.bits == 0:
            self.reset()
            self.start = window.start
        self.bits = step(self.bits, bits)
        if self.bits == 0:
            self.reset()
        elif bits > 0:
            self._number += 1  # so that windows themselves are never compared
            heapq.heappush(self._windows, (bits, self._number, window, told))
            if len(self._windows) > KEPT:
                heapq.heappop(self._windows)

    def reset(self) -> None:
        """Begin again."""
        self.bits = 0.0
        self._windows = []

    def evidence(self, model: WorkloadModel) -> tuple[Evidence, ...]:
        """What the most surprising windows have in common, heaviest first.

        Bits are those of all of them together; count and normal behaviour are those of the window
        that showed the item at its most surprising.
        """
        bits: defaultdict[Item, float] = defaultdict(float)
        shown: dict[Item, Evidence] = {}
        for _, _, window, told in sorted(self._windows, key=lambda kept: kept[1]):
            for evidence in model.explain(window):
                if evidence.item not in told:
                    bits[evidence.item] += evidence.bits
                    known = shown.get(evidence.item, evidence)
                    shown[evidence.item] = max(evidence, known, key=lambda e: e.bits)
        merged = (replace(e, bits=bits[item], without=math.nan) for item, e in shown.items())
        return tuple(sorted(merged, key=lambda e: -e.bits))
