"""Incidents open, go on and close, and what is not told is counted."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_model import (
    CURL_STARTED,
    KNOWN_PEER,
    PEER,
    PYTHON_STARTED,
    SECOND,
    SHELL_STARTED,
    PlainModel,
    program,
    sighting,
    window,
)

from baseline.alerts.detector import Detector
from baseline.alerts.incident import Event, Incidents, Report, still_open
from baseline.sighting import Observation
from baseline.window import Connection, Execution

QUIET = 600


@pytest.fixture
def incidents() -> Incidents:
    return watching()


def watching() -> Incidents:
    models = {"web": PlainModel(), "api": PlainModel()}
    return Incidents(Detector(models), quiet=QUIET)  # type: ignore[arg-type]  # plain


def told(incidents: Incidents, observations: Iterable[Observation]) -> list[Report]:
    return [report for o in observations for report in incidents.observe(o)]


def events(reports: Iterable[Report]) -> list[Event]:
    return [report.event for report in reports]


def test_the_first_alert_opens_and_the_next_updates(incidents: Incidents) -> None:
    opened, updated, again = told(
        incidents,
        [
            sighting(0.1, SHELL_STARTED),
            sighting(0.2, CURL_STARTED),
            window(1, SHELL_STARTED, CURL_STARTED),
            window(2, PEER, 10),
        ],
    )
    assert events([opened, updated, again]) == [Event.OPENED, Event.UPDATED, Event.UPDATED]
    assert opened.alert
    assert updated.alert
    assert again.alert
    assert {r.incident for r in (opened, updated, again)} == {opened.alert.id} == {opened.id}
    assert len({opened.id, updated.id, again.id}) == 3
    assert [r.severity for r in (opened, updated, again)] == [40.0, 40.0, 50.0]
    assert (again.start, again.end) == (SECOND // 10, 2 * SECOND)
    assert again.counts == (3, 2, 0, 0, 1, 0, 0)  # the first window held nothing new
    assert opened.counts == (1, 0, 0, 0, 0, 0, 0)
    assert updated.headline == opened.headline == opened.alert.headline  # the first of equals
    assert again.headline == again.alert.headline  # the weightiest
    assert incidents.opened == 1


def test_it_closes_after_quiet_time_without_the_workload(incidents: Incidents) -> None:
    (opened,) = told(incidents, [window(1, PEER)])
    others = [window(n, 1, workload="api") for n in range(1, QUIET + 1)]
    assert told(incidents, others) == []
    (closed,) = told(incidents, [window(QUIET + 1, 1, workload="api")])
    assert (closed.event, closed.workload, closed.incident) == (Event.CLOSED, "web", opened.id)
    assert (closed.time, closed.start, closed.end) == ((QUIET + 1) * SECOND, 0, SECOND)
    assert closed.alert is None
    assert incidents.open == {}
    (reopened,) = told(incidents, [window(QUIET + 2, PEER)])
    assert reopened.event == Event.OPENED
    assert reopened.incident != opened.incident
    assert incidents.opened == 2


def test_what_goes_on_keeps_it_open_and_is_counted(incidents: Incidents) -> None:
    observations = [window(n, 1, PEER) for n in range(1, QUIET)]
    (opened,) = told(incidents, observations)
    assert opened.event == Event.OPENED
    # A quiet time after the last repeat, not after the alert.
    assert told(incidents, [window(n, 1) for n in range(QUIET, 2 * QUIET - 1)]) == []
    (closed,) = told(incidents, [window(2 * QUIET - 1, 1)])
    assert closed.event == Event.CLOSED
    assert closed.counts == (1, 0, 0, 0, QUIET - 2, 0, 0)
    assert (closed.start, closed.end) == (0, (QUIET - 1) * SECOND)


def test_an_end_comes_before_what_begins(incidents: Incidents) -> None:
    reports = told(incidents, [window(1, PEER), window(QUIET + 1, SHELL_STARTED)])
    assert events(reports) == [Event.OPENED, Event.CLOSED, Event.OPENED]
    assert reports[0].incident == reports[1].incident != reports[2].incident


def test_a_clock_set_back_ends_an_incident_too(incidents: Incidents) -> None:
    reports = told(incidents, [window(10_000, PEER), window(9_999, 1), window(1_000, 1)])
    assert events(reports) == [Event.OPENED, Event.CLOSED]


def test_workloads_have_incidents_of_their_own(incidents: Incidents) -> None:
    reports = told(incidents, [window(1, PEER), window(1, PEER, workload="api")])
    assert events(reports) == [Event.OPENED] * 2
    assert still_open(incidents.open) == [f"api {reports[1].id}", f"web {reports[0].id}"]


def test_more_of_the_same_is_held_back_and_told_when_there_is_room(
    incidents: Incidents,
) -> None:
    # Three new n-grams in each window, so that each is an alert.
    observations = [window(n, *range(100 * n, 100 * n + 3)) for n in range(1, 31)]
    reports = told(incidents, observations)
    assert events(reports) == [Event.OPENED] + [Event.UPDATED] * 9  # 4, and then one in 5 s
    last = reports[-1]
    assert last.counts.alerts == sum(last.counts[1:3]) + 1
    (rest,) = incidents.rest()
    assert rest.counts == (30, 10, 19, 57, 0, 0, 0)
    assert incidents.rest() == []


def test_what_waits_is_told_without_further_evidence(incidents: Incidents) -> None:
    reports = told(incidents, [window(n, *range(100 * n, 100 * n + 3)) for n in range(1, 7)])
    assert len(reports) == 5
    (late,) = told(incidents, [window(n, 1) for n in range(7, 20)])
    assert late.event == Event.UPDATED
    assert late.counts.alerts == 6
    assert late.counts.held_back == 0
    assert late.time > 6 * SECOND


def test_what_waits_at_the_end_is_not_told_before_it_was_detected(incidents: Incidents) -> None:
    told(incidents, [window(n, *range(100 * n, 100 * n + 3)) for n in range(1, 6)])
    assert told(incidents, [window(5.5, 900, 901, 902)]) == []
    (rest,) = incidents.rest()
    assert rest.alert
    assert rest.time == rest.alert.time == 5.5 * SECOND


def test_another_kind_is_told_at_once_among_more_of_the_same(incidents: Incidents) -> None:
    told(incidents, [window(n, *range(100 * n, 100 * n + 3)) for n in range(1, 31)])
    (report,) = incidents.observe(sighting(30.5, SHELL_STARTED))
    assert report.alert
    assert report.alert.leading.item == SHELL_STARTED
    # The system calls that waited are those that stay without a line.
    assert report.counts.held_back == 20


def test_many_programs_are_held_back_as_well(incidents: Incidents) -> None:
    reports = told(incidents, (window(n / 100, program(n)) for n in range(100, 200)))
    assert len(reports) == 1 + 8
    later = told(incidents, [window(n, 1) for n in range(3, 100)])
    assert len(later) == 1
    assert later[0].counts == (100, 9, 90, 90, 0, 0, 0)


def test_the_weightiest_of_what_waits_is_told(incidents: Incidents) -> None:
    told(incidents, [window(n, *range(100 * n, 100 * n + 3)) for n in range(1, 6)])
    assert told(incidents, [window(5.1, 900, 901, 902, 903)]) == []
    assert told(incidents, [window(5.2, 910, 911, 912, 913, 914)]) == []
    assert told(incidents, [window(5.3, 920, 921, 922)]) == []
    (report,) = told(incidents, [window(n, 1) for n in range(6, 20)])
    assert report.alert
    assert report.alert.unseen == {910, 911, 912, 913, 914}
    assert report.counts.held_back_items == 7


def test_the_end_of_an_incident_in_json(incidents: Incidents) -> None:
    first = replace(window(1, PEER, 10), node="web1")
    opened, closed = told(incidents, [first, window(QUIET + 1, 1)])
    assert closed.to_dict() == {
        "id": closed.id,
        "time": "1970-01-01T00:10:01.000000Z",
        "start": "1970-01-01T00:00:00.000000Z",
        "end": "1970-01-01T00:00:01.000000Z",
        "node": "web1",
        "workload": "web",
        "headline": "new peer: tcp out to 203.0.113.9:4444; also 1 new system-call sequence",
        "incident": opened.id,
        "event": "closed",
        "severity": 50.0,
        "counts": {
            "alerts": 1,
            "updates": 0,
            "held_back": 0,
            "held_back_items": 0,
            "folded_windows": 0,
            "folded_items": 0,
            "folded_sightings": 0,
        },
    }
    assert opened.alert
    as_opened = opened.to_dict()
    assert as_opened.items() >= opened.alert.to_dict().items()
    assert (as_opened["event"], as_opened["incident"]) == ("opened", opened.alert.id)


ITEMS = st.lists(
    st.one_of(
        st.integers(1, 60),
        st.sampled_from([SHELL_STARTED, CURL_STARTED, PYTHON_STARTED, PEER, KNOWN_PEER]),
        st.builds(
            Connection, st.just("out"), st.just("tcp"), st.just("10.0.0.9"), st.integers(1, 9)
        ),
    ),
    max_size=6,
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.001, 0.1, 1.0, 1.0, 1.0, 5.0, 599.0, 601.0, -2.0]),
        st.sampled_from(["demo/a", "demo/b"]),
        st.sampled_from(["web", "api", "none"]),
        ITEMS,
        st.booleans(),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(STEPS)
def test_everything_is_told_or_counted(
    steps: Sequence[tuple[float, str, str, list[int | Execution | Connection], bool]],
) -> None:
    incidents, time = watching(), 1e6
    detector = Detector({"web": PlainModel(), "api": PlainModel()})  # type: ignore[dict-item]  # plain
    alerts, reports = [], []
    for step, replica, workload, items, is_window in steps:
        time += step
        observations: list[Observation] = (
            [window(time, *items, replica=replica, workload=workload)]
            if is_window
            else [sighting(time, item, replica=replica, workload=workload) for item in items]
        )
        for observation in observations:
            reports += incidents.observe(observation)
            alerts.append(detector.observe(observation))
    reports += incidents.rest()
    raised = {alert.id: alert for alert in alerts if alert}
    assert {r.alert.id for r in reports if r.alert} <= raised.keys()
    by_incident: dict[str, list[Report]] = {}
    for report in reports:
        by_incident.setdefault(report.incident, []).append(report)
    counts = []
    for name, own in by_incident.items():
        assert own[0].event == Event.OPENED
        assert own[0].id == name
        assert all(r.event == Event.UPDATED for r in own[1:-1])
        assert len({r.workload for r in own}) == 1
        assert (own[-1].event == Event.CLOSED) != (name in str(still_open(incidents.open)))
        last = own[-1].counts
        assert last.alerts == 1 + last.updates + last.held_back
        assert last.updates == len([r for r in own if r.event == Event.UPDATED])
        counts.append(last)
    assert sum(c.alerts for c in counts) == len([a for a in alerts if a])
    lines = {r.alert.id for r in reports if r.alert}
    assert sum(c.held_back for c in counts) == len([a for a in alerts if a and a.id not in lines])
    assert sum(c.held_back_items for c in counts) == sum(
        len(a.unseen) for a in alerts if a and a.id not in lines
    )


def test_lines_are_bounded_whatever_comes(incidents: Incidents) -> None:
    reports: list[Report] = []
    seconds = 120
    for n in range(20_000):
        item = (program(n), n + 100, Connection("out", "udp", f"10.0.{n}", 53))[n % 7 % 3]
        second = n * seconds / 20_000
        reports += incidents.observe(sighting(second, item))
        if n % 500 == 499:
            reports += incidents.observe(window(second, *range(n, n + 5)))
    reports += incidents.rest()
    assert len(reports) <= 1 + 8 + seconds * 1.0 + 4 + seconds * 0.2 + 1
    last = reports[-1].counts
    assert last.alerts == 1 + last.updates + last.held_back
