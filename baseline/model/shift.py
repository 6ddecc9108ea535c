"""Small lasting shifts: evidence that is too weak in every window and too much in a row.

Each window's p-value becomes an e-value, ``e(p) = 1 / (2 sqrt(p))``, whose mean is at most one in
normal time (Vovk and Wang, 2021), and e-values multiply: the test keeps the largest product of the
latest windows, whichever number of them that is, in bits::

    shift = max(shift before, 0) + log2 e(p)

Where p-values are valid given the past, an alarm at ``log2 (1 / a)`` bits comes on average no
sooner than after 1 / a windows of normal time: the average run length (Shin, Ramdas and Rinaldo,
2022, theorem on e-CUSUM).  Busy minutes follow busy minutes, so the assumption fails somewhat;
therefore the threshold is at least what the held-out windows of training, in their order, ask for.
"""

import math

import numpy as np

from baseline.model.calibration import Calibration
from baseline.model.novelty import Floats, Integers


def step(shift: float, bits: float) -> float:
    """The shift after one more window, at least 0.

    Args:
        shift: before it, in bits.
        bits: its own, ``-log2 p``.
    """
    return max(shift + bits / 2 - 1, 0.0)


def shifts(bits: Floats, sequence: Integers) -> Floats:
    """The shift after each window.

    Args:
        bits: of each window, ``-log2 p``, shape (windows,).
        sequence: number of its replica; rows of one are in order of time, shape (windows,).

    Returns:
        Bits, at least 0, shape (windows,).
    """
    result = np.zeros(len(bits))
    order = np.argsort(sequence, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(sequence[order])) + 1):
        walk = np.cumsum(bits[rows] / 2 - 1)
        result[rows] = walk - np.minimum.accumulate(np.minimum(walk, 0))
    return result


class ShiftTest:
    """From which shift on to raise an alarm.

    Args:
        bits, sequence: of the held-out windows of training, as for :func:`shifts`.
    """

    def __init__(self, bits: Floats, sequence: Integers) -> None:
        self._calibration = Calibration(shifts(bits, sequence))

    def threshold(self, p_value: float) -> float:
        """Bits from which on an alarm comes at most so often in a window of normal time."""
        return max(-math.log2(p_value), self._calibration.threshold(p_value))
