import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline.errors import UsageError
from baseline.model.budget import DEFAULT_BUDGET, Budget

DAY = 24 * 3600
UNITS = ("minute", "hour", "day", "week", "month", "year")


@pytest.mark.parametrize(
    ("text", "budget", "seconds"),
    [
        ("1/week", Budget(1, "week"), 7 * DAY),
        ("2/month", Budget(2, "month"), 15 * DAY),
        ("0.5/day", Budget(0.5, "day"), 2 * DAY),
        ("10/hour", Budget(10, "hour"), 360),
        ("6/minute", Budget(6, "minute"), 10),
        (" 1 / year ", Budget(1, "year"), 365 * DAY),
    ],
)
def test_a_budget_is_read(text: str, budget: Budget, seconds: float) -> None:
    assert Budget.parse(text) == budget
    assert 1 / budget.per_second == pytest.approx(seconds)


NO_NUMBERS = (
    "",
    "/week",
    "0/day",
    "-1/day",
    "1e3/day",
    "inf/day",
    "nan/day",
    "1.5.2/day",
    "one/day",
)
NO_TIMES = ("1", "1/", "1/fortnight", "1/weeks", "1/Week", "1/week/2", "week")


@pytest.mark.parametrize("text", [*NO_NUMBERS, *NO_TIMES, f"{'9' * 400}/day"])
def test_what_is_no_budget_is_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(UsageError, match="is no alert budget") as refused:
        Budget.parse(text)
    assert "1/week" in str(refused.value)


@given(st.floats(1e-12, 1e3))
def test_a_rate_is_told_in_the_shortest_time_with_one_alarm(per_second: float) -> None:
    budget = Budget.of_rate(per_second)
    assert budget.per_second == pytest.approx(per_second)
    assert budget.alarms >= 1 or budget.unit == "year"
    shorter = UNITS[: UNITS.index(budget.unit)]
    assert all(per_second / Budget(1, unit).per_second < 1 for unit in shorter)


@given(st.floats(0.01, 1e6), st.sampled_from(UNITS))
def test_what_is_told_can_be_asked_for(alarms: float, unit: str) -> None:
    told = Budget.parse(str(Budget(alarms, unit)).replace(",", ""))
    assert told.unit == unit
    assert told.alarms == pytest.approx(alarms, rel=0.06)


def test_the_default_is_an_alarm_a_week() -> None:
    assert str(DEFAULT_BUDGET) == "1/week"
    assert str(Budget(0.5, "day")) == "0.5/day"
    assert str(Budget(12_345.6, "hour")) == "12,346/hour"
