"""Real models of a small service, and what they tell of changes that last."""

import io
import math
import re
from collections.abc import Callable

import numpy as np
import pytest

from baseline.alerts.alert import Alert, RaisedBy
from baseline.alerts.detector import Detector
from baseline.alerts.incident import Event, Incident
from baseline.alerts.text import TextSink
from baseline.alerts.watched import Folded
from baseline.model.budget import Budget
from baseline.model.score import Seen, Signal, Volume
from baseline.model.workload_model import WorkloadModel
from baseline.window import NgramCounts, Window

SECOND = 10**9
MIDNIGHT = 1_795_392_000_000_000_000
LEARNED = 1800

EPOLL_WAIT, READ, WRITE, FSYNC = 233, 1, 2, 75  # symbols on x86_64: the number plus one
NGRAMS = [
    WRITE << 10 | EPOLL_WAIT,
    EPOLL_WAIT << 10 | READ,
    READ << 10 | WRITE,
    WRITE << 10 | FSYNC,
]


def second(number: int, epoll_waits: int, reads: int, writes: int, syncs: int) -> Window:
    start = MIDNIGHT + number * SECOND
    counts = np.array([epoll_waits, reads, writes, syncs])
    ngrams = NgramCounts.collect(np.array(NGRAMS, np.uint64), counts)
    return Window("web", "demo/a", start, start + SECOND, SECOND, ngrams)


def normal(number: int, syncs: float = 0.2) -> Window:
    """A second in which the service answers requests, and now and then saves what it has."""
    chance = np.random.default_rng(number)
    requests = 1 + chance.poisson(40)
    return second(number, requests, requests, requests, chance.poisson(syncs))


@pytest.fixture(scope="module")
def model() -> WorkloadModel:
    return WorkloadModel.fit([normal(number) for number in range(LEARNED)], "x86_64")


def watch(model: WorkloadModel, seconds: int, make: Callable[[int], Window]) -> list[Alert]:
    """Alerts of what comes after learning."""
    detector = Detector({"web": model})
    observed = (detector.observe(make(LEARNED + number)) for number in range(seconds))
    return [alert for alert in observed if alert]


def as_text(alert: Alert) -> str:
    stream = io.StringIO()
    opened = Incident.opened_by(alert, Folded(), alert.time)
    TextSink(stream.write).write(opened.report(Event.OPENED, alert.time, alert))
    return stream.getvalue()


def test_normal_time_raises_no_alert(model: WorkloadModel) -> None:
    assert watch(model, 600, normal) == []


def test_a_small_shift_that_lasts_explains_itself(model: WorkloadModel) -> None:
    def syncing_more(number: int) -> Window:
        return normal(number, syncs=4)

    assert not any(model.score(syncing_more(LEARNED + n)).is_anomaly for n in range(100))
    (alert,) = watch(model, 600, syncing_more)
    assert alert.test == RaisedBy.SHIFT
    assert alert.signal == Signal.VOLUMES
    assert alert.score.bits >= alert.score.threshold == model.shift_threshold
    assert MIDNIGHT + LEARNED * SECOND <= alert.start < alert.end - SECOND
    heaviest = alert.score.evidence[0]
    assert 2 < heaviest.count < 20  # in one window, as what is usual
    assert heaviest.item == Volume(FSYNC)
    assert heaviest.bits >= sum(e.bits for e in alert.score.evidence) / 2
    assert heaviest.nearest == "usually 0 to 1"
    assert isinstance(heaviest.seen, Seen)
    assert MIDNIGHT <= heaviest.seen.first < heaviest.seen.last <= MIDNIGHT + LEARNED * SECOND
    assert math.isnan(heaviest.without)
    text = as_text(alert)
    assert alert.headline.endswith("fsync; usually 0 to 1")
    assert "  lasting   too little in a window, together since 2026-11-23T00:3" in text
    assert "in learning 2026-11-23 00:00-00:" in text
    assert "without it" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_volume_that_is_an_anomaly_now_and_then_is_told_once_too(model: WorkloadModel) -> None:
    def flooded(number: int) -> Window:
        strongly = (number - LEARNED) % 15 == 0
        return second(number, 4000 if strongly else 400, 40, 40, 160 if strongly else 4)

    strong, weak = (model.score(flooded(LEARNED + n)).bits for n in (0, 1))
    assert strong > weak + 1
    between = model.with_budget(Budget(60 / 0.9 * 2 ** -((strong + weak) / 2), "minute"))
    assert len(watch(between, 500, flooded)) == 1


def test_an_unusual_volume_is_told_once_for_as_long_as_it_lasts(model: WorkloadModel) -> None:
    def flooded(number: int) -> Window:
        return second(number, 4000, 40, 400, 40)

    def twice_flooded(number: int) -> Window:
        return flooded(number) if (number - LEARNED) % 120 < 90 else normal(number)

    hourly = model.with_budget(Budget.parse("1/hour"))
    first, again = watch(hourly, 240, twice_flooded)
    assert (first.start, again.start) == (
        MIDNIGHT + LEARNED * SECOND,
        MIDNIGHT + (LEARNED + 120) * SECOND,
    )
    assert first.test == again.test == RaisedBy.WINDOW
    assert (first.folded, again.folded) == (0, 89)
    assert first.unseen == frozenset()
    counts = {e.item: e.count for e in first.score.evidence}
    assert counts[Volume(EPOLL_WAIT)] == 4000
    for evidence in first.score.evidence:
        rest = hourly.score(flooded(LEARNED), without={evidence.item})
        assert evidence.without == rest.bits < first.score.bits
    text = as_text(first)
    assert re.search(r"^ +[0-9.]+ +4,000  epoll_wait$", text, re.M)
    assert re.search(r"in learning .*; without it [0-9.]+ bits$", text, re.M)
