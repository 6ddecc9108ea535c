"""How fast models are fitted, and windows scored.

    .venv/bin/python benchmarks/model_speed.py [--rounds 7]

Fits a made-up recording of a million rows (2,000 windows of 500 distinct n-grams each, drawn from
3,200 with the long tail of Zipf's law), and scores a round of 100 workloads with a window of 500
known n-grams each, as `baseline watch` does once a second. Prints CPU seconds of this process:
median, least and most of the rounds.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from baseline.model.workload_model import WorkloadModel
from baseline.syscalls import pack
from baseline.window import Connection, NgramCounts, Window

WINDOWS, WORKLOADS, NGRAMS, POOL = 2_000, 100, 500, 3_200
SECOND = 10**9
CLIENT = Connection("in", "tcp", "10.0.0.7", 80)


def made_up_windows() -> list[Window]:
    random = np.random.default_rng(1)
    pool = np.unique(pack(random.integers(1, 80, (POOL, 6))))
    shares = 1 / np.arange(1, len(pool) + 1)
    shares /= shares.sum()
    windows = []
    for number in range(WINDOWS):
        drawn = np.unique(random.choice(len(pool), 2 * NGRAMS, p=shares))
        chosen = np.union1d(drawn, np.arange(NGRAMS))[:NGRAMS]
        ngrams = NgramCounts.collect(pool[chosen], random.poisson(50, NGRAMS) + 1)
        start = number * SECOND
        windows.append(
            Window("made-up", "a", start, start + SECOND, SECOND, ngrams, {}, {CLIENT: 5})
        )
    return windows


def cpu_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = range(parser.parse_args().rounds)
    windows = made_up_windows()
    model = WorkloadModel.fit(windows)
    rows = sum(len(window.ngrams) for window in windows)
    for title, unit, scale, work in (
        (f"fit {rows:,} rows", "s", 1, lambda: WorkloadModel.fit(windows)),
        (
            f"score {WORKLOADS} workloads x {NGRAMS} n-grams",
            "ms",
            1000,
            lambda: [model.score(window) for window in windows[:WORKLOADS]],
        ),
    ):
        took = sorted(scale * cpu_seconds(work) for _ in rounds)
        print(f"{title:38} {statistics.median(took):6.1f} {unit} ({took[0]:.1f} to {took[-1]:.1f})")


if __name__ == "__main__":
    main()
