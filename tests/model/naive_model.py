"""The slow, obvious twins of the models of novelty: all counted anew from lists of windows."""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from baseline.model.connections import ConnectionModel
from baseline.model.executions import ExecutionModel
from baseline.model.score import Call, Signal, Volume
from baseline.syscalls import KIND_FOLDED, KIND_SHIFT, NGRAM_LENGTH, unpack
from baseline.window import Window

Level = tuple[Hashable, Hashable]


def escape_bits(windows: int, singletons: int) -> float:
    """Surprise of something new in a context, as the formula stands in the book."""
    if windows == 0:
        return 0.0
    rate = (singletons + 0.5) / (windows + 1)
    if singletons == 0:
        still_open = 1 / math.sqrt(math.pi * (windows + 0.25))
        rate *= still_open / (1 + still_open)
    return max(-math.log2(rate), 0.0)


def ngram_levels(ngram: int) -> list[Level]:
    symbols = unpack(np.array([ngram], np.uint64))[0].tolist()
    return [
        (tuple(symbols[NGRAM_LENGTH - 1 - length : -1]), symbols[-1])
        for length in range(NGRAM_LENGTH)
    ]


LEVELS: dict[Signal, Callable[[Any], Sequence[Level]]] = {
    Signal.NGRAMS: ngram_levels,
    Signal.CALLS: lambda call: [((), call)],
    Signal.EXECUTIONS: ExecutionModel.levels,
    Signal.CONNECTIONS_IN: ConnectionModel.levels,
    Signal.CONNECTIONS_OUT: ConnectionModel.levels,
}


def call_of(ngram: int) -> Call:
    """The call that it ends in, folded or not."""
    kind = ngram >> KIND_SHIFT
    return Call((0 if kind == KIND_FOLDED else kind) << 10 | ngram & 1023)


def items_of(signal: Signal, window: Window) -> list[Any]:
    """The distinct items of a window."""
    ngrams, peers = window.ngrams.ngrams.tolist(), list(window.connections)
    symbols = sorted({ngram >> KIND_SHIFT << 10 | ngram & 1023 for ngram in ngrams})
    return {
        Signal.NGRAMS: ngrams,
        Signal.CALLS: sorted(set(map(call_of, ngrams))),
        Signal.EXECUTIONS: list(window.executions),
        Signal.CONNECTIONS_IN: [peer for peer in peers if peer.direction == "in"],
        Signal.CONNECTIONS_OUT: [peer for peer in peers if peer.direction == "out"],
        Signal.VOLUMES: list(map(Volume, symbols)),
    }[signal]


def item_bits(signal: Signal, training: Sequence[Window], item: Any) -> float:
    """Surprise of an item to what these windows teach."""
    if signal == Signal.NGRAMS and not any(
        call_of(item) in items_of(Signal.CALLS, window) for window in training
    ):
        return 0.0  # the call is what is new
    seen = [{level for i in items_of(signal, w) for level in LEVELS[signal](i)} for w in training]
    bits = 0.0
    for context, part in LEVELS[signal](item):
        shown = [levels for levels in seen if not context or any(c == context for c, _ in levels)]
        in_windows = [p for levels in shown for c, p in levels if c == context]
        if part not in in_windows:
            singletons = [p for p in set(in_windows) if in_windows.count(p) == 1]
            bits += escape_bits(len(shown), len(singletons))
    return bits


def held_out_bits(
    signal: Signal, windows: Sequence[Window], blocks: Iterable[int]
) -> Iterable[float]:
    """Surprise of each window to the windows of all other blocks."""
    blocks = list(blocks)
    for window, block in zip(windows, blocks, strict=True):
        others = [w for w, b in zip(windows, blocks, strict=True) if b != block]
        yield sum(item_bits(signal, others, item) for item in items_of(signal, window))
