"""How a cost grows: c + a * size ** p, so that a fixed cost does not pass for slow growth."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

NOISE = 0.2
"""Less of a cost than this may be chance: each is measured once."""

_EXPONENTS = np.arange(5, 401) / 100


class Growth(NamedTuple):
    """How a cost grows with a size.

    Attributes:
        fixed: what it costs whatever the size, c.
        exponent: of what grows, p; ``None`` where no cost is above that of a smaller size by more
            than ``NOISE``: nothing grows that could be told from chance.
        steepest: the largest exponent between one size and the next, of what is above ``fixed``.
    """

    fixed: float
    exponent: float | None = None
    steepest: float | None = None


def growth(sizes: Sequence[float], costs: Sequence[float]) -> Growth:
    """Fit by least squares of the relative errors, c and a at least 0.

    Of three sizes the fit is exact wherever there is one; so it tells how what was measured grows,
    and not how sure that is.

    Args:
        sizes: at least three, ascending.
        costs: of each, positive.
    """
    least_before = itertools.accumulate(costs, min)
    if all(cost <= (1 + NOISE) * least for cost, least in zip(costs, least_before, strict=True)):
        return Growth(min(costs))
    x, y = np.array(sizes, float), np.array(costs, float)
    fits = [(*_fit((x / x[-1]) ** exponent, y), float(exponent)) for exponent in _EXPONENTS]
    _, fixed, exponent = min(fits)
    grown = y - fixed
    local = [
        math.log(more / less) / math.log(larger / smaller)
        for (less, more), (smaller, larger) in zip(
            itertools.pairwise(grown.tolist()), itertools.pairwise(sizes), strict=True
        )
        if min(less, more) >= NOISE * (fixed + less)
    ]
    return Growth(fixed, exponent, max(local, default=None))


def steepest(scaling: Mapping[str, Mapping[str, Any]]) -> tuple[str, float]:
    """The kind of work with which cost grows fastest, and the larger of its exponents.

    Args:
        scaling: kind -> its ``sizes`` and ``costs``.
    """
    grown = {name: growth(its["sizes"], its["costs"]) for name, its in scaling.items()}
    worst = {name: max(g.exponent or 0.0, g.steepest or 0.0) for name, g in grown.items()}
    return max(worst.items(), key=lambda found: found[1])


def _fit(power: np.ndarray, costs: np.ndarray) -> tuple[float, float]:
    """Sum of squared relative errors of the best c + a * power, and its c."""
    both = np.column_stack([1 / costs, power / costs])
    ones = np.ones(len(costs))
    candidates = [np.linalg.lstsq(both, ones, rcond=None)[0]]
    for only in (0, 1):  # an edge, where the best one of all has a negative part
        column = both[:, only]
        alone = np.zeros(2)
        alone[only] = column.sum() / (column @ column)
        candidates.append(alone)
    return min(
        (float(((both @ each - 1) ** 2).sum()), float(each[0]))
        for each in candidates
        if min(each) >= 0
    )
