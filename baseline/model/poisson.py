"""How exactly a rate is known from a count of events."""

import math
from collections.abc import Callable

import numpy as np


def poisson_interval(count: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval for the mean of a Poisson variable (Garwood, 1936).

    Args:
        count: what was observed.
        confidence: probability with which such intervals hold the mean, at least.

    Returns:
        Lower and upper end: means at which so many or more, and so few or less, are seen with half
        of the remaining probability.
    """
    tail = (1 - confidence) / 2
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    numbers = np.arange(count + 1)

    def at_most(last: int, mean: float) -> float:
        terms = numbers[: last + 1] * math.log(mean) - log_factorials[: last + 1] - mean
        return float(np.exp(terms).sum())

    most = count + 10 * math.sqrt(count + 1) + 10  # where so few have a probability below 1e-5
    low = _root(lambda mean: at_most(count - 1, mean) - (1 - tail), most) if count else 0.0
    return low, _root(lambda mean: at_most(count, mean) - tail, most)


def _root(falling: Callable[[float], float], most: float) -> float:
    """Where a falling function of numbers between 0 and ``most`` crosses zero (bisection)."""
    low, high = 0.0, most
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return high
