import pytest
from plain_model import (
    CURL_STARTED,
    KNOWN_PEER,
    PEER,
    PYTHON_STARTED,
    SECOND,
    SH,
    SHELL_STARTED,
    PlainModel,
    sighting,
    window,
)

from baseline.alerts import watched as module
from baseline.alerts.alert import Alert, RaisedBy
from baseline.alerts.detector import Detector
from baseline.model.score import Item, Signal
from baseline.model.workload_model import WorkloadModel
from baseline.sighting import Process


@pytest.fixture
def detector() -> Detector:
    return Detector({"web": PlainModel()}, repeat_after=600.0)  # type: ignore[dict-item]  # plain


def evidence_of(alert: Alert | None) -> list[Item]:
    assert alert is not None
    return [e.item for e in alert.score.evidence]


def test_normal_behaviour_is_no_alert(detector: Detector) -> None:
    assert detector.observe(window(1, 1, 2, KNOWN_PEER)) is None
    assert detector.observe(sighting(1.5, KNOWN_PEER)) is None
    assert (detector.windows, detector.alerts, detector.folded) == (1, 0, 0)


def test_evidence_below_the_threshold_adds_up_in_the_window(detector: Detector) -> None:
    for n in (10, 11):
        assert detector.observe(sighting(0.5, n)) is None
    assert detector.observe(window(1, 1, 10, 11)) is None
    alert = detector.observe(window(2, 1, 10, 11, 12))
    assert evidence_of(alert) == [10, 11, 12]
    assert alert is not None
    assert (alert.score.bits, alert.start, alert.end, alert.time) == (
        30.0,
        1 * SECOND,
        2 * SECOND,
        2 * SECOND,
    )
    assert alert.unseen == {10, 11, 12}
    assert alert.test == RaisedBy.WINDOW
    assert alert.load == 4
    assert alert.once_in == pytest.approx(1e9)  # no rarer than people can be told of


