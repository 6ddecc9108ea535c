"""Models of signals whose items stand in a hierarchy of contexts: what they share."""

import math
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

import numpy as np
import pyarrow as pa

from baseline.model.hierarchy import Context, Hierarchy, Part, count_incidence, held_out_bits
from baseline.model.hierarchy_tables import (
    MAX_ITEMS,
    Row,
    context_rows,
    read_contexts,
    rows_of,
    table_of,
)
from baseline.model.item_text import decode, encode
from baseline.model.novelty import Floats
from baseline.model.score import Call, Seen, Signal
from baseline.model.signal_model import Surprise
from baseline.model.thinning import MOST_WINDOWS, fewer_windows
from baseline.window import Connection, Execution, Window

Kind = TypeVar("Kind", Call, Execution, Connection)


class Occurrences(NamedTuple):
    """How often an item was seen in training, and when.

    Attributes:
        windows: in which it occurred.
        times: how often it occurred in them.
        first, last: start of the first window with it and end of the last, ns since the epoch.
    """

    windows: int
    times: int
    first: int
    last: int

    def plus(self, other: "Occurrences") -> "Occurrences":
        """Both together (``+`` of a tuple would append)."""
        return Occurrences(
            self.windows + other.windows,
            self.times + other.times,
            min(self.first, other.first),
            max(self.last, other.last),
        )


