"""Interleaved rounds, and what is said of them."""

import numpy as np
import pytest
from costs.reporting import spread_table
from costs.rounds import (
    CONFIDENCE,
    ENOUGH,
    by_figure,
    in_turn,
    interval,
    itself,
    medians,
    over,
    percent_above,
    percent_below,
    single,
    spreads,
)

from baseline.errors import BaselineError

KINDS = ["none", "empty", "baseline", "stream"]
ROUNDS = [
    {"none": {"get": 100.0}, "empty": {"get": 150.0 + drift}, "baseline": {"get": 170.0 + drift}}
    for drift in (0, 1000, 50)
]


def test_every_round_has_every_probe_once_in_an_order_that_changes() -> None:
    order: list[str] = []

    def measure(kind: str) -> dict[str, float]:
        order.append(kind)
        return {"get": float(len(order))}

    said: list[str] = []
    rounds = in_turn(KINDS, 6, measure, said.append)
    turns = [order[first : first + 4] for first in range(0, 24, 4)]
    assert all(sorted(turn) == sorted(KINDS) for turn in turns)
    assert len({tuple(turn) for turn in turns}) > 3
    assert [list(measured) for measured in rounds] == [KINDS] * 6
    for number, (turn, measured) in enumerate(zip(turns, rounds, strict=True)):
        assert [measured[kind]["get"] for kind in turn] == [4 * number + i for i in (1, 2, 3, 4)]
    assert said[0] == f"round 1 of 6: {order[0]}"


def test_what_fails_is_done_once_more_and_no_more() -> None:
    failures = [BaselineError("Lost", "Look for it")]

    def measure(kind: str) -> dict[str, float]:
        if kind == "stream" and failures:
            raise failures.pop()
        return {"get": 1.0}

    said: list[str] = []
    (measured,) = in_turn(KINDS, 1, measure, said.append)
    assert measured["stream"] == {"get": 1.0}
    assert "Lost. Look for it. Once more." in said
    failures += [BaselineError("Lost", "Look for it")] * 2
    with pytest.raises(BaselineError, match="Lost"):
        in_turn(KINDS, 1, measure, said.append)


def test_the_machine_may_drift_between_rounds() -> None:
    differences = by_figure(ROUNDS, ["get"], over("empty"))
    assert differences == {"get": {"baseline": (20.0, 20.0, 20.0)}}
    assert medians(by_figure(ROUNDS, ["get"], itself)) == {
        "get": {"none": 100.0, "empty": 200.0, "baseline": 220.0}
    }


def test_loss_is_in_percent_of_the_same_round() -> None:
    rounds = [{"none": {"get": n}, "empty": {"get": n * 0.9}} for n in (10.0, 1000.0)]
    lost = by_figure(rounds, ["get"], percent_below("none"))
    assert list(lost["get"]) == ["empty"]
    assert lost["get"]["empty"] == pytest.approx((10.0, 10.0, 10.0))
    more = by_figure(rounds, ["get"], percent_above("none"))
    assert more["get"]["empty"] == pytest.approx((-10.0, -10.0, -10.0))
    assert by_figure(rounds, ["get"], percent_above("empty")) == {}


def test_what_a_probe_does_not_have_is_left_out() -> None:
    rounds = [{"none": {"get": 1.0}, "stream": {"get": 2.0, "lost": 7.0}}]
    assert by_figure(rounds, ["lost"], itself) == {"lost": {"stream": (7.0, 7.0, 7.0)}}


def test_single_rounds_are_kept_in_their_order() -> None:
    rounds = [{"none": {"get": 100.0 / n}, "empty": {"get": 9.0, "lost": 0}} for n in (3, 1)]
    assert single(rounds) == {
        "none": {"get": [33.333, 100.0]},
        "empty": {"get": [9.0, 9.0], "lost": [0.0, 0.0]},
    }


@pytest.mark.parametrize(
    ("number", "rank"), [(1, 1), (5, 1), (6, 1), (8, 1), (9, 2), (20, 6), (28, 9), (50, 18)]
)
def test_the_interval_of_a_median_is_that_of_the_sign_test(number: int, rank: int) -> None:
    values = [float(n) for n in range(number, 0, -1)]
    assert interval(values) == (rank, (number + 1) / 2, number + 1 - rank)


def test_six_values_are_enough_for_an_interval_and_five_are_not() -> None:
    for number, is_enough in ((ENOUGH - 1, False), (ENOUGH, True)):
        # All are above the median, or all below, with this probability.
        assert (2 * 0.5**number <= 1 - CONFIDENCE) == is_enough


def test_the_interval_holds_the_median_as_often_as_it_says() -> None:
    numbers = np.random.default_rng(0).exponential(size=(4000, 28))
    intervals = [interval(list(row)) for row in numbers]
    held = np.mean([spread.low <= np.log(2) <= spread.high for spread in intervals])
    # Between the 9th and the 20th of 28: 1 - 2 P(fewer than 9 heads) = 0.964.
    assert held == pytest.approx(0.964, abs=4 * (0.964 * 0.036 / 4000) ** 0.5)


def test_what_is_said_of_rounds_is_their_median_and_its_interval() -> None:
    rounds = [{"none": {"get": float(n)}} for n in range(1, 10)]
    assert by_figure(rounds, ["get"], itself)["get"]["none"] == (2.0, 5.0, 8.0)


def test_tables_have_80_columns() -> None:
    row = {"low": -1234.5, "median": 12345.678, "high": 123456.7}
    kinds = ("baseline", "untracked", "bpftrace", "stream", "strace", "perf_trace")
    lines = spread_table("over the empty probe", {"all long_tail": dict.fromkeys(kinds, row)})
    assert max(map(len, lines)) <= 80
    assert "+12346 ±62346" in lines[1]
    assert "strace" not in lines[0]
    assert spreads({"x": {"y": interval([1.23456])}})["x"]["y"]["high"] == 1.235
