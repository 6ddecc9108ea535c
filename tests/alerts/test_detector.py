from collections.abc import Collection, Iterable

import numpy as np
import pytest

from baseline.alerts import detector as module
from baseline.alerts.alert import Alert, RaisedBy
from baseline.alerts.detector import Detector
from baseline.model.score import Evidence, Item, Score, signal_of
from baseline.model.workload_model import WorkloadModel
from baseline.sighting import Process, Sighting
from baseline.window import Connection, Execution, Image, NgramCounts, Signal, Window

SECOND = 10**9
NGINX, SHELL, CURL, PYTHON = (Image(f"/usr/bin/{n}") for n in ("nginx", "dash", "curl", "python3"))
SHELL_STARTED = Execution((NGINX, SHELL), 33)
CURL_STARTED = Execution((NGINX, SHELL, CURL), 33)
PYTHON_STARTED = Execution((NGINX, PYTHON), 33)
PEER = Connection("out", "tcp", "203.0.113.9", 4444)
KNOWN_PEER = Connection("out", "tcp", "10.0.0.5", 5432)
SH = Process(4123, 4123, "sh", (NGINX, SHELL))


class PlainModel:
    """Scores like any model, by a rule plain enough to reckon with: bits for each unknown item.

    A program or peer is worth 40 bits and an n-gram 10, however often it occurs; 30 are an alert,
    and so are windows of 10 bits that come five times in a row.
    """

    architecture = "x86_64"
    known = frozenset({KNOWN_PEER, 1, 2, 3})
    shift_threshold = 20.0

    def knows(self, item: Item) -> bool:
        return item in self.known

    def score_item(self, item: Item) -> Score:
        return self._score([item])

    def score(self, window: Window, without: Collection[Item] = ()) -> Score:
        items = [*window.executions, *window.connections, *window.ngrams.ngrams.tolist()]
        return self._score(item for item in items if item not in without)

    def explain(self, window: Window) -> tuple[Evidence, ...]:
        return self.score(window).evidence

    def once_in(self, p_value: float) -> float:
        return 1 / p_value

    def _score(self, items: Iterable[Item]) -> Score:
        unknown = {i: 10.0 if isinstance(i, int) else 40.0 for i in items if not self.knows(i)}
        bits = sum(unknown.values())
        evidence = tuple(
            Evidence(signal_of(i), i, str(i), 1, own, "", seen=None, without=bits - own)
            for i, own in unknown.items()
        )
        return Score(
            bits=bits,
            threshold=30.0,
            p_value=2**-bits,
            by_signal={s: sum(e.bits for e in evidence if e.signal == s) for s in Signal},
            wholly_new=(),
            evidence=evidence[:5],
        )


def window(second: float, *items: Item, workload: str = "web", replica: str = "demo/a") -> Window:
    end = round(second * SECOND)
    ngrams = np.array([i for i in items if isinstance(i, int)], np.uint64)
    return Window(
        workload,
        replica,
        end - SECOND,
        end,
        SECOND,
        NgramCounts.collect(ngrams, np.ones(len(ngrams), np.int64)),
        {i: 1 for i in items if isinstance(i, Execution)},
        {i: 1 for i in items if isinstance(i, Connection)},
    )


def sighting(
    second: float, item: Item, process: Process | None = SH, replica: str = "demo/a"
) -> Sighting:
    return Sighting("web", replica, round(second * SECOND), item, process)


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
    assert alert.once_in == pytest.approx(1e9)  # no rarer than people can be told of


def test_an_unseen_program_is_an_alert_at_first_sight_and_only_then(detector: Detector) -> None:
    alert = detector.observe(sighting(0.25, SHELL_STARTED))
    assert alert is not None
    assert (alert.time, alert.start, alert.end) == (SECOND // 4,) * 3
    assert (alert.process, alert.test) == (SH, RaisedBy.FIRST_SIGHT)
    assert alert.signal == Signal.EXECUTIONS
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


def test_between_two_windows_first_sights_tell_of_each_signal_once(detector: Detector) -> None:
    assert detector.observe(sighting(0.1, SHELL_STARTED))
    assert detector.observe(sighting(0.2, CURL_STARTED)) is None
    assert detector.observe(sighting(0.3, PEER))
    alert = detector.observe(window(1, SHELL_STARTED, CURL_STARTED, PEER))
    assert evidence_of(alert) == [CURL_STARTED]
    assert alert is not None
    assert alert.process == SH
    assert detector.observe(sighting(1.1, PYTHON_STARTED))


def test_replicas_are_one_workload_with_first_sights_of_their_own(detector: Detector) -> None:
    assert detector.observe(sighting(0.1, SHELL_STARTED, replica="demo/a"))
    assert detector.observe(sighting(0.2, SHELL_STARTED, replica="demo/b")) is None
    assert detector.observe(sighting(0.3, CURL_STARTED, replica="demo/b"))


def test_the_process_is_that_of_the_leading_evidence(detector: Detector) -> None:
    worker = Process(7, 8, "worker", ())
    detector.observe(sighting(0.1, 10, worker))
    detector.observe(sighting(0.2, PEER, None))
    detector.observe(sighting(0.3, SHELL_STARTED, SH))
    alert = detector.observe(window(1, 10, 11, 12))
    assert alert is not None
    assert alert.process == worker
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


def test_memory_is_bounded_and_a_flood_stays_visible(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 8)
    flood = range(100, 200)
    for n in flood:
        detector.observe(sighting(0.5, n))
    alert = detector.observe(window(1, *flood))
    assert alert is not None
    assert len(alert.unseen) == 100
    # What was shown is remembered, the rest is told of again.
    alert = detector.observe(window(2, *flood))
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
