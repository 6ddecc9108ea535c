"""From bits to probabilities: how often do windows of normal time surprise that much?

The scores come from cross-fitting: the recording is cut into contiguous blocks, and each block's
windows are judged by what the other blocks teach, so that every score is of a window the judge did
not learn from.

Inside the data the p-value is conformal: (1 + scores at least as high) / (1 + scores), which is
valid for exchangeable scores whatever their distribution (Vovk, Gammerman and Shafer, 2005).
Beyond the highest scores it falls exponentially (Pickands, 1975; the exponential member of the
generalised Pareto family).  The scale is the mean excess, enlarged by its standard error.  It is
never below what a service without any novelty would have, if one wholly new thing in a window were
as probable as the n windows without one allow, two as probable as the square of that, and so on;
and never below 1 / ln 2, at which a bit halves the p-value and no more.

Assumptions: production behaves as the recording did, and the tail is no heavier than exponential.
"""

import math

import numpy as np

from baseline.model.novelty import Floats

_TAIL_SHARE = 0.1
"""Share of the scores that the tail is fitted to, of those above zero."""

_LEAST_TAIL = 10
"""Scores that the tail is fitted to at least, if there are so many above zero."""


class Calibration:
    """The distribution of one signal's scores in normal time.

    Args:
        held_out: scores in bits, in any order, shape (n,); not empty.
        wholly_new_bits: what one thing that is new in every way scores.

    Attributes:
        scores: the same in ascending order.
    """

    def __init__(self, held_out: Floats, wholly_new_bits: float) -> None:
        self.scores = np.sort(held_out)
        number = len(held_out)
        tail = min(int((self.scores > 0).sum()), max(math.ceil(number * _TAIL_SHARE), _LEAST_TAIL))
        self._start = float(self.scores[-tail - 1]) if tail < number else 0.0
        self._weight = (1 + tail) / (1 + number)
        self._scale = max(wholly_new_bits / math.log(1 + number), 1 / math.log(2))
        if tail:
            mean_excess = float(self.scores[-tail:].mean()) - self._start
            self._scale = max(self._scale, mean_excess * (1 + 1 / math.sqrt(tail)))

    @property
    def highest(self) -> float:
        """The highest score of normal time, in bits."""
        return float(self.scores[-1])

    def p_value(self, bits: float) -> float:
        """Probability that a normal window scores at least so much; 1 for no bits."""
        if bits <= 0:
            return 1.0
        if bits <= self._start:
            higher = len(self.scores) - int(np.searchsorted(self.scores, bits))
            return (1 + higher) / (1 + len(self.scores))
        return self._weight * math.exp(-(bits - self._start) / self._scale)

    def threshold(self, p_value: float) -> float:
        """A score above zero from which on the p-value is at most this, in bits.

        Where a lower score inside the data would do, it is where the tail begins, which is
        cautious.
        """
        excess = self._scale * max(math.log(self._weight / p_value), 0.0)
        return math.nextafter(self._start + excess, math.inf)  # the start itself is not of the tail
