"""How often does normal time surprise that much, in windows that did about as much?

A busy window brings more that is new than a quiet one, of every signal at once, and learning may
have seen few of them.  So the evidence of a window is compared with that of held-out windows of
about its own load, the system calls that it made: the distribution of the evidence is that given
the load (as in Mondrian conformal prediction: Vovk, Gammerman and Shafer, 2005, which has a
distribution for each category).

Loads are told apart by octaves, so that there are few distributions, all of them at hand.  Each is
that of the windows within a factor of two of the middle of its octave; where these are less than
one in ``SHARE`` of all, or than ``LEAST``, of as many as are nearest.  Where the load is not known,
because the window is not complete, and where training saw none that low or high, so much evidence
is as rare as at the load at which it is least rare.

Which windows are compared follows from loads alone, never from the evidence; so the p-value is
valid where windows of these loads are exchangeable.  Where no more than windows as a whole are, it
is at worst about half of what it should be, because each load is near the middles of two octaves
(``docs/statistics.md`` counts it).
"""

import math

import numpy as np

from baseline.model.calibration import Calibration
from baseline.model.novelty import Floats, Integers

LEAST = 50
"""Windows of training that are compared at least, if there are so many ..."""

SHARE = 8
"""... and at least one in so many of them."""


class LoadCalibration:
    """The distribution of a score in normal time, given the load of its window.

    Args:
        held_out: scores, at least 0, shape (n,); not empty.
        loads: calls of these windows, at least 0, same shape.

    Attributes:
        calibrations: the distributions, each once, from low to high loads.
        least, most: loads of training.
    """

    def __init__(self, held_out: Floats, loads: Integers) -> None:
        self.least, self.most = int(loads.min()), int(loads.max())
        order = np.argsort(loads, kind="stable")
        held_out, logs = held_out[order], np.log2(loads[order] + 1.0)
        fewest = min(max(LEAST, len(held_out) // SHARE), len(held_out))
        distinct: dict[tuple[int, int], Calibration] = {}
        self._by_octave: dict[int, Calibration] = {}
        for octave in range(_octave(self.least), _octave(self.most) + 1):
            distances = np.abs(logs - octave)
            farthest = max(1.0, np.partition(distances, fewest - 1)[fewest - 1])
            near = np.flatnonzero(distances <= farthest)  # neighbours, because loads ascend
            key = int(near[0]), len(near)
            if key not in distinct:
                distinct[key] = Calibration(held_out[near])
            self._by_octave[octave] = distinct[key]
        self.calibrations = tuple(distinct.values())

    def given(self, load: int) -> Calibration:
        """The distribution at a load from ``least`` to ``most``."""
        return self._by_octave[_octave(load)]

    def p_value(self, score: float, load: int | None) -> float:
        """Probability that a normal window scores at least so much.

        Args:
            score: at least 0.
            load: of the window; ``None`` where it is not known.
        """
        if load is not None and self.least <= load <= self.most:
            return self.given(load).p_value(score)
        return max(calibration.p_value(score) for calibration in self.calibrations)

    def p_values(self, scores: Floats, loads: Integers) -> Floats:
        """The same for many windows whose loads are known, both of shape (windows,)."""
        octaves = np.rint(np.log2(loads + 1.0))
        is_beyond = (loads < self.least) | (loads > self.most)
        result = np.zeros(scores.shape)
        for octave, calibration in self._by_octave.items():
            rows = is_beyond | (octaves == octave)
            result[rows] = np.maximum(result[rows], calibration.p_values(scores[rows]))
        return result


def _octave(load: int) -> int:
    return round(math.log2(load + 1))
