"""Calls never made and calls outwards are not drowned by what is new all the time."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from synthetic_service import (
    ARCHITECTURE,
    INTRUDER,
    REQUESTS,
    count_ngrams,
    serving,
    symbols,
    window,
)

from baseline.model.budget import Budget
from baseline.model.calls import alone, call_of
from baseline.model.connections import InboundModel, OutboundModel
from baseline.model.score import Call, Score, Signal
from baseline.model.workload_model import WorkloadModel
from baseline.syscalls import KIND_FOLDED, KIND_SHIFT
from baseline.window import Connection, Window

LEARNED = 600
HOURLY = Budget(1, "hour")
KNOWN = symbols(" ".join(calls for _, calls in REQUESTS))
(PTRACE,) = symbols("ptrace")


def restless(seed: int, number: int) -> list[Window]:
    """The service, to which new clients come, and that finds new orders of its calls."""
    chance = np.random.default_rng(seed)
    windows = list(islice(serving(seed), number))
    for i in np.flatnonzero(chance.random(number) < 0.2).tolist():
        odd = count_ngrams(chance.choice(KNOWN, chance.integers(5, 40)).tolist())
        windows[i] += window(i, odd)
    for i in np.flatnonzero(chance.random(number) < 0.03).tolist():
        networks = chance.integers(256, size=3).tolist()
        clients = [Connection("in", "tcp", f"10.{seed}.{n}.{i % 256}", 80) for n in networks]
        windows[i] += window(i, connections=dict.fromkeys(clients, 1))
    return windows


@pytest.fixture(scope="module")
def model() -> WorkloadModel:
    return WorkloadModel.fit(restless(1, LEARNED), ARCHITECTURE).with_budget(HOURLY)


@pytest.fixture(scope="module")
def after() -> list[Window]:
    return restless(2, 300)


def test_normal_time_has_much_that_is_new_and_keeps_its_budget(
    model: WorkloadModel, after: list[Window]
) -> None:
    scores = [model.score(normal) for normal in after]
    for signal in (Signal.NGRAMS, Signal.CONNECTIONS_IN):
        assert np.mean([score.by_signal[signal] > 0 for score in scores]) > 0.01
        one_new_thing = model.signals[signal].wholly_new_bits
        assert model.combination.by_signal[signal].highest > one_new_thing / 2
    assert sum(score.is_anomaly for score in scores) <= 2
    assert not any(score.by_signal[Signal.CALLS] for score in scores)


def added(model: WorkloadModel, normal: Window, **more: object) -> Score:
    return model.score(normal + replace(window(0), replica=normal.replica, **more))  # type: ignore[arg-type]


def test_one_call_that_was_never_made_is_an_alert_in_any_window(
    model: WorkloadModel, after: list[Window]
) -> None:
    for normal in after[:100]:
        score = added(model, normal, ngrams=count_ngrams([*KNOWN[:5], PTRACE]))
        assert score.is_anomaly
        assert Signal.CALLS in score.wholly_new
        (evidence,) = (e for e in score.evidence if e.signal == Signal.CALLS)
        assert (evidence.item, evidence.description, evidence.count) == (Call(PTRACE), "ptrace", 1)
        assert evidence.seen is None


def test_a_call_outwards_is_an_alert_of_a_service_with_ever_new_clients(
    model: WorkloadModel, after: list[Window]
) -> None:
    for normal in after[:100]:
        score = added(model, normal, connections={INTRUDER: 1})
        assert score.is_anomaly
        assert Signal.CONNECTIONS_OUT in score.wholly_new
    again = Connection("in", "tcp", "192.0.2.1", 80)
    assert not model.score_item(again).is_anomaly


def test_a_new_call_is_evidence_once(model: WorkloadModel) -> None:
    """As a call, however often and after whatever; its n-grams carry nothing of their own."""
    calls = count_ngrams([*KNOWN[:9], PTRACE, *KNOWN[5:8], PTRACE, PTRACE])
    by_signal = model.score(window(0, calls)).by_signal
    assert by_signal[Signal.CALLS] == pytest.approx(model.signals[Signal.CALLS].wholly_new_bits)
    ends_in_it = [n for n in calls.ngrams.tolist() if call_of(n) == Call(PTRACE)]
    assert len(ends_in_it) == 3
    for ngram in ends_in_it:
        assert model.signals[Signal.NGRAMS].bits(ngram) == 0
        assert model.novelties(ngram) == [Call(PTRACE), ngram]
        assert model.score_item(ngram).by_signal[Signal.CALLS] > 0


def test_what_was_folded_away_leaves_the_call(model: WorkloadModel) -> None:
    read, ptrace = (alone(Call(symbol)) for symbol in (symbols("recvfrom")[0], PTRACE))
    assert [ngram >> KIND_SHIFT for ngram in (read, ptrace)] == [KIND_FOLDED] * 2
    assert model.novelties(read) == [read]
    assert model.novelties(ptrace) == [Call(PTRACE), ptrace]
    request = Call(1 << 10 | 19)
    assert call_of(alone(request)) == request
    assert model.knows(Call(symbols("recvfrom")[0]))


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        (InboundModel, ["out", "tcp", "192.0.2.1", 80]),
        (OutboundModel, ["in", "tcp", "192.0.2.1", 80]),
        (OutboundModel, ["up", "tcp", "192.0.2.1", 80]),
    ],
)
def test_each_direction_has_its_own(kind: type[InboundModel], item: list[object]) -> None:
    with pytest.raises(ValueError, match="another direction"):
        kind.decode(item)
