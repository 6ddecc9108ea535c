"""Interleaved rounds: each probe once in every round, in an order that changes; then what they say.

The machine drifts, so figures of one round are compared with each other and not with those of
another: a difference is the median of the differences within the rounds.
"""

import random
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from baseline.errors import BaselineError

Figures = Mapping[str, float]
"""What was measured -> its figure."""

Round = Mapping[str, Figures]
"""Probe -> its figures."""

FigureOf = Callable[[Round, str, str], float | None]
"""A round, a probe and what was measured -> what is said of it; ``None`` where that is nothing."""

ROUNDS = 7
"""So many unless told otherwise."""


class Quartiles(NamedTuple):
    """The median of all rounds, and the quarters of them below and above."""

    low: float
    median: float
    high: float


def in_turn(
    kinds: Sequence[str], rounds: int, measure: Callable[[str], Figures], say: Callable[[str], None]
) -> list[Round]:
    """Measure each kind in each round, in an order that is another one each time.

    What fails is done once more: a run of many minutes ought not to be lost for a stumble.

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
            try:
                measured[kind] = measure(kind)
            except BaselineError as error:
                say(f"{error} Once more.")
                measured[kind] = measure(kind)
        results.append({kind: measured[kind] for kind in kinds})
    return results


def by_figure(
    rounds: Sequence[Round],
    names: Iterable[str],
    figure_of: FigureOf,
) -> dict[str, dict[str, Quartiles]]:
    """Figure -> probe -> quartiles over the rounds.

    Args:
        rounds: at least one.
        names: of the figures.
        figure_of: what is said of each.
    """
    found: dict[str, dict[str, Quartiles]] = {}
    for name in names:
        for kind in rounds[0]:
            values = [figure_of(r, kind, name) for r in rounds]
            known = [value for value in values if value is not None]
            if known:
                found.setdefault(name, {})[kind] = quartiles(known)
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


def quartiles(values: Sequence[float]) -> Quartiles:
    """Of at least one value."""
    if len(values) == 1:
        return Quartiles(values[0], values[0], values[0])
    return Quartiles(*statistics.quantiles(values, n=4, method="inclusive"))


def medians(table: Mapping[str, Mapping[str, Quartiles]]) -> dict[str, dict[str, float]]:
    """Only the medians, to three digits after the point."""
    return {
        name: {kind: round(figures.median, 3) for kind, figures in row.items()}
        for name, row in table.items()
    }


def spreads(table: Mapping[str, Mapping[str, Quartiles]]) -> dict[str, dict[str, Any]]:
    """All three, as JSON has them."""
    return {
        name: {
            kind: {key: round(value, 3) for key, value in figures._asdict().items()}
            for kind, figures in row.items()
        }
        for name, row in table.items()
    }
