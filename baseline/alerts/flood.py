"""Floods: so much that is new at once that it cannot be told, or not even counted, one by one.

A service that merely starts is no flood: all that it does is new to the kernel, and known to the
model.
"""

from typing import NamedTuple

import numpy as np

from baseline.model.score import Item
from baseline.model.workload_model import WorkloadModel
from baseline.syscalls import KIND_FOLDED, KIND_SHIFT
from baseline.window import Window, is_folded

FLOOD = 1000
"""Distinct items new to the model, in a window or a second, that are a flood."""

HELD_BACK_FLOOD = 100
"""The same where the kernel held back first sights, because there were too many at once."""

_SECOND = 10**9

_FOLDED_NGRAMS = np.array([KIND_FOLDED, KIND_FOLDED + 1], np.uint64) << np.uint64(KIND_SHIFT)
"""The first of them, and the first that is above them."""


class Flood(NamedTuple):
    """How much was new at once.

    Attributes:
        seconds: in which it came.
        new: distinct items that learning never saw.
        folded: events that the kernel counted without what makes them distinct, because the
            workload had used up its share of the tables; without those that learning saw folded.
        held_back: first sights that did not come, or not before their window.
    """

    seconds: float
    new: int
    folded: int
    held_back: int

    def __str__(self) -> str:
        numbers = (
            (self.new, "new item", ""),
            (self.folded, "event", " folded"),
            (self.held_back, "first sight", " held back"),
        )
        listed = ", ".join(
            f"{number:,} {noun}{'s' * (number != 1)}{what}"
            for number, noun, what in numbers
            if number
        )
        return f"flood: {listed} in {self.seconds:.3g} s"


def flood_in(window: Window, new: int, folded: int) -> Flood | None:
    """The flood that a window holds, if any.

    Args:
        window: what the workload did.
        new: distinct items in it that are new to the model, where that is anomalous.
        folded: what :func:`folded_in` says.
    """
    events = window.ledger.events
    held_back = events.overflowed + events.lost
    if not folded and new < (HELD_BACK_FLOOD if held_back else FLOOD):
        return None
    return Flood((window.end - window.start) / 1e9, new, folded, held_back)


def folded_in(window: Window, model: WorkloadModel) -> int:
    """Events of a window that were folded, other than those that learning saw folded, too.

    Peers count where the model finds one more that it never saw anomalous: a server with ever-new
    clients uses up its share in normal time.
    """
    ngrams, counts = window.ngrams.ngrams, window.ngrams.counts
    # They ascend, and the kind is on top.
    folded = slice(*ngrams.searchsorted(_FOLDED_NGRAMS))
    items: dict[Item, int] = {
        **dict(zip(ngrams[folded].tolist(), counts[folded].tolist(), strict=True)),
        **{item: count for item, count in window.executions.items() if is_folded(item)},
        **{
            item: count
            for item, count in window.connections.items()
            if is_folded(item) and model.score_item(item).is_anomaly
        },
    }
    return sum(count for item, count in items.items() if not model.knows(item))


class NewThisSecond:
    """Distinct new items of a workload in the running second, up to as many as are a flood."""

    def __init__(self) -> None:
        self._since = 0
        self._items: set[Item] = set()

    def add(self, item: Item, time: int) -> Flood | None:
        """Take one more first sight of something that the model does not know.

        Returns:
            The flood that there is, if any.
        """
        if not 0 <= time - self._since < _SECOND:
            self._since = time
            self._items = set()
        if len(self._items) < FLOOD:
            self._items.add(item)
        if len(self._items) < FLOOD:
            return None
        return Flood((time - self._since) / 1e9, len(self._items), 0, 0)
