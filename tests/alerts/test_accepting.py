import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from baseline.alerts.accepting import accept_alerts
from baseline.alerts.alert import Alert, RaisedBy
from baseline.alerts.backtest import alerts_of
from baseline.alerts.detector import Detector
from baseline.alerts.written_alert import WrittenAlert, WrittenEvidence
from baseline.model.budget import Budget
from baseline.model.score import Signal, Volume
from baseline.model.workload_model import WorkloadModel
from baseline.recordings import Recording
from baseline.sighting import Sighting
from baseline.syscalls import SYMBOL_BITS, syscall_names
from baseline.window import Connection, Execution, Image, NgramCounts, Window

DATA = Path(__file__).parents[2] / "data"
HOURLY = Budget(1, "hour")


def written(alert: Alert) -> WrittenAlert:
    return WrittenAlert.from_dict(json.loads(json.dumps(alert.to_dict())))


@pytest.fixture(scope="module")
def intruded() -> list[Window]:
    return list(Recording(DATA / "nginx" / "intruded").windows())


@pytest.fixture(scope="module")
def model() -> WorkloadModel:
    return WorkloadModel.fit(list(Recording(DATA / "nginx" / "normal").windows()))


@pytest.fixture(scope="module")
def alerts(model: WorkloadModel, intruded: list[Window]) -> list[Alert]:
    """Of the shell, the download and the program from memory."""
    return alerts_of(model, intruded)


def test_an_alert_with_all_that_it_told_of_does_not_come_again(
    model: WorkloadModel, alerts: list[Alert], intruded: list[Window]
) -> None:
    shell, *others = alerts
    acceptance = accept_alerts(model, [written(shell)], {shell.id: shell.unseen})
    assert acceptance.changes_anything
    assert all(map(acceptance.after.knows, shell.unseen))
    assert {*acceptance.new.executions, *acceptance.new.connections} <= shell.unseen
    again = alerts_of(acceptance.after, intruded)
    assert [alert.time for alert in again] == [alert.time for alert in others]


def test_without_a_recording_all_that_is_named_becomes_known(
    model: WorkloadModel, alerts: list[Alert]
) -> None:
    download = written(alerts[1])
    assert download.unlisted_ngrams
    acceptance = accept_alerts(model, [download])
    assert all(map(acceptance.after.knows, alerts[1].unseen))
    strict = replace(download, threshold=12.0)
    assert acceptance.hides(strict)
    shorter = replace(download, unlisted_ngrams=())
    acceptance = accept_alerts(model, [shorter])
    rest = [item for item in alerts[1].unseen if not acceptance.after.knows(item)]
    assert set(rest) == set(download.unlisted_ngrams)
    assert len(rest) == shorter.unlisted
    assert not acceptance.hides(strict)


def test_it_is_noted_in_the_model(model: WorkloadModel, alerts: list[Alert]) -> None:
    after = accept_alerts(model, [written(a) for a in alerts[:2]]).after
    assert [note[:28] for note in after.provenance.notes] == [
        f"Accepted alert {a.id}:" for a in alerts[:2]
    ]
    assert model.provenance.notes == ()


def test_what_is_known_changes_nothing(model: WorkloadModel, alerts: list[Alert]) -> None:
    one = written(alerts[0])
    after = accept_alerts(model, [one]).after
    assert not accept_alerts(after, [one]).changes_anything


@pytest.fixture(scope="module")
def normal() -> list[Window]:
    return list(Recording(DATA / "nginx" / "normal").windows())


def also(
    seen: Window,
    executions: dict[Execution, int] | None = None,
    connections: dict[Connection, int] | None = None,
) -> Window:
    """A normal window with something else in it."""
    return replace(
        seen,
        executions={**seen.executions, **(executions or {})},
        connections={**seen.connections, **(connections or {})},
    )


SHELL = Execution((Image("/usr/sbin/nginx"), Image("/usr/bin/dash")), 33)
TOOL = Execution((Image("/usr/sbin/nginx"), Image("/usr/bin/dash"), Image("/usr/bin/id")), 33)
PEER = Connection("out", "tcp", "203.0.113.9", 4444)


def alert_of(model: WorkloadModel, *observed: Window | Sighting) -> Alert:
    detector = Detector({model.workload: model})
    told = [alert for o in observed if (alert := detector.observe(o))]
    return told[-1]


def test_the_same_elsewhere_is_hidden_and_another_thing_is_not(
    model: WorkloadModel, normal: list[Window]
) -> None:
    windows = {
        "first": also(normal[0], {SHELL: 1}),
        "same": also(normal[20], {SHELL: 2}),
        "more": also(normal[40], {SHELL: 1}, {PEER: 1}),
        "tool": also(normal[60], {TOOL: 1}),
        "peer": also(normal[80], connections={PEER: 1}),
    }
    alerts = {name: alert_of(model, seen) for name, seen in windows.items()}
    acceptance = accept_alerts(model, [written(alerts["first"])])
    for name, hidden in (
        ("first", True),
        ("same", True),
        ("more", False),
        ("tool", False),
        ("peer", False),
    ):
        assert acceptance.hides(written(alerts[name])) == hidden, name
        # The model says the same when it judges the windows themselves.
        assert (alerts_of(acceptance.after, [windows[name]]) == []) == hidden, name


