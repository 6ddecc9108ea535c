from hypothesis import given
from hypothesis import strategies as st

from baseline.alerts.allowance import Allowance

SECOND = 10**9


def test_a_few_at_once_and_then_at_a_steady_rate() -> None:
    allowance = Allowance(3, 0.5)
    assert [allowance.take(0) for _ in range(5)] == [True, True, True, False, False]
    assert not allowance.take(SECOND)
    assert allowance.has(2 * SECOND)
    assert [allowance.take(2 * SECOND) for _ in range(2)] == [True, False]
    assert [allowance.take(100 * SECOND) for _ in range(4)] == [True, True, True, False]


def test_asking_costs_nothing() -> None:
    allowance = Allowance(1, 1)
    assert all(allowance.has(0) for _ in range(9))
    assert allowance.take(0)
    assert not allowance.has(0)


def test_a_clock_that_is_set_back_neither_gives_nor_takes() -> None:
    allowance = Allowance(1, 1)
    assert allowance.take(1000 * SECOND)
    assert not allowance.take(SECOND)
    assert allowance.take(2 * SECOND)


@given(
    st.integers(1, 9),
    st.floats(0.1, 100),
    st.lists(st.integers(0, 5 * SECOND), max_size=200),
)
def test_never_more_than_the_burst_and_the_rate(burst: int, rate: float, steps: list[int]) -> None:
    allowance = Allowance(burst, rate)
    time = taken = 0
    for step in steps:
        time += step
        taken += allowance.take(time)
        assert taken <= burst + time / SECOND * rate + 1e-6
