"""First sights judged before their window is complete: never more than the window itself."""

from itertools import islice

import numpy as np
import pytest
from synthetic_service import (
    CURL_STARTED,
    INTRUDER,
    SHELL_CALLS,
    SHELL_STARTED,
    count_ngrams,
    intruded,
    serving,
    symbols,
    window,
)

from baseline.model.budget import Budget
from baseline.model.running_window import MOST_SIGHTED, RunningWindow
from baseline.model.score import NOVELTIES, Call, Item, Signal
from baseline.model.workload_model import WorkloadModel, counted
from baseline.window import Connection, Execution, NgramCounts, Window

LEARNED = 300
REQUESTS = (8, 30, 120, 480)
BUDGETS = [Budget(1.0, "week"), Budget(20.0, "hour")]


@pytest.fixture(scope="module")
def model() -> WorkloadModel:
    return WorkloadModel.fit(list(islice(serving(1), LEARNED)), "x86_64")


@pytest.fixture(scope="module")
def after() -> list[Window]:
    """What the service does later, with something new in it now and then."""
    return list(islice(serving(2), 200))


def swinging(seed: int) -> list[Window]:
    """The service under a load that changes from second to second."""
    services = [serving(seed + requests, requests) for requests in REQUESTS]
    return [next(services[n]) for n in np.random.default_rng(seed).integers(0, 4, LEARNED)]


def in_random_order(items: list[Item], seed: int) -> list[Item]:
    return [items[n] for n in np.random.default_rng(seed).permutation(len(items))]


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_first_sights_show_no_more_than_their_complete_window(
    model: WorkloadModel, after: list[Window], budget: Budget
) -> None:
    judge = model.with_budget(budget)
    shown = anomalies = 0
    for seed, judged in enumerate([*after, *map(intruded, after[:9])]):
        counts = counted(judged)
        if any(counts[s] < judge.usual_counts[s] for s in NOVELTIES):
            continue  # where it is taken to count more, it shows less still: see below
        sighted = RunningWindow(judge, judged)
        whole = judge.score(judged)
        for item in in_random_order(judge.unseen(judged), seed):
            assert sighted.add([item], 1)
            score = sighted.score()
            assert score.bits <= whole.bits + 1e-9
            assert sighted.is_anomaly == score.is_anomaly
            assert not score.is_anomaly or whole.is_anomaly
            anomalies += score.is_anomaly
            shown += 1
    assert shown > anomalies > 9


def test_whatever_the_load_turns_out_to_be_the_window_shows_as_much() -> None:
    """What is much at one load is little at another, and which it is, is not known yet."""
    model = WorkloadModel.fit(swinging(1), "x86_64").with_budget(Budget(20.0, "hour"))
    calibrations = model.combination.calibration.calibrations
    assert len(calibrations) >= len(REQUESTS)
    shown = misjudged = 0
    for seed, judged in enumerate([*swinging(2), *map(intruded, swinging(3)[:20])]):
        sighted = RunningWindow(model, judged)
        whole = model.score(judged)
        for item in in_random_order(model.unseen(judged), seed):
            assert sighted.add([item], 1)
            score = sighted.score()
            assert score.bits <= whole.bits + 1e-9
            assert sighted.is_anomaly == score.is_anomaly
            assert not score.is_anomaly or whole.is_anomaly
            shown += 1
            evidence = model.combination.evidence(score.by_signal)
            misjudged += max(c.bits(evidence) for c in calibrations) > whole.bits + 1e-9
    assert shown > misjudged > 9  # had it been taken to have another load


def test_sums_are_what_judging_all_anew_gives(model: WorkloadModel) -> None:
    """The slow, obvious twin: a window of nothing but what was sighted so far."""
    sighted = RunningWindow(model, None)
    ngrams = count_ngrams(symbols(SHELL_CALLS)).ngrams.tolist()
    items = [n for n in ngrams if not model.knows(n)] + [SHELL_STARTED, CURL_STARTED, INTRUDER]
    taken: list[Item] = []
    for item in in_random_order(items, 3):
        sighted.add([new for new in model.novelties(item) if new not in sighted], 1)
        taken.append(item)
        judged = window(
            0,
            ngrams_of([i for i in taken if isinstance(i, int)]),
            {i: 1 for i in taken if isinstance(i, Execution)},
            {i: 1 for i in taken if isinstance(i, Connection)},
        )
        surprises = {s: model.signals[s].surprises(judged) for s in NOVELTIES}
        naive = model.judge(surprises, model.usual_counts)
        score = sighted.score()
        assert score.bits == pytest.approx(naive.bits)
        assert score.by_signal == pytest.approx(dict(naive.by_signal))
        assert {e.item for e in score.evidence} == {e.item for e in naive.evidence}
        assert sighted.is_anomaly == naive.is_anomaly
    assert set(sighted.items) == {new for item in items for new in model.novelties(item)}
    assert {Call(symbol) for symbol in symbols("execve wait4")} < set(sighted.items)
    assert all(item in sighted for item in items)


def ngrams_of(ngrams: list[int]) -> NgramCounts:
    ascending = np.array(sorted(ngrams), np.uint64)
    return NgramCounts(ascending, np.ones(len(ascending), np.int64))


def test_what_is_new_weighs_less_where_much_is_counted(model: WorkloadModel) -> None:
    """A running window counts as much as the last one, and no less than in learning."""
    ngrams = count_ngrams(symbols(SHELL_CALLS)).ngrams.tolist()
    ngram = next(n for n in ngrams if model.signals[Signal.NGRAMS].bits(n) > 0)
    scores = []
    for factor in (0, 1, 100):
        calls = np.array([model.usual_counts[Signal.NGRAMS] * factor])
        last = window(0, NgramCounts(np.array([ngram], np.uint64), calls))
        sighted = RunningWindow(model, last)
        sighted.add([ngram], 1)
        scores.append(sighted.score().by_signal[Signal.NGRAMS])
    assert scores[0] == scores[1] > scores[2] > 0


def test_it_begins_again_when_all_was_told(model: WorkloadModel) -> None:
    sighted = RunningWindow(model, None)
    assert not sighted.is_anomaly
    sighted.add([SHELL_STARTED], 7)
    sighted.add([INTRUDER], 8)
    assert sighted.is_anomaly
    assert (sighted.start, sighted.items) == (7, [SHELL_STARTED, INTRUDER])
    sighted.clear()
    assert not sighted.is_anomaly
    assert (sighted.start, sighted.items) == (None, [])
    assert sighted.score().bits == 0
    assert SHELL_STARTED not in sighted


def test_its_room_is_bounded_by_signal(model: WorkloadModel) -> None:
    sighted = RunningWindow(model, None)
    assert all(sighted.add([n], 1) for n in range(1 << 40, (1 << 40) + MOST_SIGHTED))
    assert not sighted.add([1 << 41], 1)
    assert sighted.add([SHELL_STARTED], 1)
    assert len(sighted.items) == MOST_SIGHTED + 1
