"""System-call n-grams: a variable-order Markov model with escapes to shorter contexts.

An n-gram's last call is an item in the context of the five calls before it, of the last four, ...,
and of none.  What is new in a context carries the surprise of the escape from it
(:mod:`baseline.model.novelty`); an n-gram that was seen carries nothing.  A sequence that was never
seen thus costs the escapes at the calls where it leaves what is known: once it is inside unknown
territory, its long contexts are unknown too and only the short ones still charge.

What is judged here is a new order of known calls.  An n-gram that ends in a call which was never
made carries nothing, because the call does (:mod:`baseline.model.calls`).

Shorter n-grams are marginals of the histogram, so nothing but the histogram is needed.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baseline.model.contexts import Ngrams, Order, are_among, contexts_of, suffixes
from baseline.model.ngram_incidence import count_incidence, held_out_bits
from baseline.model.novelty import Floats, Integers, discount
from baseline.model.score import Seen, Signal
from baseline.model.signal_model import Surprise
from baseline.model.thinning import MOST_WINDOWS
from baseline.parquet import as_array, described
from baseline.syscalls import (
    NGRAM_LENGTH,
    calls_of,
    ngram_names,
    symbol_name,
    unpack,
)
from baseline.window import NgramCounts, Window


class NgramModel:
    """Normal n-grams of a workload; see the module.

    Args:
        calls: histogram of training.
        seen: when each n-gram of it was seen first and last, in nanoseconds since the epoch, shape
            (n-grams, 2).
        orders: by length of the context, from 0.
        architecture: whose calls the symbols are.
    """

    signal: ClassVar = Signal.NGRAMS
    schemas: ClassVar[Mapping[str, pa.Schema]] = {
        "ngrams": pa.schema(
            [
                described("ngram", pa.uint64(), "six calls, packed as in baseline/syscalls.py"),
                described("calls", pa.int64(), "how often it occurred"),
                described("first_seen", pa.int64(), "start of the first window with it, ns"),
                described("last_seen", pa.int64(), "end of the last window with it, ns"),
            ]
        ),
        "suffixes": pa.schema(
            [
                described("context_length", pa.uint8(), "calls before the last one, 0 to 5"),
                described("suffix", pa.uint64(), "these calls and the last one, packed"),
                described("windows", pa.int64(), "windows in which it occurred"),
            ]
        ),
        "contexts": pa.schema(
            [
                described("context_length", pa.uint8(), "calls in the context, 0 to 5"),
                described("context", pa.uint64(), "the calls, packed"),
                described("windows", pa.int64(), "windows in which it occurred before a call"),
            ]
        ),
    }

    def __init__(
        self, calls: NgramCounts, seen: Integers, orders: Sequence[Order], architecture: str
    ) -> None:
        self.calls = calls
        self._seen = seen
        self._orders = orders
        self._escapes = [order.escapes() for order in orders]
        self._made = np.unique(calls_of(orders[0].suffixes))
        self._architecture = architecture

    @classmethod
    def fit(
        cls, windows: Sequence[Window], blocks: Sequence[int], architecture: str
    ) -> tuple["NgramModel", Floats]:
        """Learn; see :class:`baseline.model.signal_model.SignalModel`."""
        sizes = [len(window.ngrams) for window in windows]
        window_of_row = np.repeat(np.arange(len(windows)), sizes)
        ngrams = np.concatenate([window.ngrams.ngrams for window in windows])
        counts = np.concatenate([window.ngrams.counts for window in windows])
        block_of_window = np.asarray(blocks, np.int64)
        calls = NgramCounts.collect(ngrams, counts)
        ngram_of_row = np.searchsorted(calls.ngrams, ngrams)
        seen = np.tile(np.array([np.iinfo(np.int64).max, 0]), (len(calls), 1))
        ends = [max(w.start, w.end) for w in windows]  # the clock may be set back
        np.minimum.at(seen[:, 0], ngram_of_row, np.repeat([w.start for w in windows], sizes))
        np.maximum.at(seen[:, 1], ngram_of_row, np.repeat(ends, sizes))
        shown = ngram_of_row * len(windows) + window_of_row
        incidence = count_incidence(calls.ngrams, shown, block_of_window)
        bits = held_out_bits(calls.ngrams, incidence)
        bits_of_row = bits[block_of_window[window_of_row], ngram_of_row]
        held_out = np.bincount(window_of_row, bits_of_row, len(windows)).astype(np.float64)
        orders = [order.order() for order in incidence]
        return cls(calls, seen, orders, architecture), held_out

    def surprises(self, window: Window) -> list[Surprise]:
        """The n-grams of a window that were never seen, each with its escapes."""
        new = ~are_among(self.calls.ngrams, window.ngrams.ngrams)
        if not new.any():
            return []
        ngrams, counts = window.ngrams.ngrams[new], window.ngrams.counts[new]
        bits = self._bits(ngrams)
        return [
            Surprise(ngram, count, surprise)
            for ngram, count, surprise in zip(
                ngrams.tolist(), counts.tolist(), bits.tolist(), strict=True
            )
            if surprise > 0
        ]

    def unseen(self, ngrams: Ngrams) -> Ngrams:
        """Those that were never seen, in their order."""
        return ngrams[~are_among(self.calls.ngrams, ngrams)]

    def bits(self, item: int) -> float:
        """Surprise of one n-gram."""
        return float(self._bits(np.array([item], np.uint64))[0])

    def _bits(self, ngrams: Ngrams) -> Floats:
        bits = np.zeros(len(ngrams))
        for order, escapes in zip(self._orders, self._escapes, strict=True):
            suffix = suffixes(ngrams, order.length + 1)
            context = contexts_of(suffix, order.length)
            escaped = ~are_among(order.suffixes, suffix) & are_among(order.contexts, context)
            where = np.searchsorted(order.contexts, context[escaped])
            bits[escaped] += escapes[where]
        return np.where(are_among(self._made, calls_of(ngrams)), bits, 0.0)

    def knows(self, item: int) -> bool:
        """Whether the n-gram was seen in training."""
        where = int(self.calls.ngrams.searchsorted(np.uint64(item)))
        return where < len(self.calls) and int(self.calls.ngrams[where]) == item

    def seen(self, item: int) -> Seen | None:
        """When the n-gram was seen in training."""
        if not self.knows(item):
            return None
        where = np.searchsorted(self.calls.ngrams, np.uint64(item))
        return Seen(*self._seen[where].tolist())

    def describe(self, item: int) -> str:
        """The calls, oldest first."""
        return " > ".join(ngram_names(item, self._architecture))

    def nearest(self, item: int, window: Window | None) -> str:
        """What follows the longest part of the n-gram's context that is known."""
        ngram = np.array([item], np.uint64)
        for length in reversed(range(NGRAM_LENGTH)):
            context = contexts_of(suffixes(ngram, length + 1), length)
            followers = suffixes(self.calls.ngrams, length + 1)
            matching = contexts_of(followers, length) == context
            if matching.any():
                return self._followers(int(context[0]), length, matching)
        return "no system calls at all"

    def _followers(self, context: int, length: int, matching: npt.NDArray[np.bool_]) -> str:
        last = unpack(self.calls.ngrams[matching])[:, -1]
        symbols, where = np.unique(last, return_inverse=True)
        calls = np.bincount(where, self.calls.counts[matching])
        top = np.argsort(-calls, kind="stable")[:2]
        usual = ", ".join(
            f"{symbol_name(int(symbols[i]), self._architecture)} ({calls[i] / calls.sum():.0%})"
            for i in top
        )
        before = ngram_names(context, self._architecture) if length else ()
        return f"after {' > '.join(before)}: {usual}" if before else f"usually {usual}"

    @property
    def wholly_new_bits(self) -> float:
        """Surprise of a known call after others that always came before something else."""
        bits = 0.0
        for _ in range(1, NGRAM_LENGTH):  # one by one, as for an n-gram: sums have to be equal
            bits += float(self._escapes[0][0])
        return bits

    @property
    def items(self) -> int:
        """Distinct n-grams seen."""
        return len(self.calls)

    @property
    def windows(self) -> int:
        """Windows of training."""
        return int(self._orders[0].context_windows[0])

    @classmethod
    def merged(cls, models: Sequence["NgramModel"]) -> "NgramModel":
        """Of what all of them learned; they share no window."""
        calls = NgramCounts.collect(
            np.concatenate([model.calls.ngrams for model in models]),
            np.concatenate([model.calls.counts for model in models]),
        )
        seen = np.tile(np.array([np.iinfo(np.int64).max, 0]), (len(calls), 1))
        for model in models:
            where = np.searchsorted(calls.ngrams, model.calls.ngrams)
            seen[where, 0] = np.minimum(seen[where, 0], model._seen[:, 0])
            seen[where, 1] = np.maximum(seen[where, 1], model._seen[:, 1])
        orders = [Order.merged(parts) for parts in zip(*(m._orders for m in models), strict=True)]
        return cls(calls, seen, orders, models[0]._architecture)

    def discounted(self, factor: float, most: int = MOST_WINDOWS) -> "NgramModel":
        """The same, learned from fewer windows, of any context at most so many."""
        calls = NgramCounts(self.calls.ngrams, discount(self.calls.counts, factor))
        orders = [order.discounted(factor, most) for order in self._orders]
        return NgramModel(calls, self._seen, orders, self._architecture)

    def capped(self, most: int) -> "NgramModel":
        """The same with nothing seen in more windows than this."""
        orders = [order.capped(most) for order in self._orders]
        return NgramModel(self.calls, self._seen, orders, self._architecture)

    def tables(self) -> dict[str, pa.Table]:
        """The model as tables of ``schemas``."""
        columns: dict[str, list[list[npt.NDArray[np.generic]]]] = {"suffixes": [], "contexts": []}
        for length, order in enumerate(self._orders):
            for name, keys, windows in (
                ("suffixes", order.suffixes, order.suffix_windows),
                ("contexts", order.contexts, order.context_windows),
            ):
                columns[name].append([np.full(len(keys), length, np.uint8), keys, windows])
        return {
            "ngrams": pa.table(
                [self.calls.ngrams, self.calls.counts, *self._seen.T],
                schema=self.schemas["ngrams"],
            ),
            **{
                name: pa.table(
                    [np.concatenate(column) for column in zip(*parts, strict=True)],
                    schema=self.schemas[name],
                )
                for name, parts in columns.items()
            },
        }

    @classmethod
    def from_tables(cls, tables: Mapping[str, pa.Table], architecture: str) -> "NgramModel":
        """The model of such tables.

        Raises:
            ValueError: they contradict themselves.
        """
        arrays = {
            name: [as_array(column) for column in tables[name].columns] for name in cls.schemas
        }
        ngrams, counts, first, last = arrays["ngrams"]
        calls = NgramCounts(ngrams, counts)
        if (first > last).any():
            raise ValueError("an n-gram was last seen before it was first")
        if (calls.ngrams[1:] <= calls.ngrams[:-1]).any() or (calls.counts < 1).any():
            raise ValueError("the n-grams do not ascend, or one never occurred")
        if max(arrays[name][0].max(initial=0) for name in ("suffixes", "contexts")) >= NGRAM_LENGTH:
            raise ValueError("a context is too long")
        orders: list[Order] = []
        for length in range(NGRAM_LENGTH):
            suffix_rows = arrays["suffixes"][0] == length
            context_rows = arrays["contexts"][0] == length
            order = Order(
                length,
                arrays["contexts"][1][context_rows],
                arrays["contexts"][2][context_rows],
                arrays["suffixes"][1][suffix_rows],
                arrays["suffixes"][2][suffix_rows],
            )
            order.require_of(calls.ngrams)
            orders.append(order)
            if (order.context_windows > orders[0].context_windows[0]).any():
                raise ValueError("a context was seen in more windows than there were")
        return cls(calls, np.stack([first, last], 1), orders, architecture)
