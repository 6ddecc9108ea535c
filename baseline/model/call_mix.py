"""Which calls a window is made of, whatever its length: the relative entropy of its shares.

Where windows are no slices of time of one length (traces of whole processes, merged recordings),
counts cannot be compared, but shares can.  By Sanov's theorem (Cover and Thomas, Elements of
Information Theory, section 11.4) the probability that n calls drawn as in training show shares as
far away as those of the window falls as ``2^(-n D)``, with D their relative entropy.  Calls are not
independent draws, so D itself is the score, in bits a call, and the calibration says what is much.

The estimate of D from few calls is too high by ``(k - 1) / (2 n ln 2)`` for k distinct calls
(Miller, 1955), which is taken off.
"""

import numpy as np

from baseline.model.novelty import Floats, Integers

_PRIOR = 0.5  # Krichevsky and Trofimov


class CallMix:
    """Shares of each call in training.

    Args:
        calls: how often each call was made, shape (calls,).
    """

    def __init__(self, calls: Integers) -> None:
        self._shares = (calls + _PRIOR) / (calls.sum() + _PRIOR * (len(calls) + 1))

    def bits(self, counts: Integers) -> Floats:
        """What each call adds to the relative entropy of each window.

        Args:
            counts: how often each call was made, shape (windows, calls).

        Returns:
            Bits a call, same shape; below zero for what there is too little of, and all zero where
            their sum is not above the bias.
        """
        total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
        shares = counts / total
        bits = shares * np.log2(np.where(counts > 0, shares / self._shares, 1))
        distinct = (counts > 0).sum(axis=1, keepdims=True)
        bias = np.maximum(distinct - 1, 0) / (2 * total * np.log(2))
        entropy = bits.sum(axis=1, keepdims=True)
        unbiased = np.maximum(entropy - bias, 0)
        return np.asarray(
            bits * np.divide(unbiased, entropy, np.zeros_like(bias), where=entropy > 0)
        )