def test_what_is_left_of_an_alert_is_compared_with_windows_of_its_load() -> None:
    windows = list(Recording(DATA / "postgres" / "normal").windows())
    model = WorkloadModel.fit(windows)
    one = written(alert_of(model, also(windows[0], {SHELL: 1})))
    one = replace(one, by_signal={**one.by_signal, Signal.VOLUMES: 2000.0})
    acceptance = accept_alerts(model, [one])
    loads = [400, 2000, None]
    left = {Signal.VOLUMES: 2000.0}
    bits = [-math.log2(acceptance.after.combination.p_value(left, load)) for load in loads]
    for threshold in sorted(bits)[1:]:
        hidden = [acceptance.hides(replace(one, load=n, threshold=threshold - 0.1)) for n in loads]
        assert hidden == [its < threshold - 0.1 for its in bits]
    assert min(bits[:2]) + 1 < max(bits[:2])  # which of them it is makes a difference


def test_what_is_accepted_already_is_not_hidden_once_more(
    model: WorkloadModel, alerts: list[Alert]
) -> None:
    shell, download, stage = map(written, alerts)
    again = replace(shell, id="0" * 12)
    first = accept_alerts(model, [shell])
    assert all(map(first.raised_before, (shell, again, download, stage)))
    assert first.hides(again)
    second = accept_alerts(first.after, [download])
    assert second.hides(replace(download, id="1" * 12))
    assert second.raised_before(stage)
    for known in (shell, again):
        assert not second.raised_before(known)
        assert not second.hides(known)


def test_a_volume_that_is_accepted_already_is_not_hidden_once_more(
    model: WorkloadModel, alerts: list[Alert], loud: Window
) -> None:
    model = model.with_budget(HOURLY)
    one = written(alert_of(model, loud))
    first = accept_alerts(model, [one])
    assert first.hides(one)
    assert not accept_alerts(first.after, [written(alerts[0])]).raised_before(one)


def test_a_first_sight_is_an_alert_like_any_other(
    model: WorkloadModel, normal: list[Window]
) -> None:
    sight = alert_of(model, Sighting(model.workload, "demo/a", 2 * 10**18, SHELL, None))
    assert sight.test == RaisedBy.FIRST_SIGHT
    acceptance = accept_alerts(model, [written(sight)])
    assert acceptance.hides(written(alert_of(model, also(normal[3], {SHELL: 1}))))


@pytest.fixture(scope="module")
def loud(normal: list[Window]) -> Window:
    """A window with a great many closes more than there should be."""
    numbers = {name: n for n, name in syscall_names("x86_64", compat=False).items()}
    counts = normal[100].ngrams
    last = counts.ngrams & np.uint64((1 << SYMBOL_BITS) - 1)
    many = np.where(last == numbers["close"] + 1, counts.counts * 100, counts.counts)
    return replace(normal[100], ngrams=NgramCounts(counts.ngrams, many))


def test_a_volume_that_was_accepted_is_hidden(model: WorkloadModel, loud: Window) -> None:
    model = model.with_budget(HOURLY)
    one = alert_of(model, loud)
    calls = [e for e in one.score.evidence if e.signal == Signal.VOLUMES]
    assert calls[0].description == "close"
    acceptance = accept_alerts(model, [written(one)])
    assert acceptance.volumes.keys() == {e.description for e in calls}
    assert acceptance.hides(written(one))
    assert not acceptance.after.score(loud).is_anomaly
    assert acceptance.after.score(loud).by_signal[Signal.VOLUMES] == 0
    assert not accept_alerts(acceptance.after, [written(one)]).changes_anything
    worse = replace(
        written(one),
        evidence=tuple(replace(e, bits=e.bits * 3) for e in written(one).evidence),
        by_signal={Signal.VOLUMES: 3 * one.score.by_signal[Signal.VOLUMES]},
    )
    assert not acceptance.hides(worse)


def test_of_a_lasting_shift_each_window_has_its_part(model: WorkloadModel) -> None:
    (close,) = (
        Volume(symbol)
        for symbol in model.signals[Signal.VOLUMES].symbols.tolist()  # type: ignore[attr-defined]  # of the calls
        if model.signals[Signal.VOLUMES].describe(Volume(symbol)) == "close"
    )
    start = 2 * 10**18
    lasting = WrittenAlert(
        id="0" * 12,
        workload=model.workload,
        replica="",
        headline="",
        start=start,
        end=start + 8 * 10**9,
        test=RaisedBy.SHIFT,
        bits=30.0,
        threshold=22.0,
        load=1000,
        by_signal={Signal.VOLUMES: 5.0},
        unseen={},
        evidence=(WrittenEvidence(Signal.VOLUMES, "close", "close", 800, 40.0),),
        unlisted_calls=(),
        unlisted_ngrams=(),
        incident="0" * 12,
        held_back=0,
    )
    acceptance = accept_alerts(model, [lasting])
    assert acceptance.volumes["close"] == pytest.approx(40 / 8, abs=0.01)
    assert model.knows(close)
    small = replace(
        lasting, evidence=(WrittenEvidence(Signal.VOLUMES, "close", "close", 100, 5.0),)
    )
    assert acceptance.hides(small)
    assert not acceptance.hides(lasting)  # of 40 bits 35 are left


def test_shares_cannot_be_accepted(
    model: WorkloadModel, loud: Window, normal: list[Window]
) -> None:
    traces = [
        Window("nginx", "", n * 10**9, n * 10**9 + length, length, normal[n].ngrams)
        for n, length in enumerate([10**8, 10**9, 10**10] * 5)
    ]
    mixed = WorkloadModel.fit(traces)
    one = written(alert_of(model.with_budget(HOURLY), loud))
    acceptance = accept_alerts(mixed, [one])
    assert acceptance.volumes == {}
    assert "close" in acceptance.shares