class HierarchyModel(ABC, Generic[Kind]):
    """The model of a signal whose items stand in a hierarchy; see :class:`SignalModel`.

    Args:
        hierarchy: what was seen where.
        items: what was seen, with how often.
        architecture: of the machine that was watched.
    """

    signal: ClassVar[Signal]
    schemas: ClassVar[Mapping[str, pa.Schema]]

    def __init__(
        self, hierarchy: Hierarchy, occurrences: Mapping[Kind, Occurrences], architecture: str
    ) -> None:
        self._hierarchy = hierarchy
        self.architecture = architecture
        self.occurrences: Mapping[Kind, Occurrences] = occurrences

    @staticmethod
    @abstractmethod
    def levels(item: Kind) -> Sequence[tuple[Context, Part]]:
        """Contexts of an item, from specific to general, with its part in each."""

    @classmethod
    @abstractmethod
    def histogram(cls, window: Window) -> Mapping[Kind, int]:
        """The items of a window with their counts."""

    @classmethod
    def histograms(cls, windows: Sequence[Window]) -> Sequence[Mapping[Kind, int]]:
        """The items of each window with their counts."""
        return [cls.histogram(window) for window in windows]

    @classmethod
    @abstractmethod
    def decode(cls, item: Any) -> Kind:
        """An item from nested tuples.

        Raises:
            ValueError, TypeError: they are no such item.
        """

    @abstractmethod
    def habits(self, item: Kind) -> Sequence[tuple[Hashable, str]]:
        """Of which habits an item is an example, each with what people call it there."""

    @cached_property
    def usual(self) -> Mapping[Hashable, str]:
        """Habit -> the most common of what was seen of it, with shares."""
        examples: defaultdict[Hashable, Counter[str]] = defaultdict(Counter)
        for item, seen in self.occurrences.items():
            for habit, name in self.habits(item):
                examples[habit][name] += seen.times
        return {habit: _most_common(names) for habit, names in examples.items()}

    @abstractmethod
    def describe(self, item: Kind) -> str:
        """The item as people write it."""

    @abstractmethod
    def nearest(self, item: Kind, window: Window | None) -> str:
        """The nearest normal behaviour, as people write it."""

    @classmethod
    def fit(
        cls, windows: Sequence[Window], blocks: Sequence[int], architecture: str
    ) -> tuple[Self, Floats]:
        """Learn; see :class:`SignalModel`."""
        histograms = cls.histograms(windows)
        incidence = count_incidence(histograms, blocks, cls.levels)
        seen: dict[Kind, list[int]] = {}
        for window, histogram in zip(windows, histograms, strict=True):
            end = max(window.start, window.end)  # the clock may be set back
            for item, count in histogram.items():
                known = seen.setdefault(item, [0, 0, window.start, end])
                known[0] += 1
                known[1] += count
                known[2] = min(known[2], window.start)
                known[3] = max(known[3], end)
        occurrences = {item: Occurrences(*known) for item, known in seen.items()}
        held_out = held_out_bits(histograms, blocks, cls.levels, incidence)
        return cls(Hierarchy.of_blocks(incidence), occurrences, architecture), held_out

    def surprises(self, window: Window) -> list[Surprise]:
        """The items of a window that carry bits."""
        scored = (
            Surprise(item, count, self.bits(item))
            for item, count in self.histogram(window).items()
            if item not in self.occurrences
        )
        return [surprise for surprise in scored if surprise.bits > 0]

    def bits(self, item: Kind) -> float:
        """Surprise of one item."""
        return self._hierarchy.bits(self.levels(item))

    def knows(self, item: Kind) -> bool:
        """Whether the item was seen in training."""
        return item in self.occurrences

    def seen(self, item: Kind) -> Seen | None:
        """When the item was seen in training."""
        known = self.occurrences.get(item)
        return known and Seen(known.first, known.last)

    @property
    def wholly_new_bits(self) -> float:
        """Surprise of what is new in the context of everything."""
        return self._hierarchy.wholly_new_bits

    @property
    def items(self) -> int:
        """Distinct items seen."""
        return len(self.occurrences)

    @property
    def windows(self) -> int:
        """Windows of training."""
        return self._hierarchy.incidence[()][None]

    @classmethod
    def merged(cls, models: Sequence[Self]) -> Self:
        """Of what all of them learned; they share no window."""
        occurrences: dict[Kind, Occurrences] = {}
        for model in models:
            for item, seen in model.occurrences.items():
                known = occurrences.get(item)
                occurrences[item] = known.plus(seen) if known else seen
        hierarchy = Hierarchy.merged(model._hierarchy for model in models)
        return cls(hierarchy, occurrences, models[0].architecture)

    def discounted(self, factor: float, most: int = MOST_WINDOWS) -> Self:
        """The same, learned from fewer windows, of any context at most so many."""
        occurrences: dict[Kind, Occurrences] = {}
        for item, seen in self.occurrences.items():
            windows = int(fewer_windows(np.array(seen.windows), factor, most))
            times = max(math.ceil(seen.times * factor), windows)
            occurrences[item] = seen._replace(windows=windows, times=times)
        hierarchy = self._hierarchy.discounted(factor, most)
        return type(self)(hierarchy, occurrences, self.architecture)

    def capped(self, most: int) -> Self:
        """The same with nothing seen in more windows than this."""
        occurrences = {
            item: seen._replace(windows=min(seen.windows, most))
            for item, seen in self.occurrences.items()
        }
        return type(self)(self._hierarchy.capped(most), occurrences, self.architecture)

    def tables(self) -> dict[str, pa.Table]:
        """The model as tables of ``schemas``."""
        items: list[Row] = []
        for item in sorted(self.occurrences):
            windows, times, first, last = self.occurrences[item]
            items.append((encode(item), windows, times, first, last))
        rows = {self.signal: items, f"{self.signal}_contexts": context_rows(self._hierarchy)}
        return {name: table_of(rows[name], schema) for name, schema in self.schemas.items()}

    @classmethod
    def from_tables(cls, tables: Mapping[str, pa.Table], architecture: str) -> Self:
        """The model of such tables.

        Raises:
            ValueError: they contradict themselves.
        """
        if len(tables[cls.signal]) > MAX_ITEMS:
            raise ValueError(f"more than {MAX_ITEMS:,} items")
        rows = [
            (cls.decode(decode(text)), Occurrences(*numbers))
            for text, *numbers in rows_of(tables[cls.signal])
        ]
        items = dict(rows)
        if len(items) != len(rows):
            raise ValueError("an item stands twice")
        expected: set[tuple[Context, Part | None]] = {((), None)}
        for item in items:
            for context, part in cls.levels(item):
                expected |= {(context, part), (context, None)}
        hierarchy = read_contexts(tables[f"{cls.signal}_contexts"], expected)
        total = hierarchy.incidence[()][None]
        if not all(1 <= seen.windows <= min(seen.times, total) for seen in items.values()):
            raise ValueError("an item was seen in more windows than it occurred in")
        if any(seen.first > seen.last for seen in items.values()):
            raise ValueError("an item was last seen before it was first")
        return cls(hierarchy, items, architecture)


def _most_common(names: Counter[str]) -> str:
    """The two most common names, each with its share."""
    total = sum(names.values())
    top = sorted(names.items(), key=lambda named: (-named[1], named[0]))[:2]
    return ", ".join(f"{name} ({count / total:.0%})" for name, count in top)
