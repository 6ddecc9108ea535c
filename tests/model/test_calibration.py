import math
from collections.abc import Callable

import naive_calibration
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baseline.model.calibration import BIT, Calibration

some = settings(deadline=None)

scores = st.lists(
    st.one_of(st.just(0.0), st.sampled_from([1.0, 2.5, 7.0]), st.floats(0.01, 1e3)),
    min_size=1,
    max_size=150,
)
prior_scales = st.floats(0.1, 60)
new_scores = st.one_of(st.sampled_from([0.0, 1.0, 2.5, 7.0]), st.floats(0, 1e4))

ROUNDING = 1e-9


def calibrated(held_out: list[float], prior_scale: float) -> Calibration:
    return Calibration(np.array(held_out), prior_scale)


@some
@given(scores, prior_scales, st.booleans(), st.data())
def test_p_values_are_counted_and_integrated(
    held_out: list[float], prior_scale: float, in_steps: bool, data: st.DataObject
) -> None:
    calibration = Calibration(np.array(held_out), prior_scale, in_steps=in_steps)
    for score in (data.draw(new_scores), data.draw(st.sampled_from(held_out))):
        expected = naive_calibration.p_value(held_out, prior_scale, score, in_steps=in_steps)
        assert calibration.p_value(score) == pytest.approx(expected, rel=1e-6)
        assert calibration.bits(score) == pytest.approx(-math.log2(expected), abs=1e-5)
    assert calibration.highest == max(held_out)


@pytest.mark.parametrize("windows", [20, 90, 400])
@pytest.mark.parametrize("scale", [0.2, 1, 5])
def test_longer_recordings_are_integrated_too(windows: int, scale: float) -> None:
    """With a prior that is much too high, about right and much too low."""
    held_out = np.random.default_rng(0).exponential(scale, windows).tolist()
    for score in (scale, 6 * scale, 20 * scale, 200 * scale):
        expected = naive_calibration.p_value(held_out, 1.0, score)
        assert calibrated(held_out, 1.0).p_value(score) == pytest.approx(expected, rel=1e-6)


@given(scores, prior_scales, st.lists(new_scores, min_size=2, max_size=20))
def test_p_values_are_probabilities_and_fall(
    held_out: list[float], prior_scale: float, new: list[float]
) -> None:
    calibration = calibrated(held_out, prior_scale)
    p_values = [calibration.p_value(score) for score in sorted(new)]
    assert p_values == sorted(p_values, reverse=True)
    assert all(0 < p <= 1 for p in p_values)
    assert calibration.p_value(0.0) == 1.0


def test_p_values_stay_above_zero() -> None:
    calibration = Calibration(np.zeros(10**6), 0.01)
    assert 0 < calibration.p_value(1e300) <= 1e-290
    assert math.isfinite(calibration.bits(math.inf))


@given(scores, prior_scales, st.lists(new_scores, max_size=40))
def test_company_changes_no_p_value(
    held_out: list[float], prior_scale: float, new: list[float]
) -> None:
    calibration = calibrated(held_out, prior_scale)
    together = calibration.p_values(np.array([*new, *held_out]))
    assert together.tolist() == [calibration.p_value(score) for score in [*new, *held_out]]


@pytest.mark.parametrize("windows", [99, 600, 1000])
def test_equal_scores_have_equal_bits(windows: int) -> None:
    """To the last bit: the sums of them are compared with those of training."""
    calibration = Calibration(np.arange(1.0, windows + 1))
    together = -np.log2(calibration.p_values(calibration.scores))
    assert together.tolist() == [calibration.bits(score) for score in calibration.scores.tolist()]


@given(scores, prior_scales, st.data())
def test_the_order_of_scores_does_not_matter(
    held_out: list[float], prior_scale: float, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(held_out))
    one, other = calibrated(held_out, prior_scale), calibrated(shuffled, prior_scale)
    for p_value in (0.5, 0.01, 1e-6):
        assert one.threshold(p_value) == other.threshold(p_value)


@given(scores, prior_scales, st.floats(1e-12, 0.999))
def test_the_threshold_is_where_the_p_value_is_reached(
    held_out: list[float], prior_scale: float, p_value: float
) -> None:
    calibration = calibrated(held_out, prior_scale)
    threshold = calibration.threshold(p_value)
    assert threshold > 0
    assert calibration.p_value(threshold) <= p_value * (1 + ROUNDING)
    just_below = min(threshold * (1 - ROUNDING), math.nextafter(threshold, 0))
    assert calibration.p_value(just_below) > p_value * (1 - 1e-6)


