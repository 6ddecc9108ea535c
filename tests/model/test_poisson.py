import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline.model.poisson import poisson_interval


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [
        # Of the tables in Garwood (1936) and in every textbook since.
        (0, 0.0, 3.6889),
        (1, 0.0253, 5.5716),
        (5, 1.6235, 11.6683),
        (10, 4.7954, 18.3904),
        (100, 81.3640, 121.6268),
    ],
)
def test_the_ends_are_those_of_the_tables(count: int, low: float, high: float) -> None:
    assert poisson_interval(count) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(0, 40))
def test_at_either_end_the_tail_is_what_is_left(count: int) -> None:
    def at_most(last: int, mean: float) -> float:
        return sum(math.exp(-mean) * mean**n / math.factorial(n) for n in range(last + 1))

    low, high = poisson_interval(count, 0.9)
    assert at_most(count, high) == pytest.approx(0.05, rel=1e-6)
    if count:
        assert 1 - at_most(count - 1, low) == pytest.approx(0.05, rel=1e-6)


def test_many_events_are_no_trouble() -> None:
    low, high = poisson_interval(100_000)
    assert (low, high) == pytest.approx((100_000 - 619.3, 100_000 + 620.8), abs=2)