def test_an_unseen_program_is_an_alert_at_first_sight_and_only_then(detector: Detector) -> None:
    alert = detector.observe(sighting(0.25, SHELL_STARTED))
    assert alert is not None
    assert (alert.time, alert.start, alert.end) == (SECOND // 4,) * 3
    assert (alert.process, alert.test) == (SH, RaisedBy.FIRST_SIGHT)
    assert alert.signal == Signal.EXECUTIONS
    assert alert.load is None  # as long as the window goes on
    assert detector.observe(sighting(0.26, SHELL_STARTED)) is None  # on another CPU
    assert detector.observe(window(1, 1, SHELL_STARTED, 10)) is None
    assert (detector.alerts, detector.folded) == (1, 1)


def test_what_else_the_window_holds_is_judged_without_it(detector: Detector) -> None:
    detector.observe(sighting(0.25, SHELL_STARTED))
    alert = detector.observe(window(1, 1, SHELL_STARTED, PEER, 10))
    assert evidence_of(alert) == [PEER, 10]
    assert alert is not None
    assert (alert.already_reported, alert.folded, alert.score.bits) == (1, 0, 50.0)


def test_a_lasting_deviation_is_told_again_after_a_while(detector: Detector) -> None:
    alerts = [detector.observe(window(second, 1, PEER, 10)) for second in range(1, 1301)]
    told = [second for second, alert in enumerate(alerts, start=1) if alert]
    assert told == [1, 601, 1201]
    assert [a.folded for a in alerts if a] == [0, 599, 599]
    assert detector.folded == 1300 - 3


def test_what_is_too_little_in_a_window_adds_up_to_one_alert(detector: Detector) -> None:
    alerts = [detector.observe(window(second, 1, 10)) for second in range(1, 601)]
    (alert,) = (alert for alert in alerts if alert)
    assert alert.test == RaisedBy.SHIFT
    assert (alert.start, alert.end) == (0, 5 * SECOND)
    assert (alert.score.bits, alert.score.threshold) == (20.0, 20.0)
    assert [(e.item, e.bits) for e in alert.score.evidence] == [(10, 50.0)]
    assert alert.unseen == {10}
    assert detector.folded == 0


def test_a_workload_that_stays_shifted_is_told_of_once(detector: Detector) -> None:
    """Whatever is new in each window, as it is of a service that got more clients."""
    alerts = [detector.observe(window(n, 1, 1000 + n)) for n in range(1, 601)]
    (alert,) = (alert for alert in alerts if alert)
    assert alert.test == RaisedBy.SHIFT
    assert alert.unseen == set(range(1001, 1006))
    assert [detector.observe(window(n, 1, 1000 + n)) for n in range(601, 604)] == [None] * 3
    alerts = [detector.observe(window(n, 1, 1000 + n)) for n in range(604, 700)]
    assert len([alert for alert in alerts if alert]) == 1
    assert detector.observe(window(700, SHELL_STARTED))  # what is no shift is told all the same


def test_shifts_of_replicas_do_not_add_up(detector: Detector) -> None:
    for second in range(1, 5):
        for replica in ("demo/a", "demo/b"):
            assert detector.observe(window(second, 10, replica=replica)) is None
    for second in range(5, 9):  # normal again, which takes back a bit a second
        assert detector.observe(window(second, 1, replica="demo/a")) is None
    assert detector.observe(window(9, 10, replica="demo/a")) is None
    assert detector.observe(window(9, 10, replica="demo/b"))


def test_a_clock_set_back_does_not_silence(detector: Detector) -> None:
    assert detector.observe(window(10_000, PEER))
    assert detector.observe(window(9_999, PEER)) is None
    assert detector.observe(window(1_000, PEER))


def test_every_new_program_and_peer_is_an_alert_of_its_own(detector: Detector) -> None:
    assert detector.observe(sighting(0.1, SHELL_STARTED))
    assert evidence_of(detector.observe(sighting(0.2, CURL_STARTED))) == [CURL_STARTED]
    assert evidence_of(detector.observe(sighting(0.3, PEER))) == [PEER]
    assert detector.observe(window(1, SHELL_STARTED, CURL_STARTED, PEER)) is None
    assert (detector.alerts, detector.folded) == (3, 1)
    assert detector.observe(sighting(1.1, PYTHON_STARTED))


def test_first_sights_add_up_in_the_running_window(detector: Detector) -> None:
    assert detector.observe(sighting(0.1, 10)) is None
    assert detector.observe(sighting(0.2, 11)) is None
    assert detector.observe(sighting(0.3, 11)) is None  # on another CPU: nothing more
    alert = detector.observe(sighting(0.4, 12))
    assert alert is not None
    assert evidence_of(alert) == [10, 11, 12]
    assert (alert.test, alert.score.bits) == (RaisedBy.FIRST_SIGHT, 30.0)
    assert (alert.start, alert.end, alert.time) == (SECOND // 10, SECOND * 2 // 5, SECOND * 2 // 5)
    assert detector.observe(window(1, 10, 11, 12)) is None
    assert detector.folded == 1


def test_the_next_alert_takes_as_much_again(detector: Detector) -> None:
    alerts = [detector.observe(sighting(n / 2, 100 + n)) for n in range(1, 7)]
    assert [bool(alert) for alert in alerts] == [False, False, True, False, False, True]
    assert evidence_of(alerts[-1]) == [104, 105, 106]


def test_system_calls_of_a_program_that_was_told_of_wait_for_the_window(
    detector: Detector,
) -> None:
    other = Process(99, 99, "other", ())
    assert detector.observe(sighting(0.1, SHELL_STARTED, SH))
    for n in range(10, 20):
        assert detector.observe(sighting(0.15, n, SH)) is None
    alert = detector.observe(sighting(0.16, 20, other))
    assert evidence_of(alert) == list(range(10, 15))
    assert alert is not None
    assert alert.unseen == set(range(10, 21))
    assert [detector.observe(sighting(0.3, n, SH)) for n in (30, 31)] == [None] * 2
    assert detector.observe(sighting(0.4, 32, SH))


def test_first_sights_add_up_within_a_window_and_a_replica_alone(detector: Detector) -> None:
    for n, replica in ((10, "demo/a"), (11, "demo/a"), (12, "demo/b"), (13, "demo/b")):
        assert detector.observe(sighting(0.5, n, replica=replica)) is None
    assert detector.observe(window(1, 10, 11)) is None
    assert detector.observe(sighting(1.5, 14)) is None
    assert detector.observe(sighting(1.6, 15, replica="demo/b"))


def test_what_comes_later_than_its_window_is_not_judged_twice(detector: Detector) -> None:
    assert detector.observe(window(1, 10, 11)) is None
    for n in (10, 11):
        assert detector.observe(sighting(0.99, n)) is None
    assert detector.observe(sighting(1.01, 12)) is None
    assert evidence_of(detector.observe(window(2, 12, 13, 14))) == [12, 13, 14]


def test_replicas_are_one_workload_with_first_sights_of_their_own(detector: Detector) -> None:
    assert detector.observe(sighting(0.1, SHELL_STARTED, replica="demo/a"))
    assert detector.observe(sighting(0.2, SHELL_STARTED, replica="demo/b")) is None
    assert detector.observe(sighting(0.3, CURL_STARTED, replica="demo/b"))


def test_the_process_is_that_of_the_leading_evidence(detector: Detector) -> None:
    worker = Process(7, 8, "worker", ())
    detector.observe(sighting(0.1, 10, worker))
    first = detector.observe(sighting(0.2, PEER, None))
    second = detector.observe(sighting(0.3, SHELL_STARTED, SH))
    third = detector.observe(window(1, 10, SHELL_STARTED, 11, 12, 13))
    assert [alert.process for alert in (first, second, third) if alert] == [worker, SH, None]
    assert Detector({"web": PlainModel()}).observe(window(1, PEER)).process is None  # type: ignore[dict-item, union-attr]  # plain


def test_workloads_without_a_model_are_named_once(detector: Detector) -> None:
    assert detector.observe(window(1, PEER, workload="other")) is None
    assert detector.observe(window(2, PEER, workload="other")) is None
    assert detector.workloads_without_model() == ["other"]
    assert detector.workloads_without_model() == []
    detector.observe(window(3, PEER, workload="third"))
    detector.observe(window(3, PEER, workload="other"))
    assert detector.workloads_without_model() == ["third"]
    assert detector.windows == 4


def test_memory_is_bounded_and_what_was_not_shown_is_told_again(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 8)
    many = range(100, 200)
    alert = detector.observe(window(1, *many))
    assert alert is not None
    assert len(alert.unseen) == 100
    alert = detector.observe(window(2, *many))
    assert alert is not None
    assert alert.already_reported == 8
    assert not {100, 101, 102, 103, 104} & alert.unseen
    for workload in range(100):
        detector.observe(window(3, workload=f"job-{workload}"))
    assert len(detector.workloads_without_model()) == 8


def test_the_same_observations_give_the_same_alerts() -> None:
    observations = [
        sighting(0.1, SHELL_STARTED),
        window(1, SHELL_STARTED, PEER, 10, 11),
        window(2, PEER, 12, 13, 14),
    ]
    runs = []
    for _ in range(2):
        detector = Detector({"web": PlainModel()})  # type: ignore[dict-item]  # plain
        alerts = [detector.observe(o) for o in observations]
        runs.append([a.to_dict() for a in alerts if a])
    assert runs[0] == runs[1]
    assert len({a["id"] for a in runs[0]}) == 3


def test_a_model_of_next_to_nothing_alerts_of_something_alone() -> None:
    learned = WorkloadModel.fit([window(1, 1, 2)], "x86_64")
    detector = Detector({"web": learned})
    assert detector.observe(window(2, 1, 2)) is None
    assert detector.observe(window(3, 1, 2, SHELL_STARTED)) is not None
