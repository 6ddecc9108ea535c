from dataclasses import replace
from itertools import islice

import pytest
from synthetic_service import (
    ARCHITECTURE,
    CLIENT,
    CURL_STARTED,
    INTRUDER,
    SHELL_STARTED,
    intruded,
    serving,
)

from baseline.model.quarantine import find_quarantined, without
from baseline.model.workload_model import WorkloadModel
from baseline.window import Connection, Window

NORMAL = list(islice(serving(1), 200))


def with_shell(normal: Window) -> Window:
    both = intruded(normal)
    return replace(both, start=normal.start, end=normal.end, observed=normal.observed)


def with_intruder(*numbers: int) -> list[Window]:
    return [with_shell(w) if n in numbers else w for n, w in enumerate(NORMAL)]


def test_normal_training_has_nothing_to_keep_out() -> None:
    assert find_quarantined(NORMAL, ARCHITECTURE) == []
    assert without(NORMAL, []) == NORMAL


@pytest.mark.parametrize("numbers", [(100,), (3,), (199,), (101, 103, 106)])
def test_an_intruder_in_one_stretch_of_time_is_kept_out(numbers: tuple[int, ...]) -> None:
    training = with_intruder(*numbers)
    (found,) = find_quarantined(training, ARCHITECTURE)
    assert {SHELL_STARTED, CURL_STARTED, INTRUDER} <= found.items
    assert CLIENT not in found.items
    assert (found.start, found.end) == (NORMAL[numbers[0]].start, NORMAL[numbers[-1]].end)
    assert found.replica == ""
    told = found.describe(ARCHITECTURE)
    assert told[:3] == [str(SHELL_STARTED), str(CURL_STARTED), str(INTRUDER)]
    assert len(told) == len(found.items)

    model = WorkloadModel.fit(without(training, [found]), ARCHITECTURE)
    assert not any(map(model.knows, found.items))
    assert all(map(model.knows, NORMAL[0].ngrams.ngrams.tolist()))
    assert model.score(training[numbers[0]]).is_anomaly
    poisoned = WorkloadModel.fit(training, ARCHITECTURE)
    assert not poisoned.score(training[numbers[0]]).is_anomaly


def test_what_comes_again_and_again_is_behaviour() -> None:
    assert find_quarantined(with_intruder(10, 60, 120, 180), ARCHITECTURE) == []


def test_a_client_among_ever_new_ones_is_behaviour() -> None:
    training = [
        replace(w, connections={Connection("in", "tcp", f"10.{n // 250}.{n % 250}.9", 80): 1})
        for n, w in enumerate(NORMAL)
    ]
    assert find_quarantined(training, ARCHITECTURE) == []


def test_a_replica_that_alone_does_something_all_the_time_is_kept_out() -> None:
    replicas = [
        replace(w, replica=f"shop/web-{number}") for number in range(4) for w in NORMAL[:60]
    ]
    training = [with_shell(w) if w.replica == "shop/web-2" else w for w in replicas]
    found = find_quarantined(training, ARCHITECTURE)
    assert [part.replica for part in found] == ["shop/web-2"]
    assert {SHELL_STARTED, INTRUDER} <= found[0].items
    two = [w for w in training if w.replica in ("shop/web-1", "shop/web-2")]
    assert find_quarantined(two, ARCHITECTURE) == []  # nobody can say which one is odd


def test_with_a_few_windows_everything_is_rare() -> None:
    assert find_quarantined(with_intruder(10)[:20], ARCHITECTURE) == []
