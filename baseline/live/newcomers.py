"""What is new of late: items that learning never saw or, without a model, nobody before."""

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import TypeVar

from baseline.model.score import Item, Signal, items_of, signal_of
from baseline.model.workload_model import WorkloadModel
from baseline.window import Connection, Execution, Window

_Value = TypeVar("_Value")

MINUTE = 60 * 10**9
"""How long something stays new, in nanoseconds of the observations' clock."""

MOST_KNOWN = 1 << 16
"""Items remembered without a model: a workload with ever-new peers must not fill the memory."""

MOST_NEW = 4096
"""New items kept of one workload."""


class Newcomers:
    """The new items of one workload in the last minute.

    Args:
        model: what is known; without one, that is whatever was seen earlier in this session.
    """

    def __init__(self, model: WorkloadModel | None) -> None:
        self._model = model
        self._known: dict[Item, None] = {}  # without a model, those seen last come last
        self._new: dict[Item, int] = {}  # item -> when; the oldest first

    def add(self, window: Window) -> None:
        """Take one more window."""
        for item in items_of(window):
            if not self._is_known(item):
                self._new.pop(item, None)
                self._new[item] = window.end
        _forget_oldest(self._new, MOST_NEW)
        if self._model is None:  # otherwise it is bounded by what the model knows
            _forget_oldest(self._known, MOST_KNOWN)

    def _is_known(self, item: Item) -> bool:
        if self._model is None:
            is_known = item in self._known
            self._known.pop(item, None)
        else:
            # The model takes its time to look an n-gram up.
            is_known = item in self._known or self._model.knows(item)
        if is_known or self._model is None:
            self._known[item] = None
        return is_known

    def counts(self, now: int) -> Mapping[Signal, int]:
        """How many items of each signal were new in the minute before ``now``."""
        return Counter(map(signal_of, self._recent(now)))

    def named(self, now: int) -> tuple[Execution | Connection, ...]:
        """The programs and peers among them, the latest first."""
        recent = [i for i in self._recent(now) if isinstance(i, Execution | Connection)]
        return tuple(reversed(recent))

    def _recent(self, now: int) -> list[Item]:
        # Either way, as the clock may be set back.
        return [item for item, when in self._new.items() if abs(now - when) < MINUTE]


def _forget_oldest(memory: dict[Item, _Value], most: int) -> None:
    for item in list(islice(memory, max(len(memory) - most, 0))):
        del memory[item]
