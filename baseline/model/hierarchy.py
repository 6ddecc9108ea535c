"""Novelty of items that stand in a hierarchy of contexts: calls, executions and connections.

The estimate is that of :mod:`baseline.model.novelty`.  Items are few beside n-grams, so plain
dictionaries do; :mod:`baseline.model.ngrams` does the same with arrays.
"""

import json
import math
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

import numpy as np
import pyarrow as pa

from baseline.model.novelty import Floats, escape_bits
from baseline.model.score import Call, Seen, Signal
from baseline.model.signal_model import Surprise
from baseline.model.thinning import MOST_WINDOWS, fewer_appearances, fewer_windows
from baseline.parquet import described
from baseline.window import Connection, Execution, Window

Context = tuple[Hashable, ...]
"""A context; the empty one is seen in every window."""

Part = Hashable
"""What is new or known in a context: the program after its parent, the port of a protocol."""

Levels = Callable[[Any], Sequence[tuple[Context, Part]]]
"""Contexts of an item, each with the item's part in it."""

MAX_ITEMS = 1 << 22
"""Distinct items that a model on disk may hold: as many Python objects have to fit in memory."""

_BATCH_ROWS = 1 << 14
_MAX_TEXT = 1 << 19
"""Characters of an item as JSON: eight paths and scripts of PATH_MAX, every byte escaped, fit."""


def count_incidence(
    windows: Iterable[Collection[Hashable]], blocks: Sequence[int], levels: Levels
) -> dict[Context, dict[Part | None, list[int]]]:
    """In how many windows each part was seen in each context, and each context at all.

    Args:
        windows: the items of each window.
        blocks: number of each window's block of time, from 0.
        levels: where an item stands.

    Returns:
        Context -> part -> windows in each block; under the part ``None`` the windows that show the
        context.
    """
    number = max(blocks, default=-1) + 1
    incidence: dict[Context, dict[Part | None, list[int]]] = defaultdict(
        lambda: defaultdict(lambda: [0] * number)
    )
    for items, block in zip(windows, blocks, strict=True):
        pairs = {level for item in items for level in levels(item)}
        contexts = {context for context, _ in pairs} | {()}
        for context in contexts:
            incidence[context][None][block] += 1
        for context, part in pairs:
            incidence[context][part][block] += 1
    return {context: dict(parts) for context, parts in incidence.items()}


class Hierarchy:
    """What was seen where, and what something new costs there.

    Args:
        incidence: context -> part -> number of windows; under ``None`` those with the context.
    """

    def __init__(self, incidence: Mapping[Context, Mapping[Part | None, int]]) -> None:
        self.incidence = incidence
        windows = [parts[None] for parts in incidence.values()]
        singletons = [
            sum(1 for part, seen in parts.items() if seen == 1 and part is not None)
            for parts in incidence.values()
        ]
        bits = escape_bits(np.array(windows, np.int64), np.array(singletons, np.int64))
        self._escape_bits: dict[Context, float] = dict(zip(incidence, bits.tolist(), strict=True))

    @classmethod
    def of_blocks(
        cls,
        incidence: Mapping[Context, Mapping[Part | None, Sequence[int]]],
        without: int | None = None,
    ) -> "Hierarchy":
        """From counts by block; ``without`` leaves one block out."""
        kept = {
            context: {
                part: seen
                for part, by_block in parts.items()
                if (seen := sum(by_block) - (0 if without is None else by_block[without]))
            }
            for context, parts in incidence.items()
        }
        return cls({context: parts for context, parts in kept.items() if parts})

    def bits(self, levels: Sequence[tuple[Context, Part]]) -> float:
        """Surprise of an item: of its escapes from the contexts that knew only something else."""
        return math.fsum(
            self._escape_bits[context]
            for context, part in levels
            if context in self.incidence and part not in self.incidence[context]
        )

    @property
    def wholly_new_bits(self) -> float:
        """Surprise of what is new in the context of everything."""
        return self._escape_bits.get((), 0.0)


