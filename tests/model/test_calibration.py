import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline.model.calibration import Calibration

scores = st.lists(st.one_of(st.just(0.0), st.floats(0.01, 1e4)), min_size=1, max_size=60)
wholly_new = st.floats(0, 60)


@given(scores, wholly_new, st.lists(st.floats(0, 1e5), min_size=2, max_size=20))
def test_more_bits_are_never_more_probable(
    held_out: list[float], new: float, bits: list[float]
) -> None:
    calibration = Calibration(np.array(held_out), new)
    p_values = [calibration.p_value(b) for b in sorted(bits)]
    assert p_values == sorted(p_values, reverse=True)
    assert all(0 <= p <= 1 for p in p_values)
    assert calibration.p_value(0.0) == 1.0


@given(scores, wholly_new, st.floats(1e-12, 0.999))
def test_at_the_threshold_the_p_value_is_reached(
    held_out: list[float], new: float, p_value: float
) -> None:
    calibration = Calibration(np.array(held_out), new)
    threshold = calibration.threshold(p_value)
    assert threshold > 0
    assert calibration.p_value(threshold) <= p_value * (1 + 1e-9) or threshold == pytest.approx(
        calibration.threshold(1.0)  # the tail begins there; nothing lower is taken
    )


@given(scores, wholly_new)
def test_inside_the_data_the_p_value_is_conformal(held_out: list[float], new: float) -> None:
    calibration = Calibration(np.array(held_out), new)
    tail = max(10, -(-len(held_out) // 10))
    for bits in sorted(filter(None, held_out), reverse=True)[tail:]:
        at_least = sum(score >= bits for score in held_out)
        assert calibration.p_value(bits) == pytest.approx((1 + at_least) / (1 + len(held_out)))


def test_the_order_of_scores_does_not_matter() -> None:
    held_out = np.random.default_rng(7).exponential(9, 200)
    a, b = Calibration(held_out, 10.0), Calibration(held_out[::-1], 10.0)
    assert a.threshold(1e-6) == b.threshold(1e-6)


@pytest.mark.parametrize(
    ("number", "share_new"), [(20, 0.5), (20, 1), (100, 0.05), (100, 1), (1000, 0.05), (1000, 1)]
)
def test_false_alarms_keep_to_the_promise(number: int, share_new: float) -> None:
    """Over many recordings, each with a few new things, no more scores exceed the threshold."""
    chance = np.random.default_rng(11)

    def draw(size: int) -> np.ndarray:
        return chance.exponential(30, size) * (chance.random(size) < share_new)

    promised = 0.003
    exceeding = [
        float((draw(2000) >= Calibration(draw(number), 12.0).threshold(promised)).mean())
        for _ in range(400)
    ]
    assert np.mean(exceeding) <= 1.5 * promised


def test_without_any_novelty_every_wholly_new_thing_counts_like_the_first() -> None:
    quiet = Calibration(np.zeros(600), 15.7)
    assert quiet.p_value(15.7) == pytest.approx(1 / 601**2)
    assert quiet.p_value(31.4) == pytest.approx(1 / 601**3)
