"""What fewer windows would have shown: incidence counts for a model that weighs less.

The estimate of novelty in a context rests on two numbers, its windows W and the items Q that were
seen in one of them alone (:mod:`baseline.model.novelty`).  Weighing a context by a factor, as a
power prior does (Ibrahim and Chen, 2000), has to multiply both, so that the rate Q / W stays what
it was and only its weight falls.  Multiplying the count of each item, and rounding up so that known
items stay known, would not do: at a tenth, everything that was seen in up to ten windows would
count as seen once, and novelty as ten times as common.

So an item that was seen in several windows stays seen in at least two.  Of those seen once, evenly
spread, only the part that the factor asks for stay such; the others count as two.
"""

import numpy as np

from baseline.model.novelty import Integers

MOST_WINDOWS = 1 << 62
"""No limit to the windows of a context."""

_SEVERAL = 2


def fewer_windows(windows: Integers, factor: float, most: int) -> Integers:
    """Windows of contexts that weigh less.

    Args:
        windows: of each context, at least 1, any shape.
        factor: above 0, at most 1.
        most: windows that any context may weigh, at least 1; above it the factor is smaller.

    Returns:
        At least 1, and at least 2 where there were several, unless ``most`` is 1; same shape.
    """
    fewer = np.ceil(np.minimum(windows * factor, float(most))).astype(np.int64)
    return np.asarray(np.maximum(fewer, np.minimum(windows, min(_SEVERAL, most))))


def fewer_appearances(
    appearances: Integers, windows: Integers, factor: float, most: int
) -> Integers:
    """In how many of the fewer windows of its context each item was seen.

    Args:
        appearances: windows that showed each item, at least 1, those of a context side by side,
            shape (items,).
        windows: of each item's context, before there were fewer, shape (items,).
        factor: as for :func:`fewer_windows`.
        most: likewise.

    Returns:
        At least 1, at most the fewer windows of the context, shape (items,).
    """
    share = np.minimum(factor, most / windows)
    fewer = np.maximum(np.ceil(appearances * share).astype(np.int64), _SEVERAL)
    once = appearances == 1
    # Rounded sums of the shares so far: they step up where one more stays seen once.
    stays = np.diff(np.floor(np.cumsum(share * once) + 0.5), prepend=0) > 0
    fewer[once & stays] = 1
    return np.minimum(fewer, fewer_windows(windows, factor, most))
