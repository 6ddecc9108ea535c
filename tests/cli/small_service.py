"""A small service as windows: how it serves, and what an intruder's shell in it does."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from baseline.recordings import RecordingWriter
from baseline.syscalls import pack
from baseline.window import Connection, Execution, Image, Ledger, NgramCounts, Tally, Window

START = 1_795_392_000_000_000_000
SECOND = 10**9

NGINX = Image("/usr/sbin/nginx")
SHELL = Execution((NGINX, Image("/usr/bin/dash")), 33)
PEER = Connection("out", "tcp", "203.0.113.9", 4444)
OTHER_PEER = Connection("out", "tcp", "203.0.113.9", 8443)

# epoll_wait accept4 read write close, round and round; and what a shell does first.
SERVING = [232, 288, 0, 1, 3]
INTRUDING = [41, 42, 33, 33, 33, 59, 12, 21, 257, 9, 3, 16, 0, 61]


def ngrams_of(calls: list[int], rounds: int) -> NgramCounts:
    """All n-grams of a thread that repeats these system calls."""
    symbols = np.array(
        [[calls[(i + j) % len(calls)] + 1 for j in range(6)] for i in range(len(calls))]
    )
    return NgramCounts.collect(pack(symbols), np.full(len(calls), rounds, np.int64))


def windows(workload: str, count: int, seed: int) -> Iterator[Window]:
    """A service under a load that changes a little."""
    random = np.random.default_rng(seed)
    for number in range(count):
        ngrams = ngrams_of(SERVING, int(random.integers(80, 120)))
        connections = {Connection("in", "tcp", "10.0.0.7", 80): int(random.integers(8, 12))}
        yield Window(
            workload=workload,
            replica=f"demo/{workload}",
            start=START + number * SECOND,
            end=START + (number + 1) * SECOND,
            observed=SECOND,
            ngrams=ngrams,
            connections=connections,
            ledger=Ledger(
                ngrams=Tally(ngrams.total, ngrams.total),
                connections=Tally(*[sum(connections.values())] * 2),
            ),
        )


def intrude(window: Window) -> Window:
    """The same window with a shell in it that connects home."""
    return window + Window(
        workload=window.workload,
        replica=window.replica,
        start=window.start,
        end=window.end,
        observed=0,
        ngrams=ngrams_of(INTRUDING, 1),
        executions={SHELL: 1},
        connections={PEER: 1},
        ledger=Ledger(Tally(14, 14), Tally(1, 1), Tally(1, 1)),
    )


def write_recording(path: Path, content: list[Window]) -> Path:
    with RecordingWriter(path, interval=1.0, node="test", architecture="x86_64") as writer:
        for window in content:
            writer.write(window)
    return path
