"""How many of each call there are in windows, and in which of them that can be judged."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from baseline.model.novelty import Integers
from baseline.syscalls import KIND_SHIFT, SYMBOL_BITS, symbols_of
from baseline.window import NgramCounts, Window

Symbols = npt.NDArray[np.uint16]

SAME_LENGTH = 2
"""Windows are of one length if they differ by no more than this factor ..."""

_SAME_LENGTH_SHARE = 0.9
"""... but for one in ten ..."""

_ODD_LENGTHS = 2
"""... or for two of a few: a recording may begin with what was caught up on after a kill, and end
with a part of a window."""

_SYMBOL_BITS_WITH_KIND = SYMBOL_BITS + 64 - KIND_SHIFT


def can_be_judged(window: Window, length: int) -> bool:
    """Whether a window's counts can be judged where windows have this length, or none if it is 0.

    They cannot where some were lost, or where it is much shorter or longer.
    """
    if window.ledger.ngrams.lost:
        return False
    return not length or length <= SAME_LENGTH * window.observed <= SAME_LENGTH**2 * length


def common_length(windows: Sequence[Window]) -> int:
    """The length of windows in nanoseconds, 0 where they are of no single length."""
    observed = np.array([window.observed for window in windows])
    length = int(np.median(observed))
    alike = (observed * SAME_LENGTH >= length) & (observed <= length * SAME_LENGTH)
    odd = len(windows) - int(alike.sum())
    may_be_odd = max((1 - _SAME_LENGTH_SHARE) * len(windows), _ODD_LENGTHS)
    return length if odd <= may_be_odd and 2 * odd < len(windows) else 0


def count_in(windows: Sequence[Window], symbols: Symbols) -> Integers:
    """How often each known call was made in each window, shape (windows, calls)."""
    column = np.full(1 << _SYMBOL_BITS_WITH_KIND, len(symbols), np.int16)
    column[symbols] = np.arange(len(symbols))
    made = symbols_of(np.concatenate([w.ngrams.ngrams for w in windows]))
    counts = np.concatenate([w.ngrams.counts for w in windows])
    # One column more takes what is not known.
    shape = (len(windows), len(symbols) + 1)
    first_cell = np.arange(shape[0]) * shape[1]
    cells = np.repeat(first_cell, [len(w.ngrams) for w in windows]) + column[made]
    sums = np.bincount(cells, counts, shape[0] * shape[1]).astype(np.int64)
    return sums.reshape(shape)[:, :-1]


def count_all(windows: Sequence[Window], symbols: Symbols) -> Integers:
    """How often each call was made in all windows together, shape (calls,)."""
    everything = NgramCounts.collect(
        np.concatenate([w.ngrams.ngrams for w in windows]),
        np.concatenate([w.ngrams.counts for w in windows]),
    )
    where = np.searchsorted(symbols, symbols_of(everything.ngrams))
    return np.bincount(where, everything.counts, len(symbols)).astype(np.int64)
