"""From scores to probabilities: how often does normal time surprise that much?

The scores come from cross-fitting: the recording is cut into contiguous blocks, and each block's
windows are judged by what the other blocks teach, so that every score is of a window the judge did
not learn from.

Inside the data the p-value is conformal: (1 + scores at least as high) / (1 + scores), which is
valid for exchangeable scores whatever their distribution (Vovk, Gammerman and Shafer, 2005).

Beyond the tenth highest score e it goes on as an exponential tail (Pickands, 1975; the exponential
member of the generalised Pareto family), with the uncertainty of its scale carried into the
threshold.  The scale is learned from the k = sqrt(n) highest scores, by how much they exceed the
one below them.  Integrating it out leaves the predictive probability

    P(score > x) = P(score > e) (1 + (x - e) / E)^-k,    E = sum of excesses,

which is exact for exponential excesses of any scale (x / E is then a ratio of gamma variables), but
for e being one of them: that costs a fifth at most.  Where k is below ten it falls far too slowly,
so there is a conjugate (inverse gamma) prior worth ten excesses, which makes it

    P(score > e) (1 + (x - e) / (E + 10 prior means))^-(k + 10).

The prior mean is what a scale must be if nothing was ever surprising: one wholly new thing in a
window as probable as the n windows without one allow, two as probable as the square of that.

It counts, too, where the excesses are smaller than that on average.  Where scores come *in steps*,
as those of novelty do, E is then k prior means.  Something new that always costs the same, a client
on a port, makes the highest scores next to equal, so that they exceed each other by next to
nothing; that does not say that two such clients at once are impossible.  And evidence, which is the
bits of a probability, cannot become rare faster than by half with each.

Assumptions: production behaves as the recording did; excesses are no heavier than exponential.
"""

import math

import numpy as np

from baseline.model.novelty import Floats

_PRIOR_EXCESSES = 10
_INSIDE = 10
"""Scores above which the data speak no more for themselves."""

_NEVER = 1e-300  # above zero, which has no bits

BIT = 1 / math.log(2)
"""Scale at which each bit halves the probability."""


class Calibration:
    """The distribution of a score in normal time.

    Args:
        held_out: scores, at least 0, in any order, shape (n,); not empty.
        prior_scale: mean excess to expect where there is none in the data, above zero.
        in_steps: no scale is below it: something new costs about so much or nothing.

    Attributes:
        scores: the same in ascending order.
    """

    def __init__(
        self, held_out: Floats, prior_scale: float = BIT, *, in_steps: bool = True
    ) -> None:
        self.scores = np.sort(held_out)
        number = len(held_out)
        positive = int((self.scores > 0).sum())
        excesses = min(positive, max(math.isqrt(number), _INSIDE))
        start = float(self.scores[-excesses - 1]) if excesses < number else 0.0
        self._sum = float((self.scores[number - excesses :] - start).sum())
        self._power = excesses
        if excesses < _PRIOR_EXCESSES or self._sum < excesses * prior_scale:
            if in_steps:
                self._sum = max(self._sum, excesses * prior_scale)
            self._sum += _PRIOR_EXCESSES * prior_scale
            self._power += _PRIOR_EXCESSES
        inside = min(excesses, _INSIDE)
        self._edge = float(self.scores[number - inside]) if inside else 0.0
        self._edge_p_value = (1 + inside) / (1 + number)

    @property
    def highest(self) -> float:
        """The highest score of normal time."""
        return float(self.scores[-1])

    def p_value(self, score: float) -> float:
        """Probability that a normal window scores at least so much; 1 for nothing.

        Equal to the last bit to that of :meth:`p_values`: sums of the bits are compared.
        """
        if score <= 0:
            return 1.0
        if score <= self._edge:  # as most are, at a fifth of the cost
            higher = len(self.scores) - int(self.scores.searchsorted(score))
            return (1 + higher) / (1 + len(self.scores))
        return float(self.p_values(np.array([score]))[0])

    def p_values(self, scores: Floats) -> Floats:
        """The same for many scores, any shape."""
        higher = len(self.scores) - np.searchsorted(self.scores, scores)
        inside = (1 + higher) / (1 + len(self.scores))
        excess = np.maximum(scores - self._edge, 0)
        beyond = np.maximum(self._edge_p_value * (1 + excess / self._sum) ** -self._power, _NEVER)
        return np.where(scores <= 0, 1.0, np.where(scores > self._edge, beyond, inside))

    def bits(self, score: float) -> float:
        """The p-value in bits, at least 0."""
        return float(-np.log2(self.p_value(score))) + 0.0  # of 1 it is 0, not -0

    def threshold(self, p_value: float) -> float:
        """The lowest score above zero from which on the p-value is at most this."""
        if p_value >= self._edge_p_value:
            higher = math.floor(p_value * (1 + len(self.scores)) + 1e-9) - 1
            lowest = float(self.scores[-higher - 1]) if higher < len(self.scores) else 0.0
            return max(math.nextafter(lowest, math.inf), math.nextafter(0, 1))
        excess = self._sum * ((self._edge_p_value / p_value) ** (1 / self._power) - 1)
        return math.nextafter(self._edge + excess, math.inf)
