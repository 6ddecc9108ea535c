import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from fuzzing import changed_document, fuzzed, refusal_of
from hypothesis import given
from hypothesis import strategies as st

from baseline.alerts.alert import Alert, RaisedBy
from baseline.alerts.backtest import alerts_of
from baseline.alerts.incident import Event, Incident
from baseline.alerts.watched import Folded
from baseline.alerts.written_alert import AlertsError, WrittenAlert, read_alerts
from baseline.model.score import Signal, Volume
from baseline.model.workload_model import WorkloadModel
from baseline.recordings import Recording
from baseline.syscalls import symbol_name

NGINX = Path(__file__).parents[2] / "data" / "nginx"


@pytest.fixture(scope="module")
def alerts() -> list[Alert]:
    """Of a real nginx that was intruded."""
    model = WorkloadModel.fit(list(Recording(NGINX / "normal").windows()))
    return alerts_of(model, Recording(NGINX / "intruded").windows())


def lines(alerts: list[Alert]) -> Iterator[bytes]:
    return (json.dumps(alert.to_dict()).encode() + b"\n" for alert in alerts)


def test_what_is_read_is_what_was_written(alerts: list[Alert]) -> None:
    read = list(read_alerts(lines(alerts), "alerts"))
    assert len(read) == len(alerts) > 1
    for written, alert in zip(read, alerts, strict=True):
        assert (written.id, written.workload, written.replica, written.headline, written.test) == (
            alert.id,
            alert.workload,
            alert.replica,
            alert.headline,
            alert.test,
        )
        assert 0 <= alert.start - written.start < 10**6
        assert 0 <= alert.end - written.end < 10**6
        assert written.threshold == pytest.approx(alert.score.threshold, abs=0.005)
        assert written.load == alert.load
        assert written.by_signal == pytest.approx(dict(alert.score.by_signal), abs=0.005)
        for ours, theirs in zip(written.evidence, alert.score.evidence, strict=True):
            item = theirs.item
            expected = symbol_name(item.symbol) if isinstance(item, Volume) else item
            assert (ours.signal, ours.item, ours.count) == (theirs.signal, expected, theirs.count)
            assert ours.bits == pytest.approx(theirs.bits, abs=0.005)


def test_opened_and_updated_are_alerts_and_closed_is_none(alerts: list[Alert]) -> None:
    first, second = alerts[:2]
    incident = Incident.opened_by(first, Folded(), first.time)
    reports = [
        incident.report(Event.OPENED, first.time, first),
        incident.report(Event.UPDATED, second.time, second),
        incident.report(Event.CLOSED, second.time + 1),
    ]
    written = [json.dumps(report.to_dict()).encode() for report in reports]
    assert [alert.id for alert in read_alerts(written, "alerts")] == [first.id, second.id]
    assert b'"event": "closed"' in written[2]


def test_how_much_it_does_not_name_is_known(alerts: list[Alert]) -> None:
    (written,) = read_alerts(lines(alerts[:1]), "alerts")
    listed = {e.item for e in written.evidence if e.signal == Signal.NGRAMS}
    unseen = {item for item in alerts[0].unseen if isinstance(item, int)}
    assert unseen - listed == set(written.unlisted_ngrams)
    assert len(written.unlisted_ngrams) == written.unseen[Signal.NGRAMS] - 32 > 0
    assert written.unlisted == 0
    without = json.loads(next(lines(alerts))) | {"unlisted_ngrams": []}
    assert WrittenAlert.from_dict(without).unlisted == written.unseen[Signal.NGRAMS] - 32
    less = json.loads(next(lines(alerts))) | {"unseen": {"ngrams": 2, "executions": 1}}
    assert WrittenAlert.from_dict(less).unlisted == 0


def test_a_load_that_is_not_known_is_none(alerts: list[Alert]) -> None:
    values = json.loads(next(lines(alerts)))
    assert WrittenAlert.from_dict(values | {"load": None}).load is None
    del values["load"]
    assert WrittenAlert.from_dict(values).load is None


def test_empty_lines_are_nothing(alerts: list[Alert]) -> None:
    assert len(list(read_alerts([b"\n", *lines(alerts[:1]), b"  \n"], "alerts"))) == 1
    assert list(read_alerts([], "alerts")) == []


@pytest.mark.parametrize(
    "change",
    [
        {"id": 7},
        {"workload": None},
        {"headline": "\ud800"},
        {"start": "yesterday"},
        {"end": "0001-01-01T00:00:00+14:00"},
        {"end": "1969-12-31T23:59:59Z"},
        {"test": "guess"},
        {"bits": float("inf")},
        {"bits": 10**400},
        {"threshold": True},
        {"load": -1},
        {"load": 0.5},
        {"by_signal": {"smell": 3}},
        {"unseen": {"ngrams": -1}},
        {"unseen": []},
        {"evidence": None},
        {"evidence": [{}]},
        {"unlisted_calls": [{"syscall": "ptrace"}]},
        {"unlisted_calls": [{"symbol": True}]},
    ],
)
def test_what_is_no_alert_is_refused_with_its_line(
    alerts: list[Alert], change: dict[str, object]
) -> None:
    good = next(lines(alerts))
    bad = json.dumps(json.loads(good) | change).encode()
    with pytest.raises(AlertsError, match=r"Line 2 of alerts.jsonl is no alert .*--format json"):
        list(read_alerts([good, bad], "alerts.jsonl"))


@pytest.mark.parametrize(
    "item",
    [
        {"packed": "0x1" + "0" * 16},
        {"packed": "-1"},
        {"packed": "socket"},
        {"packed": 3},
        {"lineage": [], "uid": 0},
        {"lineage": [{"path": "/bin/sh", "script": "", "unlinked": 0}], "uid": 0},
        {"lineage": [{"path": "/bin/sh", "script": "", "unlinked": False}], "uid": -1},
        {"direction": "up", "protocol": "tcp", "peer": "::1", "port": 1},
        {"direction": "in", "protocol": "tcp", "peer": "::1", "port": 1 << 16},
        {"syscall": 59},
        [],
    ],
)
@pytest.mark.parametrize("signal", Signal)
def test_items_that_are_none_are_refused(alerts: list[Alert], signal: Signal, item: object) -> None:
    document = json.loads(next(lines(alerts)))
    document["evidence"][0] |= {"signal": signal.value, "item": item}
    with pytest.raises(AlertsError):
        list(read_alerts([json.dumps(document).encode()], "alerts"))


@fuzzed(300)
@given(data=st.data())
def test_any_line_is_an_alert_or_refused(alerts: list[Alert], data: st.DataObject) -> None:
    line = data.draw(changed_document(json.loads(next(lines(alerts)))))

    def use() -> None:
        for alert in read_alerts(line.splitlines(), "alerts"):
            assert isinstance(alert.test, RaisedBy)
            assert alert.unlisted >= 0
            json.dumps(asdict(alert), allow_nan=False).encode()

    refusal_of(use, AlertsError)


@given(st.binary(max_size=50).filter(bytes.strip))
def test_any_bytes_that_are_no_alert_are_refused(content: bytes) -> None:
    with pytest.raises(AlertsError, match="Line 1 of alerts is no alert"):
        list(read_alerts([content], "alerts"))
