"""The volumes of calls as tables: their columns, and what may be in them."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baseline.model.call_counts import Symbols
from baseline.model.call_volumes import LEVELS, PairCounts
from baseline.parquet import as_array, described

SCHEMAS: Mapping[str, pa.Schema] = {
    "volumes": pa.schema(
        [
            described("symbol", pa.uint16(), "a call, as in baseline/syscalls.py, with kind"),
            described("count", pa.int64(), "how often it was made"),
            described("usual_bits", pa.float64(), "bits that count for nothing"),
            described("first_seen", pa.int64(), "start of the first window with it, ns"),
            described("last_seen", pa.int64(), "end of the last window with it, ns"),
        ]
    ),
    "volume_pairs": pa.schema(
        [
            described("symbol", pa.uint16(), "a call"),
            described("level", pa.uint8(), "bin of its count in a window"),
            described("other_symbol", pa.uint16(), "a call, not below the first"),
            described("other_level", pa.uint8(), "bin of its count in the same window"),
            described("windows", pa.float64(), "windows that showed both"),
        ]
    ),
    "volume_windows": pa.schema(
        [
            described("windows", pa.int64(), "windows of training"),
            described("length", pa.int64(), "of a window in ns; 0: of no single length"),
        ]
    ),
}

_MAX_STATES = 1 << 12

Columns = Sequence[npt.NDArray[np.generic]]

NO_PAIRS: Columns = [np.empty(0, np.int64)] * 5
"""Columns of the table of pairs where there are none."""


def pair_columns(pairs: PairCounts, symbols: Symbols) -> Columns:
    """Columns of the table of pairs."""
    rows, others = np.nonzero(np.triu(pairs.windows))
    symbol, level = symbols[pairs.call], pairs.level.astype(np.uint8)
    windows = pairs.windows[rows, others]
    return [symbol[rows], level[rows], symbol[others], level[others], windows]


def read_pairs(table: pa.Table, symbols: Symbols) -> PairCounts:
    """The pairs that such a table holds.

    Args:
        table: of pairs.
        symbols: the calls that there are, ascending.

    Raises:
        ValueError: it contradicts itself.
    """
    one, level, other, other_level, windows = (as_array(c) for c in table.columns)
    if not (np.isin(one, symbols).all() and np.isin(other, symbols).all()):
        raise ValueError("a pair is of a call that was never made")
    if max(level.max(initial=0), other_level.max(initial=0)) >= LEVELS or not (windows > 0).all():
        raise ValueError("a pair of calls has no such level, or was never seen")
    keys = np.searchsorted(symbols, one).astype(np.int64) * LEVELS + level
    other_keys = np.searchsorted(symbols, other).astype(np.int64) * LEVELS + other_level
    states = np.unique(keys[keys == other_keys])
    if len(states) > _MAX_STATES or not np.isin(np.concatenate([keys, other_keys]), states).all():
        raise ValueError("too many levels of calls, or a pair of one that was never seen")
    square = np.zeros((len(states), len(states)))
    rows, columns = np.searchsorted(states, keys), np.searchsorted(states, other_keys)
    square[rows, columns] = windows
    square[columns, rows] = windows
    pairs = PairCounts(len(symbols), states // LEVELS, states % LEVELS, square)
    shown = np.diag(square)
    if not len(symbols) or len(keys) != np.count_nonzero(np.triu(square)):
        raise ValueError("a pair of calls stands twice, or there are none")
    starts = np.flatnonzero(np.diff(pairs.call, prepend=-1))
    shown_by = np.add.reduceat(np.add.reduceat(square, starts, axis=0), starts, axis=1)
    if len(starts) < len(symbols) or np.ptp(shown_by) > 1e-6 * shown_by.max():
        raise ValueError("the levels of calls are not those of the same windows")
    if (square > np.minimum(shown[:, None], shown[None, :])).any():
        raise ValueError("two levels were seen together more often than alone")
    return pairs
