"""Steady loads that never stop bringing new n-grams: random Markov chains with rare steps."""

import numpy as np
import pytest
from synthetic_service import ARCHITECTURE, SHELL_CALLS, count_ngrams, symbols, window

from baseline.model.budget import Budget
from baseline.model.score import Signal
from baseline.model.shift import shifts
from baseline.model.workload_model import WorkloadModel
from baseline.syscalls import NGRAM_LENGTH, pack
from baseline.window import NgramCounts, Window

CALLS = 300
"""System calls in a window."""

STATES, SUCCESSORS = 12, 4


def run_chain(seed: int, windows: int) -> list[Window]:
    """Windows of one random chain, whose steps have probabilities down to one in thousands."""
    chance = np.random.default_rng(seed)
    successors = np.stack([chance.choice(STATES, SUCCESSORS, replace=False) for _ in range(STATES)])
    cumulated = chance.dirichlet([0.5] * SUCCESSORS, STATES).cumsum(axis=1)[:, :-1]
    calls = np.empty((windows, NGRAM_LENGTH - 1 + CALLS), np.int64)
    calls[:, 0] = chance.integers(STATES, size=windows)
    for time in range(1, calls.shape[1]):
        before = calls[:, time - 1]
        step = (chance.random(windows)[:, None] > cumulated[before]).sum(axis=1)
        calls[:, time] = successors[before, step]
    ngrams = np.lib.stride_tricks.sliding_window_view(calls + 1, NGRAM_LENGTH, axis=1)
    ones = np.ones(CALLS, np.int64)
    return [window(i, NgramCounts.collect(pack(rows), ones)) for i, rows in enumerate(ngrams)]


@pytest.mark.parametrize("seed", range(6))
def test_half_an_hour_of_the_same_load_keeps_to_the_budget(seed: int) -> None:
    """After five minutes of learning, which cannot support more than about an alarm an hour."""
    load = run_chain(seed, 2300)
    model = WorkloadModel.fit(load[:300], ARCHITECTURE).with_budget(Budget(1, "hour"))
    scores = [model.score(second) for second in load[300:]]
    assert sum(score.by_signal[Signal.NGRAMS] > 0 for score in scores) > 200
    assert sum(score.is_anomaly for score in scores) <= 2
    bits = np.array([score.bits for score in scores])
    assert shifts(bits, np.zeros(len(bits), np.int64)).max() < model.shift_threshold
    shell = window(0, count_ngrams(symbols(SHELL_CALLS)))
    assert model.score(load[2000] + shell).is_anomaly
