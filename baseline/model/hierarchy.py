"""Novelty of items that stand in a hierarchy of contexts: calls, executions and connections.

The estimate is that of :mod:`baseline.model.novelty`.  Items are few beside n-grams, so plain
dictionaries do; :mod:`baseline.model.ngrams` does the same with arrays.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from baseline.model.item_text import encode
from baseline.model.novelty import Floats, escape_bits
from baseline.model.thinning import fewer_appearances, fewer_windows

Context = tuple[Hashable, ...]
"""A context; the empty one is seen in every window."""

Part = Hashable
"""What is new or known in a context: the program after its parent, the port of a protocol."""

Levels = Callable[[Any], Sequence[tuple[Context, Part]]]
"""Contexts of an item, each with the item's part in it."""


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

    @classmethod
    def merged(cls, hierarchies: Iterable["Hierarchy"]) -> "Hierarchy":
        """Of the windows of all of them; they share none."""
        incidence: defaultdict[Context, Counter[Part | None]] = defaultdict(Counter)
        for hierarchy in hierarchies:
            for context, parts in hierarchy.incidence.items():
                incidence[context].update(parts)
        return cls(dict(incidence))

    def discounted(self, factor: float, most: int) -> "Hierarchy":
        """The same, seen in fewer windows, of any context in at most so many."""
        return Hierarchy(
            {context: _fewer(parts, factor, most) for context, parts in self.incidence.items()}
        )

    def capped(self, most: int) -> "Hierarchy":
        """The same with nothing seen in more windows than this."""
        return Hierarchy(
            {
                context: {part: min(seen, most) for part, seen in parts.items()}
                for context, parts in self.incidence.items()
            }
        )


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


def _fewer(parts: Mapping[Part | None, int], factor: float, most: int) -> dict[Part | None, int]:
    """What fewer windows would have shown in a context; under ``None`` the windows themselves."""
    ordered = sorted((part for part in parts if part is not None), key=encode)
    windows = np.array([parts[None]])
    appearances = np.array([parts[part] for part in ordered], np.int64)
    fewer = fewer_appearances(
        appearances, np.broadcast_to(windows, appearances.shape), factor, most
    )
    return {
        None: int(fewer_windows(windows, factor, most)[0]),
        **dict(zip(ordered, fewer.tolist(), strict=True)),
    }
