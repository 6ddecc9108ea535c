"""A flood is an alert of its own kind, costs what is bounded, and hides nothing."""

import json
import tracemalloc
from collections.abc import Iterable

import pytest
from plain_model import (
    PEER,
    SECOND,
    SH,
    SHELL_STARTED,
    PlainModel,
    program,
    sighting,
    window,
)

from baseline.alerts.alert import Alert, RaisedBy
from baseline.alerts.detector import Detector
from baseline.alerts.flood import FLOOD, HELD_BACK_FLOOD, Flood
from baseline.alerts.incident import Event, Incidents, Report
from baseline.alerts.watched import JUDGED, REMEMBERED
from baseline.model.running_window import MOST_SIGHTED
from baseline.sighting import Observation, Process, Sighting
from baseline.syscalls import KIND_FOLDED, KIND_SHIFT
from baseline.window import FOLDED_IMAGE, Connection, Execution

MANY = range(1_000_000, 1_000_000 + FLOOD)
FOLDED_READ = KIND_FOLDED << KIND_SHIFT | 1


@pytest.fixture
def detector() -> Detector:
    return Detector({"web": PlainModel()})  # type: ignore[dict-item]  # plain


def alerts_of(detector: Detector, observations: Iterable[Observation]) -> list[Alert]:
    return [alert for o in observations if (alert := detector.observe(o))]


def test_a_thousand_new_ngrams_in_a_window_are_a_flood(detector: Detector) -> None:
    alert = detector.observe(window(1, 1, *MANY, SHELL_STARTED))
    assert alert is not None
    assert (alert.test, alert.flood) == (RaisedBy.FLOOD, Flood(1.0, FLOOD + 1, 0, 0))
    assert alert.headline == (
        "flood: 1,001 new items in 1 s; nginx started /usr/bin/dash as uid 33, never seen in "
        "learning; also 1,000 new system-call sequences"
    )
    assert alert.to_dict()["flood"] == {
        "seconds": 1.0,
        "new": 1001,
        "folded": 0,
        "held_back": 0,
    }


def test_less_is_an_anomaly_but_no_flood(detector: Detector) -> None:
    alert = detector.observe(window(1, *MANY[1:]))
    assert alert is not None
    assert (alert.test, alert.flood) == (RaisedBy.WINDOW, None)


@pytest.mark.parametrize(
    ("new", "held_back", "test"),
    [
        (HELD_BACK_FLOOD, 1, RaisedBy.FLOOD),
        (HELD_BACK_FLOOD - 1, 5000, RaisedBy.WINDOW),
        (0, 5000, None),  # a service that starts: nothing of it is new to the model
    ],
)
def test_first_sights_held_back_count_with_what_is_new(
    new: int, held_back: int, test: RaisedBy | None, detector: Detector
) -> None:
    alert = detector.observe(window(1, 1, 2, 3, *MANY[:new], held_back=held_back))
    assert (alert and alert.test) == test
    if alert and alert.flood:
        assert alert.flood.held_back == held_back
        assert "flood: 100 new items, 1 first sight held back in 1 s; " in alert.headline


def test_a_service_that_starts_is_no_flood() -> None:
    model = PlainModel()
    model.known = frozenset(MANY)
    detector = Detector({"web": model})  # type: ignore[dict-item]  # plain
    starting = [*(sighting(n / 10_000, item) for n, item in enumerate(MANY)), window(1, *MANY)]
    assert alerts_of(detector, starting) == []


@pytest.mark.parametrize(
    "folded",
    [FOLDED_READ, Execution((FOLDED_IMAGE,), 0), Connection("out", "tcp", "", 0)],
    ids=["call", "program", "peer"],
)
def test_what_the_kernel_folded_is_a_flood(
    folded: int | Execution | Connection, detector: Detector
) -> None:
    alert = detector.observe(window(1, 1, folded))
    assert alert is not None
    assert (alert.test, alert.flood) == (RaisedBy.FLOOD, Flood(1.0, 1, 1, 0))
    assert alert.headline.startswith("flood: 1 new item, 1 event folded in 1 s; ")
    known = PlainModel()
    known.known = frozenset({1, folded})
    assert Detector({"web": known}).observe(window(1, 1, folded)) is None  # type: ignore[dict-item]  # plain


def test_a_flood_is_told_before_its_window_ends(detector: Detector) -> None:
    alerts = alerts_of(detector, (sighting(1 + n / FLOOD, item) for n, item in enumerate(MANY)))
    assert [a.test for a in alerts[:-1]] == [RaisedBy.FIRST_SIGHT] * 4
    assert alerts[-1].test == RaisedBy.FLOOD
    assert alerts[-1].time < 2 * SECOND
    assert alerts[-1].flood == Flood(0.999, FLOOD, 0, 0)


def test_as_many_in_more_than_a_second_are_no_flood(detector: Detector) -> None:
    slow = (sighting(n / FLOOD * 2, item) for n, item in enumerate(MANY))
    assert {a.test for a in alerts_of(detector, slow)} == {RaisedBy.FIRST_SIGHT}


