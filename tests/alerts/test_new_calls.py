"""A call that was never made, from its first sight to the model that takes it for normal."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plain_model import SECOND, SH, sighting

from baseline.alerts.accepting import accept_alerts
from baseline.alerts.alert import Alert, RaisedBy
from baseline.alerts.detector import Detector
from baseline.alerts.written_alert import WrittenAlert
from baseline.model.budget import Budget
from baseline.model.calls import alone
from baseline.model.score import Call, Signal
from baseline.model.workload_model import WorkloadModel
from baseline.recordings.reader import Recording
from baseline.syscalls import KIND_FOLDED, KIND_SHIFT, pack
from baseline.window import NgramCounts, Window

DATA = Path(__file__).parents[2] / "data"
PTRACE = Call(102)


def ends_in_ptrace(model: WorkloadModel, *before: int) -> int:
    (ngram,) = pack(np.array([[*[0] * (5 - len(before)), *before, PTRACE.symbol]])).tolist()
    assert not model.knows(ngram)
    return int(ngram)


@pytest.fixture(scope="module")
def normal() -> list[Window]:
    return list(Recording(DATA / "nginx" / "normal").windows())


@pytest.fixture(scope="module")
def model(normal: list[Window]) -> WorkloadModel:
    return WorkloadModel.fit(normal).with_budget(Budget(1, "hour"))


def first_sight(detector: Detector, model: WorkloadModel, *before: int) -> Alert | None:
    seen = sighting(0.25, ends_in_ptrace(model, *before), workload="nginx")
    return detector.observe(seen)


def test_the_first_sight_of_its_first_ngram_is_an_alert(
    model: WorkloadModel, normal: list[Window]
) -> None:
    detector = Detector({"nginx": model})
    alert = first_sight(detector, model, 1, 2)
    assert alert is not None
    assert (alert.test, alert.signal, alert.process) == (RaisedBy.FIRST_SIGHT, Signal.CALLS, SH)
    assert alert.headline == ("never made ptrace before, by sh; also 1 new system-call sequence")
    assert [e.item for e in alert.score.evidence] == [PTRACE]
    assert alert.unseen == {PTRACE, ends_in_ptrace(model, 1, 2)}
    # It is told once, whatever comes before it.
    assert first_sight(detector, model, 2, 1) is None
    ngrams = [ends_in_ptrace(model, 1, 2), ends_in_ptrace(model, 2, 1), ends_in_ptrace(model)]
    more = NgramCounts.collect(np.array(ngrams, np.uint64), np.array([5, 3, 1]))
    assert model.score(with_calls(normal[-1], more)).is_anomaly
    assert detector.observe(with_calls(normal[-1], more)) is None
    assert (detector.alerts, detector.folded) == (1, 1)


def with_calls(window: Window, ngrams: NgramCounts) -> Window:
    """The same window in the first second, with these calls."""
    return replace(window, start=0, end=SECOND, replica="demo/a", ngrams=window.ngrams + ngrams)


def test_it_is_accepted_by_name(model: WorkloadModel, normal: list[Window]) -> None:
    alert = first_sight(Detector({"nginx": model}), model, 1, 2)
    assert alert is not None
    document = json.loads(json.dumps(alert.to_dict()))
    (piece,) = document["evidence"]
    assert piece["item"] == {"syscall": "ptrace", "symbol": PTRACE.symbol}
    assert document["unseen"]["calls"] == 1
    written = WrittenAlert.from_dict(document)
    assert [evidence.item for evidence in written.evidence] == [PTRACE]
    assert written.unlisted == 0
    for told in (written, WrittenAlert.from_dict(document | {"unlisted_ngrams": []})):
        acceptance = accept_alerts(model, [told])
        assert acceptance.after.knows(PTRACE)
        assert acceptance.hides(told)
        assert not accept_alerts(acceptance.after, [told]).changes_anything
        again = first_sight(Detector({"nginx": acceptance.after}), model, 2, 1)
        assert again is None or again.signal == Signal.NGRAMS


def test_calls_that_the_evidence_has_no_room_for_are_accepted_too(
    model: WorkloadModel, normal: list[Window]
) -> None:
    calls = [call for call in map(Call, range(150, 350)) if not model.knows(call)][:40]
    made = NgramCounts.collect(
        np.array([alone(call) for call in calls], np.uint64), np.full(len(calls), 1)
    )
    alert = Detector({"nginx": model}).observe(with_calls(normal[-1], made))
    assert alert is not None
    document = alert.to_dict()
    evidence = [e for e in alert.to_dict()["evidence"] if e["signal"] == "calls"]  # type: ignore[attr-defined]  # a list
    document |= {"evidence": evidence, "unlisted_ngrams": []}
    told = WrittenAlert.from_dict(json.loads(json.dumps(document)))
    assert len(told.unlisted_calls) == 8
    acceptance = accept_alerts(model, [told])
    assert acceptance.calls == set(calls)
    named = {**told.by_signal, Signal.NGRAMS: 0.0}
    assert acceptance.hides(replace(told, by_signal=named))
    assert told.unlisted == told.unseen[Signal.NGRAMS]


@pytest.mark.parametrize(
    "symbol", [-1, "102", True, 1 << 14, KIND_FOLDED << 10 | 102, None], ids=repr
)
def test_what_is_no_call_is_refused(model: WorkloadModel, symbol: object) -> None:
    alert = first_sight(Detector({"nginx": model}), model)
    assert alert is not None
    document = json.loads(json.dumps(alert.to_dict()))
    document["evidence"][0]["item"]["symbol"] = symbol
    with pytest.raises((ValueError, TypeError), match="call"):
        WrittenAlert.from_dict(document)


def test_a_folded_ngram_shows_its_call(model: WorkloadModel) -> None:
    folded = KIND_FOLDED << KIND_SHIFT | PTRACE.symbol
    alert = Detector({"nginx": model}).observe(sighting(0.25, folded, workload="nginx"))
    assert alert is not None
    assert alert.signal == Signal.CALLS