@given(scores, prior_scales)
def test_every_share_of_the_data_has_its_threshold(
    held_out: list[float], prior_scale: float
) -> None:
    """Where a budget is a whole number of windows, rounding must not cost one of them."""
    calibration = calibrated(held_out, prior_scale)
    number = len(held_out)
    for windows in range(min(number, 11), number):
        threshold = calibration.threshold((1 + windows) / (1 + number))
        assert sum(score >= threshold for score in held_out) <= windows
        assert sum(score >= math.nextafter(threshold, 0) for score in held_out) > windows or (
            threshold == math.nextafter(0, 1)
        )


Draw = Callable[[np.random.Generator, int], np.ndarray]

LAWS: dict[str, Draw] = {
    "exponential": lambda chance, size: chance.exponential(5, size),
    "mostly zero": lambda chance, size: chance.exponential(5, size) * (chance.random(size) < 0.2),
    "discrete": lambda chance, size: chance.geometric(0.3, size) * 2.0,
    "no mean": lambda chance, size: chance.pareto(0.8, size),
}


def false_alarm_rate(draw: Draw, windows: int, p_value: float) -> tuple[float, float]:
    """Share of new scores with at most this p-value, over many recordings, and its error."""
    chance = np.random.default_rng(2)
    shares = [
        (Calibration(draw(chance, windows)).p_values(draw(chance, 200)) <= p_value).mean()
        for _ in range(1500)
    ]
    return float(np.mean(shares)), float(np.std(shares) / math.sqrt(len(shares)))


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("p_value", [0.5, 0.2, 0.12])
def test_inside_the_data_the_promise_is_kept_whatever_the_law(law: str, p_value: float) -> None:
    share, error = false_alarm_rate(LAWS[law], 99, p_value)
    assert share <= p_value + 3 * error
    if law == "exponential":
        assert share >= p_value - 3 * error - 1 / 100  # and not by never alarming


@pytest.mark.parametrize("scale", [BIT / 4, BIT, 3 * BIT, 20 * BIT])
@pytest.mark.parametrize("windows", [30, 100, 1000])
@pytest.mark.parametrize("rarer", [3, 100])
def test_beyond_the_data_the_promise_is_kept_for_exponential_tails(
    scale: float, windows: int, rarer: int
) -> None:
    """Budgets that allow one alarm in several recordings; the share above is known exactly.

    Up to a fifth, because the tail begins at a score that is one of its excesses.
    """
    chance = np.random.default_rng(4)
    promised = 1 / (rarer * windows)
    thresholds = [
        Calibration(chance.exponential(scale, windows)).threshold(promised) for _ in range(3000)
    ]
    exceeding = np.exp(-np.array(thresholds) / scale)
    error = float(exceeding.std()) / math.sqrt(len(exceeding))
    assert exceeding.mean() <= 1.2 * promised + 3 * error


def test_without_any_novelty_wholly_new_things_add_up() -> None:
    """The first is about as improbable as quiet windows allow, the next ones ever less so."""
    wholly_new, windows = 15.7, 600
    quiet = Calibration(np.zeros(windows), wholly_new / math.log(1 + windows))
    none, one, two = (quiet.bits(n * wholly_new) for n in (1e-9, 1, 2))
    assert none == pytest.approx(math.log2(1 + windows))
    assert 1.5 * none < one < 2 * none < two < 3 * none


@pytest.mark.parametrize(("windows", "rate"), [(600, 0.05), (600, 0.1), (3600, 0.02), (3600, 0.03)])
@pytest.mark.parametrize("spread", [0, 0.05])
def test_things_that_cost_the_same_again_and_again_are_no_proof_against_two_at_once(
    windows: int, rate: float, spread: float
) -> None:
    """As new clients do: their scores are next to equal, and those of two at once are not."""
    chance = np.random.default_rng(5)
    cost, promised = math.log2(1 / rate), 0.1 / windows
    prior_scale = 1.5 * math.log2(windows) / math.log(1 + windows)
    shares = []
    for _ in range(100):
        costs = cost * (1 - spread * chance.random(windows))
        calibration = Calibration(chance.poisson(rate, windows) * costs, prior_scale)
        enough = math.ceil(calibration.threshold(promised) / cost)
        fewer = sum(rate**n / math.factorial(n) for n in range(enough))
        shares.append(1 - math.exp(-rate) * fewer)
    assert np.mean(shares) <= promised
