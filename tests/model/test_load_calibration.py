"""Windows are compared with others of about their load, and with enough of them."""

import math
from collections.abc import Callable

import naive_calibration
import numpy as np
import numpy.typing as npt
import pytest

from baseline.model.calibration import Calibration
from baseline.model.load_calibration import LEAST, LoadCalibration

Floats = npt.NDArray[np.float64]
Loads = npt.NDArray[np.int64]

KINDS_OF_LOAD: dict[str, Callable[[np.random.Generator], Loads]] = {
    "steady": lambda chance: chance.poisson(500, 300),
    "waves": lambda chance: chance.poisson(2.0 ** chance.uniform(3, 12, 600)),
    "idle or busy": lambda chance: chance.choice([0, 0, 0, 5000], 300),
    "hardly ever busy": lambda chance: np.where(chance.random(700) < 0.01, 10**6, 90),
    "few windows": lambda chance: chance.integers(0, 10**6, LEAST - 1),
    "one of each": lambda chance: chance.permutation(2 ** np.arange(60)),
}


def with_evidence(chance: np.random.Generator, loads: Loads) -> Floats:
    """Scores that rise with the load, many of them nothing."""
    surprising = chance.random(loads.shape) < 0.4
    return np.asarray(surprising * chance.exponential(1 + np.log2(loads + 1.0)))


def every_octave(loads: Loads) -> list[int]:
    """A load of each, from the lowest to the highest of these."""
    between = (2.0 ** np.arange(63)).astype(np.int64)
    inside = between[(between > loads.min()) & (between < loads.max())]
    return [int(loads.min()), *inside.tolist(), int(loads.max())]


@pytest.mark.parametrize("kind", KINDS_OF_LOAD)
def test_it_is_what_the_nearest_windows_say(kind: str) -> None:
    chance = np.random.default_rng(5)
    loads = KINDS_OF_LOAD[kind](chance)
    scores = with_evidence(chance, loads)
    calibration = LoadCalibration(scores, loads)
    asked = [0, 1, 2, 3, 89, 700, 5000, 10**5, 10**9, 1 << 62, *loads[:9].tolist(), None]
    for load in asked:
        for score in (0.0, 0.5, 9.0, 80.0):
            expected = naive_calibration.p_value_at(scores.tolist(), loads.tolist(), score, load)
            assert calibration.p_value(score, load) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", KINDS_OF_LOAD)
def test_company_changes_no_p_value(kind: str) -> None:
    chance = np.random.default_rng(6)
    loads = KINDS_OF_LOAD[kind](chance)
    scores = with_evidence(chance, loads)
    calibration = LoadCalibration(scores, loads)
    elsewhere = KINDS_OF_LOAD[kind](chance) * 3 // 2  # not all of them among those of training
    for asked in (loads, elsewhere):
        alone = map(calibration.p_value, scores.tolist(), asked.tolist())
        assert calibration.p_values(scores, asked).tolist() == list(alone)


@pytest.mark.parametrize("kind", KINDS_OF_LOAD)
def test_a_load_that_is_not_known_or_was_never_seen_is_the_least_surprising_one(kind: str) -> None:
    """No load of training makes the same score less rare, and one makes it as rare."""
    chance = np.random.default_rng(7)
    loads = KINDS_OF_LOAD[kind](chance)
    calibration = LoadCalibration(with_evidence(chance, loads), loads)
    for score in (0.0, 1.0, 7.0, 40.0, 300.0):
        known = [calibration.p_value(score, load) for load in np.unique(loads).tolist()]
        beyond = [int(loads.max()) + 1, 1 << 62, *([int(loads.min()) - 1] if loads.min() else [])]
        for load in (None, *beyond):
            assert calibration.p_value(score, load) >= max(known)
        assert calibration.p_value(score, None) == max(
            calibration.given(load).p_value(score) for load in every_octave(loads)
        )


def test_few_windows_are_all_compared() -> None:
    chance = np.random.default_rng(8)
    loads, scores = chance.integers(0, 10**6, LEAST), chance.exponential(4, LEAST)
    for_all = Calibration(scores)
    for load in (0, 1000, 10**9, None):
        assert LoadCalibration(scores, loads).p_value(9.0, load) == for_all.p_value(9.0)


def test_busy_windows_are_no_alarms_because_others_are_quiet() -> None:
    """The promise is kept at each load, where busy windows have twenty times the evidence.

    Compared with all windows, busy ones would be alarms several times as often as promised.
    """
    chance = np.random.default_rng(9)
    promised = 0.02
    alarms: list[tuple[float, float]] = []
    quiet: list[float] = []
    for _ in range(100):
        busy = chance.random(1600) < 0.2
        loads = chance.poisson(np.where(busy, 20_000, 1000))
        scores = chance.exponential(np.where(busy, 20.0, 1.0))
        learned = LoadCalibration(scores[:800], loads[:800])
        rare = learned.p_values(scores[800:], loads[800:]) <= promised
        rare_of_all = Calibration(scores[:800]).p_values(scores[800:]) <= promised
        alarms.append((rare[busy[800:]].mean(), rare_of_all[busy[800:]].mean()))
        quiet.append(rare[~busy[800:]].mean())
    among_busy, among_busy_of_all = np.mean(alarms, axis=0)
    assert among_busy <= 1.2 * promised
    assert promised / 2 <= np.mean(quiet) <= 1.1 * promised
    assert among_busy_of_all > 3 * promised


def test_loads_that_differ_from_their_neighbours_have_at_worst_twice_the_promise() -> None:
    """Every second octave shows more than those beside it: half of what it is compared with."""
    chance = np.random.default_rng(10)
    promised = 0.05
    rates = []
    for _ in range(60):
        logs = chance.uniform(9.5, 19.5, 4000)
        shows_more = np.rint(logs) % 2 == 0
        loads, scores = np.rint(2**logs).astype(np.int64), chance.random(4000) + shows_more
        learned = LoadCalibration(scores[:2000], loads[:2000])
        rare = learned.p_values(scores[2000:], loads[2000:]) <= promised
        rates.append((rare.mean(), rare[shows_more[2000:]].mean()))
    (of_all, of_those), errors = np.mean(rates, axis=0), np.std(rates, axis=0) / math.sqrt(60)
    assert of_all <= promised + 3 * errors[0]
    assert 1.5 * promised < of_those <= 2 * promised + 3 * errors[1]
