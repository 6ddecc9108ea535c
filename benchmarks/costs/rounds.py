"""Interleaved rounds: each probe once in every round, in an order that changes; then what they say.

The machine drifts, so figures of one round are compared with each other and not with those of
another: a difference is the median of the differences within the rounds.
"""

import itertools
import math
import random
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from baseline.errors import BaselineError

Figures = Mapping[str, float]
"""What was measured -> its figure."""

Round = Mapping[str, Figures]
"""Probe -> its figures."""

FigureOf = Callable[[Round, str, str], float | None]
"""A round, a probe and what was measured -> what is said of it; ``None`` where that is nothing."""

Result = TypeVar("Result")

ROUNDS = 7
"""So many unless told otherwise."""

CONFIDENCE = 0.95


ENOUGH = 6
"""Values of which an interval can hold the median with ``CONFIDENCE``."""


class Spread(NamedTuple):
    """The median of all rounds, and the ends of an interval that holds the true one."""

    low: float
    median: float
    high: float


def in_turn(
    kinds: Sequence[str], rounds: int, measure: Callable[[str], Figures], say: Callable[[str], None]
) -> list[Round]:
    """Measure each kind in each round, in an order that is another one each time.

    Raises:
        BaselineError: it failed again.
    """
    choose = random.Random(0)  # noqa: S311 - not for secrets
    results: list[Round] = []
    for number in range(rounds):
        order = choose.sample(kinds, len(kinds))
        measured = {}
        for kind in order:
            say(f"round {number + 1} of {rounds}: {kind}")
            measured[kind] = once_more(partial(measure, kind), say)
        results.append({kind: measured[kind] for kind in kinds})
    return results


def once_more(measure: Callable[[], Result], say: Callable[[str], None]) -> Result:
    """Measure, and again if that fails: many minutes ought not to be lost for a stumble.

    Raises:
        BaselineError: it failed again.
    """
    try:
        return measure()
    except BaselineError as error:
        say(f"{error} Once more.")
        return measure()


def by_figure(
    rounds: Sequence[Round],
    names: Iterable[str],
    figure_of: FigureOf,
) -> dict[str, dict[str, Spread]]:
    """Figure -> probe -> median over the rounds, with an interval for it.

    Args:
        rounds: at least one.
        names: of the figures.
        figure_of: what is said of each.
    """
    found: dict[str, dict[str, Spread]] = {}
    for name in names:
        for kind in rounds[0]:
            values = [figure_of(r, kind, name) for r in rounds]
            known = [value for value in values if value is not None]
            if known:
                found.setdefault(name, {})[kind] = interval(known)
    return found


def itself(measured: Round, kind: str, name: str) -> float | None:
    """The figure as it was measured."""
    return measured[kind].get(name)


def over(reference: str) -> FigureOf:
    """By how much a figure is above that of another probe in the same round."""

    def above(measured: Round, kind: str, name: str) -> float | None:
        if kind in ("none", reference):
            return None
        return measured[kind][name] - measured[reference][name]

    return above


def percent_below(reference: str) -> FigureOf:
    """By how many percent of it a figure is below that of another probe in the same round."""

    def below(measured: Round, kind: str, name: str) -> float | None:
        if kind in ("none", reference):
            return None
        return 100 * (1 - measured[kind][name] / measured[reference][name])

    return below


def percent_above(reference: str) -> FigureOf:
    """By how many percent of it a figure is above that of another probe in the same round."""
    below = percent_below(reference)

    def above(measured: Round, kind: str, name: str) -> float | None:
        difference = below(measured, kind, name)
        return None if difference is None else -difference

    return above


def interval(values: Sequence[float]) -> Spread:
    """The median, and an interval that holds the true one with at least 95 %.

    Whatever the distribution: as many values are above the true median as heads come up in as many
    throws, so it is between the k-th smallest and the k-th largest value but with the probability
    of fewer than k heads or fewer than k tails (David and Nagaraja, Order Statistics, 2003,
    section 7.1).  Fewer than ``ENOUGH`` values are all in the interval, and that is less than 95 %.
    """
    ordered = sorted(values)
    throws = len(ordered)
    exactly = (math.comb(throws, heads) / 2**throws for heads in range(throws // 2))
    rank = max(1, sum(2 * tail <= 1 - CONFIDENCE for tail in itertools.accumulate(exactly)))
    return Spread(ordered[rank - 1], statistics.median(ordered), ordered[-rank])


def single(rounds: Sequence[Round]) -> dict[str, dict[str, list[float]]]:
    """Probe -> figure -> what it was in each round, to five digits, as JSON has it."""
    return {
        kind: {
            name: [float(f"{r[kind][name]:.5g}") for r in rounds if name in r[kind]]
            for name in rounds[0][kind]
        }
        for kind in rounds[0]
    }


def medians(table: Mapping[str, Mapping[str, Spread]]) -> dict[str, dict[str, float]]:
    """Only the medians, to three digits after the point."""
    return {
        name: {kind: round(figures.median, 3) for kind, figures in row.items()}
        for name, row in table.items()
    }


def spreads(table: Mapping[str, Mapping[str, Spread]]) -> dict[str, dict[str, Any]]:
    """All three, as JSON has them."""
    return {
        name: {
            kind: {key: round(value, 3) for key, value in figures._asdict().items()}
            for kind, figures in row.items()
        }
        for name, row in table.items()
    }
