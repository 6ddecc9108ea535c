"""What was seen in contexts of each length, by block of time: the others judge each block."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from baseline.model.contexts import Ngrams, Order, contexts_of, suffixes
from baseline.model.novelty import Floats, Integers
from baseline.syscalls import NGRAM_LENGTH, calls_of

_DENSE = 16


@dataclass(frozen=True)
class Incidence:
    """One order by block of time: like :class:`Order`, with a column for each block.

    Attributes:
        shown: each suffix with each window that shows it, as in :func:`_shown`.
    """

    length: int
    contexts: Ngrams
    context_windows: Integers
    suffixes: Ngrams
    suffix_windows: Integers
    shown: Integers

    @classmethod
    def count(cls, longer: Ngrams, shown: Integers, blocks: Integers, length: int) -> "Incidence":
        """Count the suffixes of what is longer.

        Args:
            longer: distinct n-grams, or suffixes of one symbol more.
            shown: each of them with each window that shows it, as in :func:`_shown`.
            blocks: number of each window's block.
            length: of the contexts.
        """
        kept, suffix_of_longer = np.unique(suffixes(longer, length + 1), return_inverse=True)
        contexts, context_of_suffix = np.unique(contexts_of(kept, length), return_inverse=True)
        if not np.array_equal(kept, longer):  # whole n-grams are their own suffixes
            shown = _shown(suffix_of_longer, len(kept), shown, len(blocks))
        if length == 0:  # every window shows the context of everything, an idle one too
            contexts, context_windows = np.zeros(1, np.uint64), np.bincount(blocks)[None, :]
        else:
            with_context = _shown(context_of_suffix, len(contexts), shown, len(blocks))
            context_windows = _windows_by_block(with_context, len(contexts), blocks)
        return cls(
            length,
            contexts,
            context_windows,
            kept,
            _windows_by_block(shown, len(kept), blocks),
            shown,
        )

    def order(self, without: int | None = None) -> Order:
        """All blocks together; ``without`` leaves one out."""
        context_windows = self.context_windows.sum(axis=1)
        suffix_windows = self.suffix_windows.sum(axis=1)
        if without is not None:
            context_windows = context_windows - self.context_windows[:, without]
            suffix_windows = suffix_windows - self.suffix_windows[:, without]
        return Order(self.length, self.contexts, context_windows, self.suffixes, suffix_windows)


def count_incidence(ngrams: Ngrams, shown: Integers, blocks: Integers) -> list[Incidence]:
    """That of n-grams and of all their suffixes, by length of the context, from 0.

    Args:
        ngrams: distinct n-grams, ascending.
        shown: each of them with each window that shows it, as in :func:`_shown`.
        blocks: number of each window's block.
    """
    incidence: list[Incidence] = []
    for length in reversed(range(NGRAM_LENGTH)):
        incidence.append(Incidence.count(ngrams, shown, blocks, length))
        ngrams, shown = incidence[-1].suffixes, incidence[-1].shown
    return incidence[::-1]


def _shown(shorter_of: npt.NDArray[np.intp], keys: int, shown: Integers, windows: int) -> Integers:
    """Each shorter key with each window that shows it, from the longer ones with theirs.

    Windows show fewer short keys than long ones, so that going from the longest to the shortest
    there is less to count each time.

    Args:
        shorter_of: for each longer key, the position of the shorter one.
        keys: how many shorter ones there are.
        shown: ``longer key * windows + window``, distinct.
        windows: how many windows there are.

    Returns:
        ``shorter key * windows + window``, distinct.
    """
    longer, window = np.divmod(shown, windows)
    return _distinct(shorter_of[longer] * windows + window, keys * windows)


def _windows_by_block(shown: Integers, keys: int, blocks: Integers) -> Integers:
    """In how many windows of each block each key stands, shape (keys, blocks)."""
    number = int(blocks.max(initial=-1)) + 1
    key, window = np.divmod(shown, len(blocks))
    cells = key * number + blocks[window]
    return np.bincount(cells, minlength=keys * number).reshape(keys, number)


def held_out_bits(ngrams: Ngrams, incidence: Sequence[Incidence]) -> Floats:
    """Surprise of each n-gram to all blocks but one, shape (blocks, n-grams).

    Args:
        ngrams: distinct n-grams.
        incidence: by length of the context, from 0.
    """
    newest = incidence[0]
    made, call = calls_of(newest.suffixes), calls_of(ngrams)
    bits = np.zeros((newest.suffix_windows.shape[1], len(ngrams)))
    places = []
    for order in incidence:
        suffix = suffixes(ngrams, order.length + 1)
        context = contexts_of(suffix, order.length)
        places.append((order.suffixes.searchsorted(suffix), order.contexts.searchsorted(context)))
    for block in range(len(bits)):
        elsewhere = made[newest.order(without=block).suffix_windows > 0]
        is_known = np.isin(call, elsewhere)
        for order, (suffix_at, context_at) in zip(incidence, places, strict=True):
            others = order.order(without=block)
            is_new = is_known & (others.suffix_windows[suffix_at] == 0)
            bits[block] += np.where(is_new, others.escapes()[context_at], 0.0)
    return bits


def _distinct(numbers: Integers, below: int) -> Integers:
    """Distinct numbers from 0 on, ascending."""
    if below <= _DENSE * len(numbers):  # a mark for each is ten times as fast as sorting them
        marked = np.zeros(below, np.bool_)
        marked[numbers] = True
        return np.flatnonzero(marked)
    ascending = np.sort(numbers)
    return ascending[np.diff(ascending, prepend=-1) > 0]
