"""A large recording, made from a small real one: the same for everybody who makes it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from baseline.recordings.reader import Recording
from baseline.recordings.writer import RecordingWriter
from baseline.window import Ledger, NgramCounts, Tally, Window

SEED = 20261122


def enlarged(recording: Path, rows: int) -> Iterator[Window]:
    """Windows of a recording again and again, one round after the other, until there are enough.

    Times go on from round to round. Of each n-gram the count is drawn anew (Poisson, at least one),
    and one in a hundred of a window is left out, so that no two windows are alike.

    Args:
        recording: whose windows are repeated.
        rows: n-grams, executions and connections that all windows have together, at least.
    """
    random = np.random.default_rng(SEED)
    windows = list(Recording(recording).windows())
    step = max(w.end for w in windows) - min(w.start for w in windows)
    offset = 0
    while rows > 0:
        for window in windows:
            kept = random.random(len(window.ngrams)) >= 0.01
            counts = np.maximum(random.poisson(window.ngrams.counts[kept]), 1)
            ngrams = NgramCounts(window.ngrams.ngrams[kept], counts.astype(np.int64))
            tally = Tally(ngrams.total, ngrams.total)
            yield replace(
                window,
                start=window.start + offset,
                end=window.end + offset,
                ngrams=ngrams,
                ledger=Ledger(
                    tally,
                    window.ledger.executions,
                    window.ledger.connections,
                    window.ledger.events,
                ),
            )
            rows -= len(ngrams) + len(window.executions) + len(window.connections)
            if rows <= 0:
                return
        offset += step


def write_enlarged(recording: Path, rows: int, out: Path) -> None:
    """Write such a recording, by the writer that `record` uses."""
    interval = Recording(recording).interval
    with RecordingWriter(out, interval=interval, flush_seconds=3600.0) as writer:
        for window in enlarged(recording, rows):
            writer.write(window)