def held_out_bits(
    windows: Sequence[Collection[Hashable]],
    blocks: Sequence[int],
    levels: Levels,
    incidence: Mapping[Context, Mapping[Part | None, Sequence[int]]],
) -> Floats:
    """Surprise of each window to what the windows of all other blocks teach, shape (windows,)."""
    bits = np.zeros(len(windows))
    for block in sorted(set(blocks)):
        others = Hierarchy.of_blocks(incidence, without=block)
        known: dict[Hashable, float] = {}  # windows show the same over and over
        for index in np.flatnonzero(np.asarray(blocks) == block).tolist():
            items = windows[index]
            for item in items:
                if item not in known:
                    known[item] = others.bits(levels(item))
            # fsum, because histograms are equal whatever their order.
            bits[index] = math.fsum(map(known.__getitem__, items))
    return bits


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
        incidence: defaultdict[Context, Counter[Part | None]] = defaultdict(Counter)
        occurrences: dict[Kind, Occurrences] = {}
        for model in models:
            for context, parts in model._hierarchy.incidence.items():
                incidence[context].update(parts)
            for item, seen in model.occurrences.items():
                known = occurrences.get(item)
                occurrences[item] = known.plus(seen) if known else seen
        return cls(Hierarchy(dict(incidence)), occurrences, models[0].architecture)

    def discounted(self, factor: float, most: int = MOST_WINDOWS) -> Self:
        """The same, learned from fewer windows, of any context at most so many."""
        incidence = {
            context: _fewer(parts, factor, most)
            for context, parts in self._hierarchy.incidence.items()
        }
        occurrences: dict[Kind, Occurrences] = {}
        for item, seen in self.occurrences.items():
            windows = int(fewer_windows(np.array(seen.windows), factor, most))
            times = max(math.ceil(seen.times * factor), windows)
            occurrences[item] = seen._replace(windows=windows, times=times)
        return type(self)(Hierarchy(incidence), occurrences, self.architecture)

    def capped(self, most: int) -> Self:
        """The same with nothing seen in more windows than this."""
        incidence = {
            context: {part: min(seen, most) for part, seen in parts.items()}
            for context, parts in self._hierarchy.incidence.items()
        }
        occurrences = {
            item: seen._replace(windows=min(seen.windows, most))
            for item, seen in self.occurrences.items()
        }
        return type(self)(Hierarchy(incidence), occurrences, self.architecture)

    def _item_rows(self) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        for item in sorted(self.occurrences):
            windows, times, first, last = self.occurrences[item]
            rows.append((_encode(item), windows, times, first, last))
        return rows

    def tables(self) -> dict[str, pa.Table]:
        """The model as tables of ``schemas``."""
        incidence = sorted(
            (_encode(context), _encode(part), windows)
            for context, parts in self._hierarchy.incidence.items()
            for part, windows in parts.items()
        )
        rows: dict[str, Sequence[tuple[Any, ...]]] = {
            self.signal: self._item_rows(),
            f"{self.signal}_contexts": incidence,
        }
        return {
            name: pa.table(
                [pa.array(column, field.type) for column, field in _columns(rows[name], schema)],
                schema=schema,
            )
            for name, schema in self.schemas.items()
        }

    @classmethod
    def from_tables(cls, tables: Mapping[str, pa.Table], architecture: str) -> Self:
        """The model of such tables.

        Raises:
            ValueError: they contradict themselves.
        """
        if len(tables[cls.signal]) > MAX_ITEMS:
            raise ValueError(f"more than {MAX_ITEMS:,} items")
        rows = [
            (cls.decode(_decode(text)), Occurrences(*numbers))
            for text, *numbers in _rows(tables[cls.signal])
        ]
        items = dict(rows)
        if len(items) != len(rows):
            raise ValueError("an item stands twice")
        missing: set[tuple[Context, Part | None]] = {((), None)}
        for item in items:
            for context, part in cls.levels(item):
                missing |= {(context, part), (context, None)}
        incidence: dict[Context, dict[Part | None, int]] = {}
        for context, part, seen in _rows(tables[f"{cls.signal}_contexts"]):
            pair = (_decode(context), _decode(part))
            if pair not in missing:
                raise ValueError("a context is not of the items, or stands twice")
            missing.remove(pair)
            incidence.setdefault(pair[0], {})[pair[1]] = seen
        if missing:
            raise ValueError("an item has no context")
        total = incidence[()][None]
        for parts in incidence.values():
            if not all(1 <= seen <= parts[None] <= total for seen in parts.values()):
                raise ValueError("something was seen in more windows than its context")
        if not all(1 <= seen.windows <= min(seen.times, total) for seen in items.values()):
            raise ValueError("an item was seen in more windows than it occurred in")
        if any(seen.first > seen.last for seen in items.values()):
            raise ValueError("an item was last seen before it was first")
        return cls(Hierarchy(incidence), items, architecture)


def _fewer(parts: Mapping[Part | None, int], factor: float, most: int) -> dict[Part | None, int]:
    """What fewer windows would have shown in a context; under ``None`` the windows themselves."""
    ordered = sorted((part for part in parts if part is not None), key=_encode)
    windows = np.array([parts[None]])
    appearances = np.array([parts[part] for part in ordered], np.int64)
    fewer = fewer_appearances(
        appearances, np.broadcast_to(windows, appearances.shape), factor, most
    )
    return {
        None: int(fewer_windows(windows, factor, most)[0]),
        **dict(zip(ordered, fewer.tolist(), strict=True)),
    }


def hierarchy_schemas(signal: Signal, item: str) -> dict[str, pa.Schema]:
    """Columns of the tables of one signal; ``item`` says how its items are written."""
    return {
        signal.value: pa.schema(
            [
                described("item", pa.string(), f"{item}, as JSON"),
                described("windows", pa.int64(), "windows in which it occurred"),
                described("count", pa.int64(), "how often it occurred"),
                described("first_seen", pa.int64(), "start of the first window with it, ns"),
                described("last_seen", pa.int64(), "end of the last window with it, ns"),
            ]
        ),
        f"{signal}_contexts": pa.schema(
            [
                described("context", pa.string(), "a context of items, as JSON"),
                described(
                    "part", pa.string(), "what was seen in it, as JSON; null: the context itself"
                ),
                described("windows", pa.int64(), "windows that showed it there"),
            ]
        ),
    }


def _most_common(names: Counter[str]) -> str:
    """The two most common names, each with its share."""
    total = sum(names.values())
    top = sorted(names.items(), key=lambda named: (-named[1], named[0]))[:2]
    return ", ".join(f"{name} ({count / total:.0%})" for name, count in top)


def _encode(key: Hashable) -> str:
    return json.dumps(key, separators=(",", ":"))


def _decode(text: str) -> Any:
    if len(text) > _MAX_TEXT:
        raise ValueError("a text is too long")
    value = json.loads(text)
    json.dumps(value, ensure_ascii=False).encode()  # raises ValueError for what is not Unicode
    return _as_tuples(value)


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def _rows(table: pa.Table) -> Iterable[tuple[Any, ...]]:
    for batch in table.to_batches(_BATCH_ROWS):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _columns(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> Iterable[tuple[Any, pa.Field]]:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return zip(columns, schema, strict=True)
