"""How surprising something new is: graded by how often new things came before.

An item is placed in a few *contexts*, from specific to general: a system call after the five, the
four, ... calls before it; a program after its ancestors, after its parent, anywhere.  In each
context that was seen in training, and never with this item, the item had to *escape* from what was
known there (as in PPM: Cleary and Witten, 1984), and carries the surprise of that escape.  Contexts
that were not seen know nothing and add nothing; that they are new is charged where they are items
themselves.

The probability of an escape is estimated from *incidence*: a trial is a window that shows the
context, however many calls it holds, because calls within a second are far from independent.  With
N such windows and Q of the items seen in exactly one of them, Good and Turing's estimate of the new
items in the next one is Q/N (Good, 1953; incidence data: Chao and Colwell, 2017).  Two refinements:

- Jeffreys' prior keeps it above zero: (Q + 1/2) / (N + 1).
- Where nothing was seen only once, the context may well be closed.  A closed context and an open
  one are weighed against each other, each with prior 1/2, as the zero-redundancy estimator of
  context-tree weighting does (Willems, Shtarkov and Tjalkens, 1995): N windows without a singleton
  have probability 1 under "closed" and about 1/sqrt(pi (N + 1/4)) under Jeffreys' "open".

So one peer among ever-new ones carries nearly nothing, and the first new peer of a service that
always talked to the same two carries about 1.5 log2 N bits.

Assumptions: windows are exchangeable, and what is new comes at a constant rate.  Both fail while a
service starts up, at its nightly jobs, and when its users change; the calibration on held-out
blocks of time measures by how much.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def discount(counts: Integers, factor: float) -> Integers:
    """What about so large a part of the windows would have shown: never nothing.

    Args:
        counts: above zero, any shape.
        factor: above 0, at most 1.
    """
    return np.asarray(np.ceil(counts * factor), np.int64)


def escape_bits(windows: Integers, singletons: Integers) -> Floats:
    """Surprise of something new in a context.

    Args:
        windows: windows in which the context was seen, any shape; 0 means never.
        singletons: items seen in it in exactly one window, same shape.

    Returns:
        Bits, at least 0, same shape; 0 for a context that was never seen.
    """
    seen = windows.astype(np.float64)
    rate = (singletons + 0.5) / (seen + 1)
    open_likelihood = 1 / np.sqrt(np.pi * (seen + 0.25))
    still_open = np.where(singletons > 0, 1, open_likelihood / (1 + open_likelihood))
    bits = -np.log2(np.minimum(rate * still_open, 1))
    return np.where(windows > 0, bits, 0.0)
