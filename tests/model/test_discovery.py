import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from baseline.model.discovery import new_items, unseen_mass_bound

bursts = st.dictionaries(st.integers(1, 9), st.integers(1, 4), max_size=4)
few_bursts = st.dictionaries(st.integers(1, 9), st.integers(1, 2), max_size=3)
growths = st.sampled_from([0.01, 1 / 3, 1.0, 4.0])


def negative_binomial(shape: float, mean: float, most: int) -> list[float]:
    """Probabilities of 0, 1, ... of a Poisson variable whose mean is Gamma(shape) x ``mean``."""
    probabilities = [(1 + mean) ** -shape]
    for count in range(1, most + 1):
        ratio = (shape + count - 1) / count * mean / (1 + mean)
        probabilities.append(probabilities[-1] * ratio)
    return probabilities


def obvious_quantile(sizes: list[tuple[int, float]], mean: float, level: float) -> int:
    """The sum of all bursts, by adding them one after the other."""
    sums = {0: 1.0}
    for size, shape in sizes:
        added: defaultdict[int, float] = defaultdict(float)
        for before, probability in sums.items():
            for times, its in enumerate(negative_binomial(shape, mean, 300)):
                if probability * its > 1e-15:
                    added[before + times * size] += probability * its
        sums = added
    reached = 0.0
    for number in sorted(sums):
        reached += sums[number]
        if reached >= level - 1e-9:
            return number
    raise AssertionError("the tail was cut too early")


@settings(max_examples=20, deadline=None)
@given(few_bursts, st.integers(0, 12), growths)
@example({}, 0, 1.0)
def test_the_interval_is_that_of_the_sum_of_all_bursts(
    uniques: dict[int, int], largest_burst: int, growth: float
) -> None:
    seen = [(size, 1.0) for size, slices in uniques.items() for _ in range(slices)]
    unseen = max([1, largest_burst, *uniques])
    predicted = new_items(uniques, 1000, largest_burst, growth)
    assert predicted.low == obvious_quantile(seen, math.log1p(growth), 0.05)
    assert predicted.high == obvious_quantile([*seen, (unseen, 0.5)], growth, 0.95)


@given(bursts, st.integers(0, 500), growths)
def test_the_expectation_is_between_running_dry_slowly_and_not_at_all(
    uniques: dict[int, int], others: int, growth: float
) -> None:
    total = sum(size * slices for size, slices in uniques.items())
    expected = new_items(uniques, total + others, 0, growth).expected
    assert total * math.log1p(growth) <= expected * (1 + 1e-9)
    assert expected <= total * growth * (1 + 1e-9)


@given(bursts, st.integers(0, 99), growths, st.floats(1, 100))
def test_more_time_brings_no_fewer(
    uniques: dict[int, int], largest_burst: int, growth: float, longer: float
) -> None:
    soon = new_items(uniques, 1000, largest_burst, growth)
    late = new_items(uniques, 1000, largest_burst, growth * longer)
    grid = 1.02  # long distributions are computed on a coarser grid
    assert soon.expected <= late.expected * (1 + 1e-9)
    assert soon.low <= late.low * grid + 1
    assert soon.high <= late.high * grid + 1


def test_what_comes_together_is_less_certain() -> None:
    together = new_items({60: 1}, 1000, 0, 1.0)
    apart = new_items({3: 20}, 1000, 0, 1.0)
    assert together.expected == apart.expected
    assert together.low < apart.low
    assert apart.high < together.high


def test_nothing_left_over_still_allows_for_a_burst() -> None:
    assert new_items({}, 400, 20, 0.05) == (0.0, 0, 0)
    assert new_items({}, 400, 20, 1.0) == (0.0, 0, 40)


def test_an_hour_after_a_second_is_no_more_than_wide() -> None:
    predicted = new_items({500: 1}, 500, 0, 3600.0)
    assert predicted.expected == pytest.approx(500 * 3600)
    assert predicted.low < 500 * math.log(3600)
    assert 500 * 3600 < predicted.high < 500 * 3600 * 10


@pytest.mark.parametrize("uniques", [{2**62: 1}, {1: 2**62}, {2**40: 2**20, 1: 2**20}])
@pytest.mark.parametrize("growth", [1e-9, 1.0, 3600e9])
def test_numbers_that_nobody_has_counted_are_no_harm(
    uniques: dict[int, int], growth: float
) -> None:
    predicted = new_items(uniques, 2**63 - 1, 2**62, growth)
    assert min(predicted) >= 0


@pytest.mark.parametrize("windows", [10, 300, 100_000])
def test_nothing_new_in_so_many_windows_is_the_rule_of_three(windows: int) -> None:
    bound = unseen_mass_bound(np.zeros(20, np.int64), windows)
    assert bound == pytest.approx(3 / windows, rel=0.02)


def test_the_bound_is_that_of_poisson_counts_where_slices_agree() -> None:
    # Garwood, 1936: at most 21.89 in expectation where 14 were counted, on the level of 95 %.
    counts = np.array([1] * 14 + [0] * 6)
    assert unseen_mass_bound(counts, 1000) == pytest.approx(0.02189, rel=0.01)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=20), st.integers(1000, 9999))
def test_what_comes_unevenly_and_more_of_it_raises_the_bound(
    introducing: list[int], windows: int
) -> None:
    counts = np.array(introducing)
    bound = unseen_mass_bound(counts, windows)
    assert counts.sum() / windows < bound <= 1
    assert bound <= unseen_mass_bound(np.append(counts, 1 + counts.max()), windows)
    assert bound <= unseen_mass_bound(np.array([counts.sum()]), windows) + 1e-12
    assert unseen_mass_bound(counts, windows + 1) < bound
