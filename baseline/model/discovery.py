"""What is still unseen, estimated from slices of time.

The unit of sampling is a *slice*: some consecutive windows of one replica.  Windows themselves are
no sample, because neighbours are alike; slices are taken as exchangeable.  An item that one slice
alone showed is a *unique*.  All that follows rests on the uniques of each slice, because a slice is
to the others what the next slice will be to all of them (Good, 1953; incidence data: Chao and
Colwell, 2017).

**Expectation.**  With Q uniques among K items, r times the time of learning brings

    Q ((1 + r)^a - 1) / a    new items, with a = Q / K,

which is the two-parameter Poisson-Dirichlet process of Pitman and Yor with its usual estimate of
the exponent (Pitman, 2006, section 3.3; for prediction: Favaro, Lijoi, Mena and Pruenster, 2009).
It lies between Q ln(1 + r) (a = 0, Fisher's log-series: each rarer kind is a constant factor rarer)
and Q r (a = 1: nothing is ever exhausted).  The last is an upper bound whatever is true, because
under exchangeability the rate of discovery cannot rise.

**Interval.**  New items do not come one by one: a request of a new kind brings twenty n-grams.  So
the uniques of one slice count as one *burst*, which happened once.  Of what happened once the rate
has a Gamma(1) distribution (scale-free prior 1 / rate), so that it happens a geometrically
distributed number of times in g times the time, g on average.  What happened never has Gamma(1/2)
(Jeffreys), and is taken to be as large as the largest burst there was.  With bursts of u items, of
weights w = 1 (seen) and 1/2 (unseen), the number of new items has the generating function

    prod (1 + g (1 - z^u))^-w,

which carries the dispersion between slices and the uncertainty about the rates alike.  The lower
end is the 5 % quantile of the bursts seen, for g = ln(1 + r); the upper end the 95 % quantile for
g = r: the exponent is not trusted.

**Unseen mass.**  The probability that the next window shows something never seen is estimated by
the share of windows that introduced a unique.  The upper bound takes slices for the units in the
same way: a gamma distribution with the moments of the bursts of such windows.  Where there is none
it is the rule of three, 3 / windows.

Assumptions: slices are exchangeable, and the future has as many replicas as learning had.  While a
service warms up too much is predicted; what only comes at night is predicted by nobody at noon.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_TAIL = 0.05
"""Probability on either side of an interval, and above a bound."""

_TAIL_NORMAL = 1.6448536269514722
"""Quantile of the normal distribution beyond which that probability lies."""

_GRID = 4096
"""Points at which a distribution of counts is computed."""


class NewItems(NamedTuple):
    """How many items never seen before are to come.

    Attributes:
        expected: on average.
        low, high: ends of the interval that holds 90 % of the cases.
    """

    expected: float
    low: int
    high: int


def new_items(
    uniques: Mapping[int, int], items: int, largest_burst: int, growth: float
) -> NewItems:
    """Predict how many new items come.

    Args:
        uniques: how many items a slice alone showed -> how many slices did so; without zeros.
        items: all items seen.
        largest_burst: items that the unseen is taken to come with.
        growth: time ahead as a multiple of the time of learning, above zero.
    """
    total = sum(size * slices for size, slices in uniques.items())
    seen = {size: float(slices) for size, slices in uniques.items()}
    unseen = max(largest_burst, 1, *uniques) if uniques else max(largest_burst, 1)
    return NewItems(
        expected=total * _power_growth(growth, total / items) if total else 0.0,
        low=_quantile(seen, math.log1p(growth), _TAIL) if seen else 0,
        high=_quantile(seen | {unseen: seen.get(unseen, 0.0) + 0.5}, growth, 1 - _TAIL),
    )


def unseen_mass_bound(introducing: npt.NDArray[np.int64], windows: int) -> float:
    """Upper 95 % bound of the probability that the next window shows something never seen.

    The quantile of the gamma distribution is that of Wilson and Hilferty (1931).

    Args:
        introducing: of each slice the number of windows that introduced a unique, shape (slices,).
        windows: all windows, at least 1.
    """
    total = int(introducing.sum())
    scale = float((introducing**2).sum()) / total if total else 1.0
    shape = total / scale + 1
    quantile = shape * (1 - 1 / (9 * shape) + _TAIL_NORMAL / (3 * math.sqrt(shape))) ** 3
    return min(quantile * scale / windows, 1.0)


def _power_growth(growth: float, exponent: float) -> float:
    """((1 + growth)^exponent - 1) / exponent."""
    return math.expm1(exponent * math.log1p(growth)) / exponent


def _quantile(bursts: Mapping[int, float], growth: float, level: float) -> int:
    """Quantile of the number of items, for rates that grow to ``growth`` times their unit.

    The generating function on the unit circle is the Fourier transform of the distribution.  Where
    that is too long for the grid, bursts are rounded up to whole grid steps and made rarer, so that
    the means stay.

    Args:
        bursts: items that come together -> shape of the gamma distribution of their rate.
        growth: time ahead, in the unit of the rates.
        level: probability not to come above the quantile.
    """
    sizes, shapes = (np.array(list(side), np.float64) for side in (bursts, bursts.values()))
    mean = growth * float(shapes @ sizes)
    deviation = math.sqrt(growth * (1 + growth) * float(shapes @ sizes**2))
    # With each (1 + growth) times its size, the last burst's tail falls by a factor of e.
    longest = mean + 8 * deviation + 16 * (1 + growth) * float(sizes.max())
    step = float(max(1, math.ceil(longest / _GRID)))
    steps = np.ceil(sizes / step)
    frequencies = np.arange(_GRID // 2 + 1)
    circle = np.exp(-2j * np.pi * np.arange(_GRID) / _GRID)
    transform = np.ones(len(frequencies), np.complex128)
    for number, average, shape in zip(steps, growth * sizes / (steps * step), shapes, strict=True):
        transform *= (1 + average * (1 - circle[frequencies * int(number) % _GRID])) ** -shape
    distribution = np.cumsum(np.fft.irfft(transform, _GRID))
    # A little lower than the level, so that rounding errors do not decide between two counts.
    return int(float(np.searchsorted(distribution, level - 1e-9)) * step)
