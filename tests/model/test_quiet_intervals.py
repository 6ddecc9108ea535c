"""Quiet windows of an interval are those that are quiet by themselves."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from slots import Slots
from synthetic_service import ARCHITECTURE, SECOND, intruded, serving
from test_quiet import LEARNED, changed

from baseline.interval import Interval
from baseline.model.quiet_intervals import QuietIntervals
from baseline.model.workload_model import WorkloadModel
from baseline.window import Window


@pytest.fixture(scope="module")
def day() -> list[Window]:
    return list(itertools.islice(serving(seed=7), 2 * LEARNED))


@pytest.fixture(scope="module")
def web(day: list[Window]) -> WorkloadModel:
    return WorkloadModel.fit(day[:LEARNED], ARCHITECTURE)


@pytest.fixture(scope="module")
def models(web: WorkloadModel, day: list[Window]) -> dict[str, WorkloadModel]:
    """One by volumes, one by others, and one by shares."""
    early = [replace(window, workload="early") for window in day[: LEARNED // 4]]
    uneven = [replace(w, workload="uneven", observed=SECOND << n % 6) for n, w in enumerate(early)]
    return {
        "web": web,
        "early": WorkloadModel.fit(early, ARCHITECTURE),
        "uneven": WorkloadModel.fit(uneven, ARCHITECTURE),
    }


def alike(windows: list[Window], number: int) -> list[Window]:
    """The same as windows of replicas of several workloads at one time, one that is not known."""
    names = itertools.cycle(["web", "early", "web", "uneven", "other"])
    start = windows[0].start + number * SECOND
    return [
        replace(w, workload=name, replica=f"{name}/{row}", start=start, end=start + SECOND)
        for row, (w, name) in enumerate(zip(windows, names, strict=False))
    ]


def is_quiet_by_itself(models: dict[str, WorkloadModel], window: Window) -> bool:
    model = models.get(window.workload)
    return (
        model is not None
        and model.quiet.volumes.judges_volumes
        and not window.ledger.ngrams.lost
        and window in model.quiet
    )


@pytest.mark.parametrize("forgets", [0.0, 0.3])
def test_quiet_windows_of_an_interval_are_quiet_by_themselves(
    models: dict[str, WorkloadModel], day: list[Window], forgets: float
) -> None:
    """In places that are known by now and places that have become others', as replicas change."""
    quiet, slots = QuietIntervals(models), Slots(seed=1, forgets=forgets)
    number = expected_quiet = 0
    for second in range(LEARNED, LEARNED + 30):
        shown = [w for w in changed(day[second]) if w.observed == SECOND]
        windows = [*shown, intruded(day[second]), *day[second : second + second % 7]]
        windows = alike(windows, second)
        expected = [is_quiet_by_itself(models, window) for window in windows]
        interval = slots.interval(windows, unplaced=second % 3)
        assert quiet.of(interval).tolist() == expected
        number, expected_quiet = number + len(expected), expected_quiet + sum(expected)
    assert number / 20 < expected_quiet < number / 2  # both are put to the test


def test_windows_of_another_length_are_left(web: WorkloadModel, day: list[Window]) -> None:
    quiet = QuietIntervals({"web": web})
    for length, found in ((SECOND // 3, 0), (SECOND, 20), (3 * SECOND, 0)):
        rows = [replace(w, observed=length) for w in day[LEARNED : LEARNED + 40]]
        rows = [replace(w, replica=str(n)) for n, w in enumerate(rows)]
        interval = Slots(seed=2).interval(rows)
        assert (np.count_nonzero(quiet.of(interval)) > found) == bool(found)


def test_counts_that_shrank_are_none_of_a_quiet_window(
    web: WorkloadModel, day: list[Window]
) -> None:
    quiet, slots = QuietIntervals({"web": web}), Slots(seed=3)
    window = next(w for w in day[LEARNED:] if w in web.quiet)
    interval = slots.interval([window])
    assert quiet.of(interval).tolist() == [True]
    interval.ngrams.counts[0] -= 2 * interval.ngrams.counts[0] + 1
    assert quiet.of(interval).tolist() == [False]


def test_no_replicas_have_no_quiet_windows(web: WorkloadModel, day: list[Window]) -> None:
    quiet = QuietIntervals({"web": web})
    full = Slots(seed=4).interval(day[:1])
    nothing = np.empty(0, np.int64)
    entries = replace(full.ngrams, rows=nothing, ngrams=nothing, counts=nothing, places=nothing)
    empty = Interval((), full.end, full.observed, entries, {}, np.zeros((0, 4, 4), np.int64))
    assert quiet.of(empty).tolist() == []