def test_the_same_on_many_cpus_is_no_flood(detector: Detector) -> None:
    """The kernel reports an n-gram once for each CPU."""
    again = (sighting(n / FLOOD / 10, MANY[n % 100]) for n in range(10 * FLOOD))
    assert RaisedBy.FLOOD not in {a.test for a in alerts_of(detector, again)}


def test_a_flood_that_goes_on_is_folded_and_counted(detector: Detector) -> None:
    def second(n: int) -> range:
        return range(n * 10_000, n * 10_000 + 2 * FLOOD)

    assert detector.observe(window(1, *second(1)))
    assert alerts_of(detector, [window(n, *second(n)) for n in range(2, 12)]) == []
    assert detector.folded_of("web") == (10, 10 * 2 * FLOOD, 0)
    # Something of another kind is told all the same, with what was folded.
    alert = detector.observe(window(12, *second(12), PEER))
    assert alert is not None
    assert (alert.test, alert.folded) == (RaisedBy.WINDOW, 10)
    assert alert.leading.item == PEER
    assert detector.observe(window(13, 1)) is None  # no shift is left of it
    again = detector.observe(window(700, *second(700)))
    assert again is not None
    assert again.test == RaisedBy.FLOOD


def test_a_new_program_in_a_flood_of_system_calls_is_told_at_once(detector: Detector) -> None:
    for n in range(5 * FLOOD):
        detector.observe(sighting(n / FLOOD / 4, 1_000_000 + n))
    other = Process(77, 77, "dash", ())
    alert = detector.observe(sighting(1.26, SHELL_STARTED, other))
    assert alert is not None
    assert (alert.leading.item, alert.process) == (SHELL_STARTED, other)


def flood(seconds: int, a_second: int) -> Iterable[Observation]:
    """Ever-new n-grams, and now and then a program, with the windows that hold them."""
    item = 1_000_000
    for second in range(1, seconds + 1):
        new: list[int | Execution] = [*range(item, item + a_second), program(second)]
        item += a_second
        for n, one in enumerate(new):
            yield sighting(second - 1 + n / len(new) * 0.99, one)
        yield window(second, *new)


class CountingModel(PlainModel):
    """Counts what it is asked to judge."""

    judged = 0

    def is_anomaly(self, by_signal: object) -> bool:  # type: ignore[override]
        self.judged += 1
        return super().is_anomaly(by_signal)  # type: ignore[arg-type]


def test_a_hundred_thousand_first_sights_cost_what_is_bounded() -> None:
    """100,000 in ten seconds, with a new program in each of them."""
    model = CountingModel()
    detector = Detector({"web": model})  # type: ignore[dict-item]  # plain
    incidents = Incidents(detector)
    seconds, a_second = 10, 10_000
    sightings = windows = bytes_written = 0
    reports: list[Report] = []
    tracemalloc.start()
    half = 0
    for observation in flood(seconds, a_second):
        for report in incidents.observe(observation):
            bytes_written += len(json.dumps(report.to_dict()))
            reports.append(Report(**{**report.__dict__, "alert": None}))
            if report.alert:
                programs = {i for i in report.alert.unseen if isinstance(i, Execution)}
                assert len(programs) <= 1
        sightings += isinstance(observation, Sighting)
        windows += not isinstance(observation, Sighting)
        if not isinstance(observation, Sighting) and windows == seconds // 2:
            half = tracemalloc.get_traced_memory()[0]
    end = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert sightings == seconds * (a_second + 1)
    # Memory stays where it was after half of it: what is remembered is full.
    assert end < half * 1.1
    assert end < REMEMBERED * 3 * 1000
    assert len(reports) <= 1 + 8 + seconds + 4 + seconds // 5 + 2
    assert bytes_written < len(reports) * (REMEMBERED * 25 + 5000)
    assert sum(r.event == Event.OPENED for r in reports) == 1
    # What was not judged before its window is counted.
    folded = detector.folded_of("web")
    assert folded.sightings > sightings - (seconds + 1) * JUDGED * 2
    assert model.judged <= sightings
    reports += incidents.rest()
    counts = incidents.open["web"].report(Event.UPDATED, 0).counts
    assert detector.alerts == counts.alerts == 1 + counts.updates + counts.held_back
    assert counts.folded_sightings == folded.sightings


def test_every_program_of_a_flood_is_told_at_its_first_sight() -> None:
    detector = Detector({"web": PlainModel()})  # type: ignore[dict-item]  # plain
    told = {
        alert.leading.item: alert.test
        for alert in alerts_of(detector, flood(8, 3 * FLOOD))
        if isinstance(alert.leading.item, Execution)
    }
    assert told == {program(second): RaisedBy.FIRST_SIGHT for second in range(1, 9)}


def test_first_sights_wait_in_bounded_memory(detector: Detector) -> None:
    """A window that never ends: what is not judged is counted."""
    weak = PlainModel()
    weak.is_anomaly = lambda by_signal: False  # type: ignore[method-assign]
    watching = Detector({"web": weak})  # type: ignore[dict-item]  # plain
    number = 10 * MOST_SIGHTED
    for n in range(number):
        watching.observe(sighting(1 + n, n + 100, SH))  # one a second
    assert watching.folded_of("web").sightings == number - MOST_SIGHTED
