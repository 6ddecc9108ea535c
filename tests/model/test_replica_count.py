"""A budget is that of a workload, however many replicas it has."""

import math
from dataclasses import replace
from itertools import islice

import pytest
from slots import Slots
from synthetic_service import ARCHITECTURE, SECOND, intruded, serving

from baseline.alerts.detector import Detector
from baseline.alerts.replica_count import ReplicaCount
from baseline.model.workload_model import WorkloadModel
from baseline.window import Window

LEARNED = 300


@pytest.fixture(scope="module")
def second() -> Window:
    return next(islice(serving(seed=6), 400, None))


@pytest.fixture(scope="module")
def model() -> WorkloadModel:
    """Of one replica."""
    return WorkloadModel.fit(list(islice(serving(seed=5), LEARNED)), ARCHITECTURE)


def at(number: int, window: Window, replica: int = 0) -> Window:
    """The window, of another second and replica."""
    start = window.start + number * window.observed
    end = start + window.observed
    return replace(window, start=start, end=end, replica=f"replica-{replica}")


@pytest.mark.parametrize("are_intervals", [False, True])
@pytest.mark.parametrize(("replicas", "bits"), [(1, 0), (2, 1), (16, 4)])
def test_more_replicas_than_were_learned_from_share_the_budget(
    model: WorkloadModel, second: Window, replicas: int, bits: int, are_intervals: bool
) -> None:
    """From a recording, and as the kernel's tables give them."""
    detector, slots = Detector({model.workload: model}), Slots(0)
    normal = at(1, second, replicas - 1)
    time = {"start": normal.start, "end": normal.end, "observed": normal.observed}
    last = replace(intruded(normal), **time)
    for windows in (
        [at(0, second, replica) for replica in range(replicas)],
        [*(at(1, second, other) for other in range(replicas - 1)), last],
    ):
        interval = slots.interval(windows)
        if are_intervals:
            _, others = detector.observe_quiet(interval)
        for window in interval.windows(others) if are_intervals else windows:
            detector.observe(window)
    score = detector.latest
    assert score
    assert score.threshold == pytest.approx(model.threshold + bits)
    assert score.bits == model.score(last).bits


def test_fewer_replicas_than_were_learned_from_have_no_more_alerts(second: Window) -> None:
    windows = [
        replace(window, replica=f"replica-{replica}")
        for replica in range(4)
        for window in islice(serving(seed=replica), LEARNED)
    ]
    of_four = WorkloadModel.fit(windows, ARCHITECTURE)
    assert of_four.for_replicas(1).threshold == of_four.for_replicas(4).threshold
    eight = of_four.for_replicas(8)
    assert eight.threshold == pytest.approx(of_four.threshold + 1)
    assert eight.shift_threshold > of_four.shift_threshold
    assert eight.score(second).threshold == eight.score_of_nothing.threshold == eight.threshold
    assert eight.once_in(1e-3) == pytest.approx(of_four.once_in(1e-3) / 2)
    assert math.isclose(eight.for_replicas(4).threshold, of_four.threshold)


def counted(count: ReplicaCount, seconds: range, *replicas: str) -> int:
    """How many there are by so many windows of a second."""
    for end in seconds:
        for replica in replicas:
            count.add([replica], end * SECOND, SECOND)
    return count.number


def test_replicas_are_counted_as_they_come_and_go() -> None:
    count = ReplicaCount()
    assert counted(count, range(1, 2), "a", "b") == 1
    assert counted(count, range(2, 3), "a", "b") == 2
    assert counted(count, range(3, 14), "a", "b", "c") == 3
    assert counted(count, range(14, 18), "a") == 3  # the others may be late
    assert counted(count, range(18, 40), "a") == 1
    assert counted(count, range(-(10**6), -(10**6) + 15), "a", "b") == 2  # the clock was set
    assert counted(count, range(40, 70), "a") == 1
