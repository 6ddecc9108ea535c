"""A watch tells the same of intervals as of their windows one by one."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from slots import Slots
from synthetic_service import (
    ARCHITECTURE,
    CURL_STARTED,
    INTRUDER,
    SECOND,
    SHELL_CALLS,
    SHELL_STARTED,
    count_ngrams,
    intruded,
    serving,
    symbols,
)

from baseline.alerts.alert import RaisedBy
from baseline.alerts.detector import Detector
from baseline.alerts.incident import Incidents, Report
from baseline.interval import Interval
from baseline.model.workload_model import WorkloadModel
from baseline.sighting import Process, Sighting
from baseline.window import Ledger, Tally, Window

LEARNED = 600
REPLICAS = ("web/a", "web/b", "web/c", "api/a", "other/a")

Step = Sighting | list[Window]


@pytest.fixture(scope="module")
def day() -> list[Window]:
    return list(itertools.islice(serving(seed=11), 2 * LEARNED))


@pytest.fixture(scope="module")
def models(day: list[Window]) -> dict[str, WorkloadModel]:
    learned = {
        name: [replace(window, workload=name) for window in day[:size]]
        for name, size in (("web", LEARNED), ("api", LEARNED // 8))
    }
    return {name: WorkloadModel.fit(windows, ARCHITECTURE) for name, windows in learned.items()}


def life(day: Sequence[Window], seed: int) -> Iterator[Step]:
    """Replicas that serve, come and go, are intruded, shift a little for long, and lose counts."""
    chance = np.random.default_rng(seed)
    new = [SHELL_STARTED, CURL_STARTED, INTRUDER]
    new += count_ngrams(symbols(SHELL_CALLS)).ngrams.tolist()
    time = day[LEARNED].end
    shifted_until = 0
    for second in range(LEARNED, 2 * LEARNED):
        here = [name for name in REPLICAS if chance.random() < 0.95]
        for _ in range(chance.poisson(0.03) + chance.poisson(40) * (chance.random() < 0.003)):
            item = new[int(chance.integers(len(new)))]
            workload = (replica := str(chance.choice(REPLICAS))).split("/")[0]
            when = time + int(chance.integers(-SECOND // 10, SECOND))
            yield Sighting(workload, replica, when, item, Process(7, 7, "sh", ()))
        if chance.random() < 0.01:
            shifted_until = second + 20
        windows = []
        for replica in here:
            window = replace(day[second], workload="web")
            if chance.random() < 0.003:
                window = intruded(window)
            if chance.random() < 0.02:
                lost = Tally(counted=9, recorded=8, lost=int(chance.integers(2)))
                window = replace(window, ledger=Ledger(executions=lost))
            if second < shifted_until and replica == "web/b":
                window += replace(window, ngrams=count_ngrams(symbols("writev")))
            workload = replica.split("/")[0]
            its = replace(window, workload=workload, replica=replica, observed=SECOND)
            windows.append(replace(its, start=time, end=time + SECOND))
        if windows:
            yield windows
        time += SECOND + int(chance.integers(-9, 9))


class Watch:
    """What is told and remembered after each step."""

    def __init__(self, models: dict[str, WorkloadModel]) -> None:
        self.detector = Detector(models, repeat_after=20)
        self.incidents = Incidents(self.detector, quiet=20)
        self.quiet = 0

    def sight(self, sighting: Sighting) -> list[Report]:
        return self.incidents.observe(sighting)

    def one_by_one(self, windows: Iterable[Window]) -> list[Report]:
        return [report for window in windows for report in self.incidents.observe(window)]

    def at_once(self, interval: Interval) -> list[Report]:
        reports, quiet, others = self.incidents.observe_quiet(interval)
        self.quiet += len(quiet)
        assert sorted(quiet + others) == list(range(len(interval.replicas)))
        return [*reports, *self.one_by_one(interval.windows(others))]

    def state(self) -> tuple[object, ...]:
        detector = self.detector
        return (
            (detector.windows, detector.judged, detector.alerts, detector.folded),
            detector.score_of("api"),  # which replica of web is the last one, nobody can say
            detector.workloads_without_model(),
            [detector.folded_of(name) for name in ("web", "api")],
            list(self.incidents.open),
        )


@pytest.mark.parametrize("seed", range(6))
def test_intervals_are_told_of_as_their_windows_are(
    models: dict[str, WorkloadModel], day: list[Window], seed: int
) -> None:
    slow, fast, slots = Watch(models), Watch(models), Slots(seed, forgets=0.01)
    told: list[Report] = []
    for step in life(day, seed):
        if isinstance(step, Sighting):
            expected, found = slow.sight(step), fast.sight(step)
        else:
            expected, found = slow.one_by_one(step), fast.at_once(slots.interval(step))
        assert [report.to_dict() for report in found] == [r.to_dict() for r in expected]
        assert fast.state() == slow.state()
        told += expected
    assert len(told) > 20
    raised = {report.alert.test for report in told if report.alert}
    assert raised >= {RaisedBy.FIRST_SIGHT, RaisedBy.WINDOW, RaisedBy.SHIFT}
    assert fast.quiet > fast.detector.judged / 4
