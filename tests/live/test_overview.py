import itertools

import pytest
from shown import (
    CLIENT,
    INTRUDER,
    SECOND,
    SHELL_STARTED,
    learned,
    snapshot_of,
    window,
)
from strategies import MIDNIGHT

from baseline.alerts.detector import Detector
from baseline.live import overview as module
from baseline.live.overview import NAMED, Overview, Row, Snapshot
from baseline.model.budget import Budget
from baseline.model.score import Signal
from baseline.window import Window

NORMAL = {1: 100, 2: 10, 3: 1}


def normal(second: float, **facts: object) -> Window:
    return window(second, NORMAL, connections=[CLIENT], **facts)  # type: ignore[arg-type]


def intruded(second: float) -> Window:
    return window(second, {**NORMAL, 7: 1, 8: 1}, [SHELL_STARTED], [CLIENT, INTRUDER])


def only(snapshot: Snapshot) -> Row:
    (row,) = snapshot.rows
    return row


def test_nothing_is_nothing() -> None:
    assert Overview({}).snapshot() == Snapshot(0, (), is_judged=False)


def test_calls_a_second_of_all_replicas_in_their_latest_windows() -> None:
    row = only(
        snapshot_of(
            [
                window(1, {1: 5003}, replica="shop/web-1"),
                window(2, {1: 1009}, replica="shop/web-1"),
                window(2, {1: 401}, replica="shop/web-2"),
                window(2.5, {1: 53}, replica="other/web-3", seconds=0.5),
            ]
        )
    )
    assert (row.calls, row.replicas) == (1009 + 401 + 2 * 53, 3)


def test_a_replica_that_ended_counts_no_more_and_its_workload_stays() -> None:
    overview = Overview({})
    overview.add(window(1, {1: 1009}, replica="shop/web-1"))
    overview.add(window(1, {1: 401}, replica="shop/web-2"))
    overview.add(window(3, {1: 31}, replica="shop/web-2"))
    assert (only(overview.snapshot()).calls, only(overview.snapshot()).replicas) == (31, 1)
    overview.add(window(5, {1: 7}, workload="api"))
    web, api = sorted(overview.snapshot().rows, key=lambda row: -row.alerts or row.calls)
    assert (web.workload, web.calls, web.replicas) == ("web", 0, 0)
    assert (api.workload, api.calls, api.replicas) == ("api", 7, 1)


def test_losses_of_the_whole_session() -> None:
    windows = [window(1, {1: 5}, lost=3), window(2, {1: 5}), window(3, {1: 5}, lost=4)]
    row = only(snapshot_of(windows))
    assert (row.unaccounted, row.counted) == (7, 22)


def test_counts_that_nobody_can_account_for_are_losses() -> None:
    missing = window(1, {1: 5})
    ledger = missing.ledger
    tally = ledger.ngrams._replace(counted=9)
    object.__setattr__(missing, "ledger", type(ledger)(ngrams=tally))
    assert only(snapshot_of([missing])).unaccounted == 4


def test_without_a_model_nothing_is_judged() -> None:
    snapshot = snapshot_of([normal(1), intruded(2)])
    row = only(snapshot)
    assert not snapshot.is_judged
    assert (row.bits, row.threshold, row.alerts, row.latest) == (None, None, 0, ())
    assert row.new == {
        Signal.NGRAMS: 5,
        Signal.CALLS: 5,
        Signal.EXECUTIONS: 1,
        Signal.CONNECTIONS_IN: 1,
        Signal.CONNECTIONS_OUT: 1,
    }
    assert row.newest[0] in {INTRUDER, SHELL_STARTED}


def test_a_workload_without_a_model_beside_one_that_has_one() -> None:
    other = window(1, {1: 5}, workload="api", replica="shop/api")
    snapshot = snapshot_of([normal(1), other], learned())
    assert snapshot.is_judged
    assert {row.workload: row.threshold is None for row in snapshot.rows} == {
        "web": False,
        "api": True,
    }


def test_what_normal_time_and_an_intruder_look_like() -> None:
    model = learned().with_budget(Budget(2, "hour"))
    row = only(snapshot_of([normal(1)], model))
    assert (row.new, row.alerts, row.is_alerting) == ({}, 0, False)
    assert (row.threshold, row.budget) == (model.threshold, "2/hour")
    assert model.provenance.completeness
    assert (row.state, row.reason) == (
        model.provenance.completeness.state,
        model.provenance.completeness.reason,
    )
    assert row.bits == model.score(normal(1)).bits
    assert row.fullness < 1
    row = only(snapshot_of([normal(1), intruded(2), intruded(3)], model))
    assert row.new == {
        Signal.NGRAMS: 2,
        Signal.CALLS: 2,
        Signal.EXECUTIONS: 1,
        Signal.CONNECTIONS_OUT: 1,
    }
    assert (row.alerts, row.is_alerting) == (1, True)
    assert row.fullness > 1


def test_alerts_are_those_of_a_detector_the_latest_first() -> None:
    windows = [
        *(normal(second) for second in range(1, 10)),
        intruded(10),
        window(11, {**NORMAL, 20: 3, 21: 3, 22: 3}, connections=[CLIENT]),
        intruded(12),
    ]
    detector = Detector({"web": learned()})
    alerts = [alert for seen in windows if (alert := detector.observe(seen))]
    assert len(alerts) > 1
    row = only(snapshot_of(windows, learned()))
    assert row.latest == tuple(reversed(alerts))
    assert row.alerts == len(alerts)


def test_the_highest_score_of_the_last_minute_and_no_longer() -> None:
    """As the definition has it, over all scores there were."""
    model = learned()
    overview = Overview({"web": model})
    scores: list[tuple[int, float]] = []
    seconds = itertools.chain(range(1, 30), range(30, 200, 7))
    for second in seconds:
        seen = intruded(second) if second in {5, 6, 58, 149} else normal(second)
        overview.add(seen)
        scores.append((second, model.score(seen).bits))
        highest = max(bits for when, bits in scores if second - when < 60)
        assert only(overview.snapshot()).bits == highest
    assert max(bits for _, bits in scores) > model.threshold


def test_an_alert_is_of_the_last_minute_for_a_minute() -> None:
    overview = Overview({"web": learned()})
    overview.add(intruded(1))
    for second in range(2, 61):
        overview.add(normal(second))
        assert only(overview.snapshot()).is_alerting
    overview.add(normal(61))
    row = only(overview.snapshot())
    assert (row.is_alerting, row.alerts, row.new, row.newest) == (False, 1, {}, ())


def test_a_clock_that_is_set_back_does_not_stop_the_table() -> None:
    overview = Overview({"web": learned()})
    overview.add(intruded(7200))
    overview.add(normal(1))
    row = only(overview.snapshot())
    assert overview.snapshot().time == MIDNIGHT + SECOND
    assert (row.calls, row.replicas, row.new, row.is_alerting) == (111, 1, {}, False)
    assert row.bits == learned().score(normal(1)).bits


def test_few_are_named() -> None:
    peers = [INTRUDER._replace(port=port) for port in range(1, 10)]
    assert len(only(snapshot_of([window(1, {1: 1}, connections=peers)])).newest) == NAMED


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WORKLOADS", 3)
    overview = Overview({})
    for second, name in enumerate("abcadea", 1):
        overview.add(window(second, {1: 1}, workload=name))
    assert {row.workload for row in overview.snapshot().rows} == {"d", "e", "a"}
