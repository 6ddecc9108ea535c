"""Volumes: how many of each call there are in a window, whatever their order.

Where windows are slices of time of one length, counts are judged
(:mod:`baseline.model.call_volumes`), otherwise shares (:mod:`baseline.model.call_mix`).  Calls that
were never made are the business of :mod:`baseline.model.calls`.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baseline.model.call_counts import (
    SAME_LENGTH,
    Symbols,
    can_be_judged,
    common_length,
    count_all,
    count_in,
)
from baseline.model.call_mix import CallMix
from baseline.model.call_volumes import (
    CallVolumes,
    PairCounts,
    UsualLevels,
    level_range,
    levels,
    usual_bits,
)
from baseline.model.novelty import Floats, Integers, discount
from baseline.model.score import Seen, Signal, Volume
from baseline.model.signal_model import Surprise
from baseline.model.volume_tables import NO_PAIRS, SCHEMAS, Columns, pair_columns, read_pairs
from baseline.parquet import as_array
from baseline.syscalls import symbol_name, symbols_of
from baseline.window import Window

_CHUNK = 1 << 14


class VolumeModel:
    """Normal volume and mix of a workload's calls; see the module.

    Args:
        symbols: calls that were made, with their kind, ascending, shape (calls,).
        counts: how often each was made, shape (calls,).
        seen: when each was made first and last, in nanoseconds since the epoch, shape (calls, 2).
        usual: bits that count for nothing, by call, shape (calls,); zeros where shares are judged.
        pairs: joint levels of the calls; ``None`` where shares are judged.
        windows: of training.
        length: of one in nanoseconds; 0 where there is no such length.
        architecture: whose calls the symbols are.
    """

    signal: ClassVar = Signal.VOLUMES
    schemas: ClassVar[Mapping[str, pa.Schema]] = SCHEMAS

    def __init__(  # noqa: PLR0917 - the columns of its tables
        self,
        symbols: Symbols,
        counts: Integers,
        seen: Integers,
        usual: Floats,
        pairs: PairCounts | None,
        windows: int,
        length: int,
        architecture: str,
    ) -> None:
        self.symbols = symbols
        self.counts = counts
        self.pairs = pairs
        self.windows = windows
        self.length = length
        self._seen = seen
        self._usual = usual
        self._architecture = architecture
        self._judge: CallVolumes | CallMix = CallVolumes(pairs) if pairs else CallMix(counts)

    @classmethod
    def fit(
        cls, windows: Sequence[Window], blocks: Sequence[int], architecture: str
    ) -> tuple["VolumeModel", Floats]:
        """Learn; see :class:`baseline.model.signal_model.SignalModel`."""
        every = [symbols_of(window.ngrams.ngrams) for window in windows]
        symbols = np.unique(np.concatenate(every))
        seen = np.zeros((len(symbols), 2), np.int64)
        seen[:, 0] = np.iinfo(np.int64).max
        for window, made in zip(windows, every, strict=True):
            where = np.searchsorted(symbols, made)
            np.minimum.at(seen[:, 0], where, window.start)
            # The clock may be set back.
            np.maximum.at(seen[:, 1], where, max(window.start, window.end))
        length = common_length(windows)
        can_tell = np.array([can_be_judged(window, length) for window in windows])
        # Windows that cannot tell are of no block: they are not judged, and no volume is theirs.
        block_of_window = np.where(can_tell, blocks, -1)
        telling = set(block_of_window[can_tell].tolist())
        if len(symbols) and length and len(telling) > 1:
            binned = np.concatenate(
                [
                    levels(count_in(windows[start : start + _CHUNK], symbols))
                    for start in range(0, len(windows), _CHUNK)
                ]
            )
            pairs = PairCounts.count(binned[can_tell])
            bits = np.zeros(binned.shape)
            for block in telling:
                rows = block_of_window == block
                others = CallVolumes(pairs - PairCounts.count(binned[rows]))
                inside = [window for window, its in zip(windows, rows, strict=True) if its]
                bits[rows] = others.bits_of_counts(count_in(inside, symbols))
            usual = usual_bits(bits[can_tell])
            held_out = np.zeros(len(windows))
            for block in telling:
                rows = block_of_window == block
                # What is usual follows from the other blocks, too: of its own windows it knows.
                beyond = bits[rows] - usual_bits(bits[can_tell & ~rows])
                held_out[rows] = np.maximum(beyond, 0).sum(axis=1)
            counts = count_all(windows, symbols)
            model = cls(symbols, counts, seen, usual, pairs, len(windows), length, architecture)
            return model, held_out
        matrix = count_in(windows, symbols)
        counts = matrix.sum(axis=0)
        held_out = np.zeros(len(windows))
        for block in telling if len(telling) > 1 else ():
            rows = block_of_window == block
            rest = CallMix(counts - matrix[rows].sum(axis=0))
            held_out[rows] = rest.bits(matrix[rows]).sum(axis=1)
        nothing = np.zeros(len(symbols))
        model = cls(symbols, counts, seen, nothing, None, len(windows), 0, architecture)
        return model, np.maximum(held_out, 0)

    def surprises(self, window: Window) -> list[Surprise]:
        """Calls that there are too many of, or too few; none where the window cannot tell.

        It cannot where counts were lost, or where its length is not that of training.
        """
        if not len(self.symbols) or not can_be_judged(window, self.length):
            return []
        counts = self._count_in(window)
        if isinstance(self._judge, CallVolumes):
            bits = np.maximum(self._judge.bits_of_counts(counts)[0] - self._usual, 0)
        else:
            bits = self._judge.bits(counts)[0]
        return [
            Surprise(Volume(int(self.symbols[i])), int(counts[0, i]), float(bits[i]))
            for i in np.flatnonzero(bits)
        ]

    def columns_of(self, symbols: Symbols) -> npt.NDArray[np.intp]:
        """Positions of calls among those that were made in training; one more for all others."""
        where = np.searchsorted(self.symbols, symbols)
        if not len(self.symbols):
            return where
        known = self.symbols.take(where, mode="clip") == symbols
        return np.where(known, where, len(self.symbols))

    def is_usual(self, window: Window, counts: Integers) -> bool:
        """Whether :meth:`surprises` finds nothing in a window, in a part of its time.

        Args:
            window: what the workload did.
            counts: how often it made each call, shape (calls,).
        """
        if not len(self.symbols) or not can_be_judged(window, self.length):
            return True
        if isinstance(self._judge, CallMix):
            return not self._judge.bits(counts[None]).any()
        assert self.usual_levels  # noqa: S101 - for the type checker
        return self._judge.are_usual(counts, self.usual_levels)

    @cached_property
    def usual_levels(self) -> UsualLevels | None:
        """The levels of calls that :meth:`surprises` finds nothing in; ``None`` for shares."""
        if isinstance(self._judge, CallMix):
            return None
        return self._judge.usual_levels(self._usual)

    def bits(self, item: Volume) -> float:
        """A single call carries nothing: its volume does."""
        return 0.0

    def knows(self, item: Volume) -> bool:
        """Whether the call was made in training."""
        return self._position(item) is not None

    def seen(self, item: Volume) -> Seen | None:
        """When the call was made in training."""
        position = self._position(item)
        return None if position is None else Seen(*self._seen[position].tolist())

    def describe(self, item: Volume) -> str:
        """Its name."""
        return symbol_name(item.symbol, self._architecture)

    def nearest(self, item: Volume, window: Window | None) -> str:
        """How often it usually is made, beside the call that tells most about it."""
        position = self._position(item)
        if position is None or window is None:
            return ""
        if isinstance(self._judge, CallMix):
            return f"usually {self.counts[position] / self.counts.sum():.1%} of all calls"
        parent = int(self._judge.parents[position])
        binned = levels(self._count_in(window))[0]
        level = int(binned[parent]) if parent >= 0 else 0
        seen = self._judge.seen_with(position, level)
        beside = ""
        if parent >= 0:
            name = symbol_name(int(self.symbols[parent]), self._architecture)
            beside = f"with {_counts_text(level, level)} {name}: "
        if not seen.any():
            return f"{beside}not seen"
        return f"{beside}usually {_counts_text(*_middle(seen))}"

    @property
    def wholly_new_bits(self) -> float:
        """Zero: what is new is not judged here."""
        return 0.0

    @property
    def items(self) -> int:
        """Distinct calls seen."""
        return len(self.symbols)

    def tables(self) -> dict[str, pa.Table]:
        """The model as tables of ``schemas``."""
        first, last = self._seen.T
        columns: dict[str, Columns] = {
            "volumes": [self.symbols, self.counts, self._usual, first, last],
            "volume_windows": [np.array([self.windows]), np.array([self.length])],
            "volume_pairs": pair_columns(self.pairs, self.symbols) if self.pairs else NO_PAIRS,
        }
        return {
            name: pa.table(
                [pa.array(c, f.type) for c, f in zip(columns[name], schema, strict=True)],
                schema=schema,
            )
            for name, schema in self.schemas.items()
        }

    @classmethod
    def from_tables(cls, tables: Mapping[str, pa.Table], architecture: str) -> "VolumeModel":
        """The model of such tables.

        Raises:
            ValueError: they contradict themselves.
        """
        symbols, counts, usual, first, last = (as_array(c) for c in tables["volumes"].columns)
        if (symbols[1:] <= symbols[:-1]).any() or (counts < 1).any():
            raise ValueError("the calls do not ascend, or one was never made")
        if not np.isfinite(usual).all() or (usual < 0).any() or (first > last).any():
            raise ValueError("a call's bits or times are none")
        ((windows, length),) = zip(*tables["volume_windows"].to_pydict().values(), strict=True)
        if windows < 1 or length < 0 or bool(length) != bool(len(tables["volume_pairs"])):
            raise ValueError("the windows of the calls are none")
        pairs = read_pairs(tables["volume_pairs"], symbols) if length else None
        seen = np.stack([first, last], 1)
        return cls(symbols, counts, seen, usual, pairs, windows, length, architecture)

    @classmethod
    def merged(cls, models: Sequence["VolumeModel"]) -> "VolumeModel":
        """Of what all of them learned; shares where they do not agree on the length of windows."""
        symbols = np.unique(np.concatenate([model.symbols for model in models]))
        counts = np.zeros(len(symbols), np.int64)
        usual = np.zeros(len(symbols))
        seen = np.zeros((len(symbols), 2), np.int64)
        seen[:, 0] = np.iinfo(np.int64).max
        positions = [np.searchsorted(symbols, model.symbols) for model in models]
        for where, model in zip(positions, models, strict=True):
            counts[where] += model.counts
            usual[where] = np.maximum(usual[where], model._usual)
            seen[where, 0] = np.minimum(seen[where, 0], model._seen[:, 0])
            seen[where, 1] = np.maximum(seen[where, 1], model._seen[:, 1])
        lengths = [model.length for model in models]
        pairs: PairCounts | None = None
        length = 0
        if min(lengths) > 0 and max(lengths) <= SAME_LENGTH * min(lengths):
            length = max(lengths)
            for where, model in zip(positions, models, strict=True):
                if model.pairs:
                    own = model.pairs.among(where, len(symbols))
                    pairs = pairs + own if pairs else own
        usual = usual if pairs else np.zeros(len(symbols))
        windows = sum(model.windows for model in models)
        architecture = models[0]._architecture
        return cls(symbols, counts, seen, usual, pairs, windows, length, architecture)

    def discounted(self, factor: float) -> "VolumeModel":
        """The same, learned from fewer windows."""
        return VolumeModel(
            self.symbols,
            discount(self.counts, factor),
            self._seen,
            self._usual,
            self.pairs and self.pairs.times(factor),
            int(discount(np.array(self.windows), factor)),
            self.length,
            self._architecture,
        )

    @property
    def judges_volumes(self) -> bool:
        """Whether counts are judged; otherwise shares."""
        return self.pairs is not None

    def allowing(self, volumes: Mapping[Volume, float]) -> "VolumeModel":
        """The same with so many more bits of known calls that count for nothing.

        It changes nothing where shares are judged.
        """
        usual = self._usual.copy()
        for call, bits in volumes.items():
            position = self._position(call)
            if position is not None and self.pairs:
                usual[position] += bits
        return VolumeModel(
            self.symbols,
            self.counts,
            self._seen,
            usual,
            self.pairs,
            self.windows,
            self.length,
            self._architecture,
        )

    def with_idle(self, windows: int) -> "VolumeModel":
        """The same, of so many more windows in which no call was made."""
        pairs = self.pairs
        if pairs:
            calls = np.arange(pairs.calls)
            all_absent = np.full((pairs.calls, pairs.calls), float(windows))
            pairs += PairCounts(pairs.calls, calls, np.zeros_like(calls), all_absent)
        return VolumeModel(
            self.symbols,
            self.counts,
            self._seen,
            self._usual,
            pairs,
            self.windows + windows,
            self.length,
            self._architecture,
        )

    def _count_in(self, window: Window) -> Integers:
        """What :func:`count_in` says of one window, in half the time."""
        columns = self.columns_of(symbols_of(window.ngrams.ngrams))
        counts = np.bincount(columns, window.ngrams.counts, len(self.symbols) + 1)
        return counts[None, :-1].astype(np.int64)

    def _position(self, item: Volume) -> int | None:
        where = int(np.searchsorted(self.symbols, item.symbol))
        is_there = where < len(self.symbols) and self.symbols[where] == item.symbol
        return where if is_there else None


def _middle(windows: Floats) -> tuple[int, int]:
    """Lowest and highest of the levels that hold the middle nine tenths of the windows."""
    share = np.cumsum(windows) / windows.sum()
    return int(np.searchsorted(share, 0.05)), int(np.searchsorted(share, 0.95))


def _counts_text(low: int, high: int) -> str:
    least, most = level_range(low)[0], level_range(high)[1]
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"
