import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline.model.shift import ShiftTest, shifts, step

bits_of_windows = st.lists(
    st.tuples(st.one_of(st.just(0.0), st.floats(0, 60)), st.integers(0, 2)), max_size=60
)


@given(bits_of_windows)
def test_shifts_are_taken_window_by_window(windows: list[tuple[float, int]]) -> None:
    bits, sequence = np.array(windows).reshape(-1, 2).T
    shift = dict.fromkeys(range(3), 0.0)
    expected = []
    for of_window, replica in windows:
        shift[replica] = step(shift[replica], of_window)
        expected.append(shift[replica])
    assert shifts(bits, sequence).tolist() == pytest.approx(expected, abs=1e-9)


@given(bits_of_windows)
def test_a_shift_is_the_largest_product_of_the_latest_e_values(
    windows: list[tuple[float, int]],
) -> None:
    shift, e_values = 0.0, []
    for bits, _ in windows:
        shift = step(shift, bits)
        e_values.append(1 / (2 * math.sqrt(2**-bits)))
        latest = (math.prod(e_values[start:]) for start in range(len(e_values)))
        assert shift == pytest.approx(max(0.0, *map(math.log2, latest)), abs=1e-9)


def test_e_values_have_a_mean_of_one() -> None:
    """For a uniform p-value: step adds the logarithm of the e-value."""
    p_values = (np.arange(10**5) + 0.5) / 10**5
    e_values = [2 ** (step(100.0, -math.log2(p)) - 100) for p in p_values.tolist()]
    assert np.mean(e_values) == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("windows_to_an_alarm", [10, 100, 1000])
def test_false_alarms_are_no_sooner_than_promised(windows_to_an_alarm: int) -> None:
    """Many runs of normal time side by side, each until its first alarm."""
    chance = np.random.default_rng(0)
    threshold = math.log2(windows_to_an_alarm)
    runs = 400
    shift, running = np.zeros(runs), np.ones(runs, bool)
    lengths = np.zeros(runs)
    while running.any():
        lengths += running
        shift = np.maximum(shift - np.log2(chance.random(runs)) / 2 - 1, 0)
        running &= shift < threshold
    error = lengths.std() / math.sqrt(runs)
    assert lengths.mean() >= windows_to_an_alarm - 3 * error


def normal_bits(seed: int, windows: int) -> np.ndarray:
    return -np.log2(np.random.default_rng(seed).random(windows))


def test_the_threshold_is_at_least_that_of_the_proof() -> None:
    of_zeros = ShiftTest(np.zeros(1000), np.zeros(1000, np.int64))
    of_normal = ShiftTest(normal_bits(1, 1000), np.zeros(1000, np.int64))
    for p_value in (1.0, 0.1, 1e-3, 1e-6):
        assert min(test.threshold(p_value) for test in (of_zeros, of_normal)) >= -math.log2(p_value)
    assert of_zeros.threshold(1e-3) == pytest.approx(math.log2(1000))


def test_busy_minutes_in_training_raise_the_threshold() -> None:
    windows = 3000
    calm = normal_bits(2, windows)
    minutes = np.random.default_rng(3).random(windows // 60) < 0.1
    busy = calm + 2 * np.repeat(minutes, 60)
    one_replica = np.zeros(windows, np.int64)
    threshold = ShiftTest(busy, one_replica).threshold(1 / windows)
    assert threshold > 2 * math.log2(windows)
    # Another day of the same: it comes about once in as many windows, however long it lasts then.
    again = shifts(np.roll(busy, 1000), one_replica)
    assert ((again[1:] >= threshold) & (again[:-1] < threshold)).sum() <= 2


@pytest.mark.parametrize(("weaker", "windows"), [(4, 45), (5, 30), (8, 10)])
def test_a_small_lasting_shift_is_found(weaker: float, windows: int) -> None:
    """No window is worth an alarm, but every one has some bits too many."""
    threshold = ShiftTest(normal_bits(4, 2000), np.zeros(2000, np.int64)).threshold(1e-6)
    shift, needed = 0.0, 0
    while shift < threshold:
        shift = step(shift, weaker)
        needed += 1
    assert weaker < -math.log2(1e-6) / 2
    assert needed <= windows


def test_replicas_do_not_add_up() -> None:
    bits = np.full(100, 10.0)
    alone = shifts(bits, np.arange(100))
    together = shifts(bits, np.zeros(100, np.int64))
    assert alone.max() == pytest.approx(4)
    assert together.max() == pytest.approx(400)
