"""How differently often two models' workloads do what both know.

**How much** is the relative entropy of B's shares to A's (Kullback and Leibler, 1951), in bits for
each occurrence.  Each item carries ``b log2(b / a) + (a - b) / ln 2``; the second terms add to
nothing, and with them no item carries less than nothing.

**Whether it is chance** is judged for each item by how far its two shares are apart, in standard
errors.  What happens within a window hangs together, so it is windows that are counted as
independent, not occurrences: of windows with X_i occurrences of the item among T_i of all, the
share ``s = sum X / sum T`` has about the variance ``sum (X_i - s T_i)^2 / (sum T)^2``.  Models keep
no single counts, so it is bounded from above, by the lesser of

- ``s (1 - s) / n`` with ``n = (sum T)^2 / sum T^2``: no share varies more between windows than if
  each window held one thing alone (n is the effective sample size of Kish, 1965);
- ``(sum X^2 (1 - 2 s) + s^2 sum T^2) / (sum T)^2``, which follows from X_i <= T_i.  For calls, sum
  X^2 is known well enough from how many windows had a count in which octave.

P-values are those of one item times the number of items (Bonferroni).

Assumptions: windows are independent, their shares do not depend on how much they hold, and enough
of them show the item.  Neighbours are not quite independent, and load has hours of its own: what is
beyond sampling is a difference between the times that were learned, be it the version's or the
hour's.
"""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

BEYOND_SAMPLING = 0.001
"""P-value below which a change is taken for more than chance."""


@dataclass(frozen=True)
class ShareChange:
    """An item that both models know.

    Attributes:
        description: the item as people write it.
        before, after: its share of all that both know, in A and in B.
        bits: what it carries of the shift, at least 0.
        p_value: probability, over all items, that chance sets the shares so far apart, or a bound
            of it.
    """

    description: str
    before: float
    after: float
    bits: float
    p_value: float

    @property
    def is_beyond_sampling(self) -> bool:
        """Whether it is more than chance."""
        return self.p_value < BEYOND_SAMPLING


@dataclass(frozen=True)
class Shift:
    """How differently often the things of one signal occur.

    Attributes:
        bits: relative entropy for each occurrence, at least 0.
        changes: of all that both know, heaviest first.
    """

    bits: float
    changes: tuple[ShareChange, ...]

    @property
    def beyond_sampling(self) -> int:
        """How many changes are more than chance."""
        return sum(change.is_beyond_sampling for change in self.changes)


@dataclass(frozen=True)
class Occurred:
    """How often each item occurred in the windows of a training.

    Attributes:
        counts: item -> how often, at least 1.
        effective_windows: for how many windows of one size those of the training count.
        squares: item -> sum over windows of the square of its count, where that is known.
    """

    counts: Mapping[Any, int]
    effective_windows: float
    squares: Mapping[Any, float] = field(default_factory=dict)


def shift(before: Occurred, after: Occurred, names: Mapping[Any, str]) -> Shift:
    """How the shares of what both know changed.

    Args:
        before: A.
        after: B.
        names: item -> how people write it, at least of what both know.
    """
    both = [item for item in before.counts if item in after.counts]
    totals = [sum(side.counts[item] for item in both) for side in (before, after)]
    changes = []
    for item in both:
        a, b = before.counts[item] / totals[0], after.counts[item] / totals[1]
        bits = b * math.log2(b / a) + (a - b) / math.log(2)
        variance = _variance(before, item, totals[0]) + _variance(after, item, totals[1])
        p_value = _p_value(abs(a - b), variance) * len(both)
        changes.append(ShareChange(names[item], a, b, max(bits, 0.0), min(p_value, 1.0)))
    changes.sort(key=lambda change: (-change.bits, change.description))
    return Shift(math.fsum(change.bits for change in changes), tuple(changes))


def _variance(occurred: Occurred, item: Hashable, total: int) -> float:
    """Upper bound of the variance of an item's share; see the module."""
    share = occurred.counts[item] / total
    bound = share * (1 - share) / occurred.effective_windows
    square = occurred.squares.get(item)
    if square is None or share > 0.5:  # then next to nothing would be left, of a rough number
        return bound
    return min(bound, square * (1 - 2 * share) / total**2 + share**2 / occurred.effective_windows)


def _p_value(distance: float, variance: float) -> float:
    if distance == 0 or variance <= 0:
        return 1.0
    return 2 * NormalDist().cdf(-distance / math.sqrt(variance))
