"""Calls: which system calls a workload makes, whatever comes before them.

A call that was never made is new in the context of everything, and that is all there is to say of
it here; that calls which are known follow each other in a new order is the business of the n-grams.
So no piece of evidence is in both.  Programs find a new order of their calls every other minute,
and next to never a new call: on a scale of their own, calls need not wait until they outweigh that.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baseline.model.contexts import are_among
from baseline.model.hierarchy import Context, Part
from baseline.model.hierarchy_model import HierarchyModel
from baseline.model.hierarchy_tables import hierarchy_schemas
from baseline.model.score import Call, Signal
from baseline.model.signal_model import Surprise
from baseline.syscalls import KIND_FOLDED, KIND_SHIFT, SYMBOL_BITS, calls_of, symbol_name
from baseline.window import Window

_CHUNK = 1 << 13


class CallModel(HierarchyModel[Call]):
    """The calls that a workload normally makes; see the module."""

    signal: ClassVar[Signal] = Signal.CALLS
    schemas: ClassVar[Mapping[str, pa.Schema]] = hierarchy_schemas(
        signal, "[symbol], as in baseline/syscalls.py, with kind"
    )

    @staticmethod
    def levels(item: Call) -> Sequence[tuple[Context, Part]]:
        """The context of everything alone."""
        return [((), item.symbol)]

    @classmethod
    def histogram(cls, window: Window) -> Mapping[Call, int]:
        """The calls of a window, folded or not."""
        symbols, where = np.unique(calls_of(window.ngrams.ngrams), return_inverse=True)
        counts = np.zeros(len(symbols), np.int64)
        np.add.at(counts, where, window.ngrams.counts)
        return dict(zip(map(Call, symbols.tolist()), counts.tolist(), strict=True))

    @classmethod
    def histograms(cls, windows: Sequence[Window]) -> Sequence[Mapping[Call, int]]:
        """The calls of each window, counted by whole columns."""
        return [
            histogram
            for start in range(0, len(windows), _CHUNK)
            for histogram in _histograms(windows[start : start + _CHUNK])
        ]

    def surprises(self, window: Window) -> list[Surprise]:
        """The calls of a window that carry bits."""
        # Next to all windows have none, which one look at a table tells.
        if self.are_known(calls_of(window.ngrams.ngrams)).all():
            return []
        return super().surprises(window)

    def are_known(self, symbols: npt.NDArray[np.uint16]) -> npt.NDArray[np.bool_]:
        """Whether each call was made in training."""
        # A table of all symbols would be as fast, and take 64 KiB, as much as all of a small model.
        return are_among(self._made, symbols)

    @cached_property
    def _made(self) -> npt.NDArray[np.uint16]:
        """Symbols of all calls of training, ascending."""
        return np.array(sorted(call.symbol for call in self.occurrences), np.uint16)

    @classmethod
    def decode(cls, item: Any) -> Call:
        """A call from a tuple."""
        call = Call(*item)
        if type(call.symbol) is not int:
            raise TypeError("a call that is none")
        if not 0 <= call.symbol >> SYMBOL_BITS < 1 << 64 - KIND_SHIFT:
            raise ValueError("a call of no kind")
        if call.symbol >> SYMBOL_BITS == KIND_FOLDED:
            raise ValueError("a call that is folded")
        return call

    def describe(self, item: Call) -> str:
        """Its name."""
        return symbol_name(item.symbol, self.architecture)

    def habits(self, item: Call) -> Sequence[tuple[Hashable, str]]:
        """To be made at all."""
        return [((), self.describe(item))]

    def nearest(self, item: Call, window: Window | None) -> str:
        """What is made most."""
        most = self.usual.get(())
        return f"{len(self.occurrences):,} other calls, most of all {most}" if most else "no calls"


def _histograms(windows: Sequence[Window]) -> Iterable[Mapping[Call, int]]:
    """What :meth:`CallModel.histogram` says of each window."""
    made = calls_of(np.concatenate([window.ngrams.ngrams for window in windows]))
    symbols = np.flatnonzero(np.bincount(made))
    sums = np.zeros((len(windows), len(symbols)), np.int64)
    window_of_row = np.repeat(np.arange(len(windows)), [len(window.ngrams) for window in windows])
    counts = np.concatenate([window.ngrams.counts for window in windows])
    column = np.zeros(1 << 16, np.int64)
    column[symbols] = np.arange(len(symbols))
    np.add.at(sums, (window_of_row, column[made]), counts)
    calls = list(map(Call, symbols.tolist()))
    for row in sums.tolist():
        yield {call: count for call, count in zip(calls, row, strict=True) if count}


def alone(call: Call) -> int:
    """The packed n-gram of a call before which nothing is known."""
    kind, code = divmod(call.symbol, 1 << SYMBOL_BITS)
    return (kind or KIND_FOLDED) << KIND_SHIFT | code


def call_of(ngram: int) -> Call:
    """The newest call of one packed n-gram, folded or not."""
    return Call(int(calls_of(np.array([ngram], np.uint64))[0]))
