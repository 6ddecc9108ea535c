"""One scale for all evidence: from the surprise of each signal to one probability.

1. What is new adds up in proportion to what such a window brings anyway: of a service that shows
   two new things in a million calls, a window of ten million is expected to show twenty.  The
   surprise of a signal is taken times ``m / (m + r n)``, with n what the window counted, r the
   held-out surprise of one such thing in training, and m the surprise of one wholly new thing.
   Where nothing was new in training, r is zero and the sum stays what it is.
2. Each signal's surprise becomes the probability of so much in normal time
   (:mod:`baseline.model.calibration`), and the bits of these are added (Fisher, 1932).
3. The signals of a window are not independent, so their sum has a calibration of its own, on the
   same held-out windows.  That makes it one valid test, whatever the dependence, and gives every
   signal as much of the budget as it uses.
4. Signals come together where much is done, so that the sum grows with the load.  It is compared
   with held-out windows of about the same load (:mod:`baseline.model.load_calibration`).

No item carries bits in two signals, so that one new thing does not count twice where so little was
surprising in training that the prior speaks for the sum: a call never made is no new order of
calls, and a peer is on one side of its connection.
"""

from collections.abc import Mapping

import numpy as np

from baseline.model.calibration import BIT, Calibration
from baseline.model.held_out import HeldOut
from baseline.model.load_calibration import LoadCalibration
from baseline.model.novelty import Floats, Integers
from baseline.model.score import NOVELTIES, Signal
from baseline.model.shift import ShiftTest


class Combination:
    """The scale of all evidence of a workload.

    Args:
        held_out: windows of training.
        wholly_new: by signal, surprise of one thing that is new in every way; 0 for none such.
    """

    def __init__(self, held_out: HeldOut, wholly_new: Mapping[Signal, float]) -> None:
        self._wholly_new = wholly_new
        self._expected = {
            s: float(held_out.bits[s].sum()) / max(int(held_out.counts[s].sum()), 1)
            for s in NOVELTIES
        }
        number = len(held_out)
        scores = {
            s: held_out.bits[s] * (self._shares(s, held_out.counts[s]) if s in NOVELTIES else 1.0)
            for s in Signal
        }
        self.by_signal = {
            s: Calibration(
                scores[s], max(wholly_new[s] / np.log(1 + number), BIT), in_steps=s in NOVELTIES
            )
            for s in Signal
        }
        evidence = sum(
            (-np.log2(self.by_signal[s].p_values(scores[s])) for s in Signal), np.zeros(number)
        )
        self.held_out_evidence: Floats = evidence
        loads = held_out.counts[Signal.NGRAMS]
        self.calibration = LoadCalibration(evidence, loads)
        bits = -np.log2(self.calibration.p_values(evidence, loads)) + 0.0  # of 1: 0, not -0
        self.shift = ShiftTest(bits, held_out.replica)
        self.held_out_bits: Floats = bits

    def share(self, signal: Signal, count: int) -> float:
        """What part of a signal's surprise counts in a window that counted so much."""
        new = self._wholly_new[signal]
        return new / (new + self._expected[signal] * count) if new else 1.0

    def _shares(self, signal: Signal, counts: Integers) -> Floats:
        new = self._wholly_new[signal]
        if not new:
            return np.ones(counts.shape)
        return np.asarray(new / (new + self._expected[signal] * counts))

    def evidence(self, by_signal: Mapping[Signal, float]) -> float:
        """All evidence of a window in bits, of the surprise of each signal."""
        return sum(self.by_signal[s].bits(bits) for s, bits in by_signal.items() if bits > 0)

    def p_value(self, by_signal: Mapping[Signal, float], load: int | None = None) -> float:
        """Probability that a normal window has so much evidence.

        Args:
            by_signal: surprise of each signal.
            load: calls of the window; where it is not known, so much is as rare as at the load at
                which it is least rare.
        """
        return self.calibration.p_value(self.evidence(by_signal), load)

    def is_wholly_new(self, signal: Signal, bits: float) -> bool:
        """Whether a signal's surprise is that of something new in every way.

        It is an alert however short learning was, unless normal time came half as far: nobody wants
        to be blind to the first shell.  Why half: where the tail is exponential, the highest of n
        scores is exceeded twice over by one of the next n with a probability of about 2/n.
        """
        new = self._wholly_new[signal]
        return 0 < new <= bits and new > 2 * self.by_signal[signal].highest

    @property
    def wholly_new_p_value(self) -> float:
        """Probability that a normal window holds something that is wholly new."""
        return sum(
            self.by_signal[s].p_value(new)
            for s, new in self._wholly_new.items()
            if self.is_wholly_new(s, new)
        )
