"""How often each call is made in a window, given how often the others are: a tree of counts.

A service under twice the load makes twice the calls, so counts are judged against each other: the
joint distribution of all counts is approximated by the tree of pairwise ones that is nearest to it
(Chow and Liu, 1968), in which each call depends on the one that tells most about it.  What a call
carries is ``-log2 P(its count | its parent's count)``: too much, too little or none at all where
there always was some.

Counts are binned by octaves (:func:`levels`).  The distributions are those of the windows of
training, whatever their shape, so bursts cost no more than they did there.  A pair of counts that
was rare backs off (Witten and Bell, 1991) to an even mixture of two beliefs: the call has its own
volume whatever its parent's; the two keep their ratio.  Beyond the highest volume of the parent
that was seen only the second is left.

Load alone is no anomaly, so the call that is made most, the root, stands for the load: it carries
surprise only by its absence.  Calls that share nothing with the others have their own volume up to
the highest load that was seen, and keep their ratio to it beyond.

Some calls vary more than others.  Each one's bits are therefore counted only from what it exceeds
once in a hundred held-out windows (:func:`usual_bits`); the rest of them are noise that would
drown the sum.

Assumptions: windows have one length and are alike in distribution; what calls share beyond their
tree neighbours is not judged.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from baseline.model.novelty import Floats, Integers

LEVELS = 48
"""Bins of counts; the last one holds all counts from 2^45.5 on."""

Levels = npt.NDArray[np.int8]

_USUAL_QUANTILE = 0.99
_LEAST_USUAL_BITS = 1.0
_HEADROOM = 8
"""Octaves above the highest count of training that are told apart."""

_NEAR_BORDER = 2 ** (1 / 6)

_CHUNK = 1 << 13
_PRIOR_ABSENT = 0.5  # Jeffreys


def levels(counts: npt.NDArray[np.number]) -> Levels:
    """Bins of counts: 0 is 0, 1 is 1, and from there on one bin an octave, same shape."""
    octaves = np.round(np.log2(np.maximum(counts, 1))) + 1
    return np.where(counts > 0, np.minimum(octaves, LEVELS - 1), 0).astype(np.int8)


_FACTORS = (1.0, 1 / _NEAR_BORDER, _NEAR_BORDER)
_SIDES_OF_SMALL = np.stack([levels(np.arange(1 << 12) * factor) for factor in _FACTORS])


_LEVELS_OF_SMALL = _SIDES_OF_SMALL[0].astype(np.intp)
_MASKS_OF_SMALL = np.bitwise_or.reduce(1 << _SIDES_OF_SMALL.astype(np.int64))


def _sides(counts: Integers) -> Levels:
    """Bins of counts, and those on either side of a border that is near, shape (3, *counts)."""
    # Logarithms of what most counts are would take half of the time of judging a window.
    if counts.max(initial=0) < _SIDES_OF_SMALL.shape[1]:
        return _SIDES_OF_SMALL[:, counts]
    return np.stack([levels(counts * factor) for factor in _FACTORS])


def levels_and_sides(counts: Integers) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """Bins of counts, and the same with those of :func:`_sides` as bits of a number, same shape."""
    if counts.max(initial=0) < len(_MASKS_OF_SMALL):
        return _LEVELS_OF_SMALL.take(counts), _MASKS_OF_SMALL.take(counts)
    sides = _sides(counts).astype(np.int64)
    return sides[0].astype(np.intp), np.bitwise_or.reduce(1 << sides)


def level_range(level: int) -> tuple[int, int]:
    """Lowest and highest count of a bin."""
    if level <= 1:
        return level, level
    return math.ceil(2 ** (level - 1.5)), math.floor(2 ** (level - 0.5))


class UsualLevels(NamedTuple):
    """Which levels of calls carry nothing.

    Attributes:
        beside: the call that each is judged beside, shape (calls,).
        levels: those levels as the bits of a number, by call and level of that other one, shape
            (calls, LEVELS).
    """

    beside: npt.NDArray[np.intp]
    levels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class PairCounts:
    """In how many windows each two calls had each two levels.

    A *state* is a call at a level that it had in some window.

    Attributes:
        calls: how many calls there are.
        call, level: of each state, ascending by both, shape (states,).
        windows: windows that showed both states, shape (states, states); the diagonal holds those
            that showed the state at all.  Whole numbers, but for discounted ones.
    """

    calls: int
    call: npt.NDArray[np.int64]
    level: npt.NDArray[np.int64]
    windows: Floats

    @classmethod
    def count(cls, binned: Levels) -> "PairCounts":
        """Count the levels of windows, shape (windows, calls)."""
        calls = binned.shape[1]
        states = np.unique(binned + np.arange(calls) * LEVELS)
        windows = np.zeros((len(states), len(states)))
        for start in range(0, len(binned), _CHUNK):
            part = binned[start : start + _CHUNK] + np.arange(calls) * LEVELS
            shown = np.zeros((len(part), len(states)), np.float32)
            np.put_along_axis(shown, np.searchsorted(states, part), 1, axis=1)
            windows += np.rint(shown.T @ shown)
        return cls(calls, states // LEVELS, states % LEVELS, windows)

    @property
    def total(self) -> float:
        """Windows counted."""
        return float(np.diag(self.windows)[self.call == 0].sum())

    def among(self, positions: npt.NDArray[np.int64], calls: int) -> "PairCounts":
        """The same counts where there are more calls, that were made in none of these windows.

        Args:
            positions: of these calls among all of them, ascending, shape (self.calls,).
            calls: how many there are in all.
        """
        missing = np.setdiff1d(np.arange(calls), positions)
        call = np.concatenate([positions[self.call], missing])
        level = np.concatenate([self.level, np.zeros_like(missing)])
        shown = np.diag(self.windows)
        windows = np.full((len(call), len(call)), self.total)
        own = len(self.call)
        windows[:own, :own] = self.windows
        windows[:own, own:], windows[own:, :own] = shown[:, None], shown[None, :]
        order = np.argsort(call * LEVELS + level)
        return PairCounts(calls, call[order], level[order], windows[np.ix_(order, order)])

    def times(self, factor: float) -> "PairCounts":
        """The same of so many times as many windows."""
        return replace(self, windows=self.windows * factor)

    def __add__(self, other: "PairCounts") -> "PairCounts":
        """Both together, of the same calls."""
        return self._combined(other, 1)

    def __sub__(self, other: "PairCounts") -> "PairCounts":
        """Without what the other one, a part of this, has counted."""
        return self._combined(other, -1)

    def _combined(self, other: "PairCounts", sign: int) -> "PairCounts":
        keys = [part.call * LEVELS + part.level for part in (self, other)]
        states = np.union1d(*keys)
        windows = np.zeros((len(states), len(states)))
        for key, part, weight in zip(keys, (self, other), (1, sign), strict=True):
            where = np.searchsorted(states, key)
            windows[np.ix_(where, where)] += weight * part.windows
        kept = np.flatnonzero(np.diag(windows))
        states = states[kept]
        return PairCounts(
            self.calls, states // LEVELS, states % LEVELS, windows[np.ix_(kept, kept)]
        )


class CallVolumes:
    """The tree of counts; see the module.

    Args:
        pairs: of at least one window and one call.

    Attributes:
        parents: for each call the one that it depends on, -1 for none, shape (calls,).
    """

    def __init__(self, pairs: PairCounts) -> None:
        self.pairs = pairs
        self._load = _most_made(pairs)
        self.parents = _tree(_mutual_information(pairs), self._load)
        self._beside = np.where(self.parents >= 0, self.parents, self._load)
        self._rows = np.arange(pairs.calls) * LEVELS
        self._top = min(int(pairs.level.max()) + _HEADROOM, LEVELS - 1)
        tables = [self._table(call) for call in range(pairs.calls)]
        self._bits = np.stack(tables).astype(np.float32)

    def bits(self, binned: Levels) -> Floats:
        """Surprise of each call in each window.

        Args:
            binned: levels, shape (windows, calls).

        Returns:
            Bits, at least 0, same shape.
        """
        binned = np.minimum(binned, self._top)
        beside = binned[:, self._beside]
        bits: Floats = self._bits[np.arange(self.pairs.calls), beside, binned].astype(float)
        return bits

    def bits_of_counts(self, counts: Integers) -> Floats:
        """Surprise of each call in each window, whatever side of a bin's border its count fell on.

        A count within a sixth of an octave of a border is taken to be on the less surprising side:
        where 90 of two calls are normal, 90 and 91 are, though a border lies between them.

        Args:
            counts: how often each call was made, shape (windows, calls).

        Returns:
            Bits, at least 0, same shape.
        """
        sides = np.minimum(_sides(counts), self._top)
        calls, beside = np.arange(self.pairs.calls), sides[0][:, self._beside]
        return np.asarray(self._bits[calls, beside, sides].min(axis=0), float)

    def usual_levels(self, usual: Floats) -> UsualLevels:
        """The levels that exceed nothing.

        Args:
            usual: bits that count for nothing, by call, shape (calls,).
        """
        levels = np.minimum(np.arange(LEVELS), self._top)
        are_usual = self._bits[:, levels][:, :, levels] <= usual[:, None, None]
        return UsualLevels(self._beside, are_usual @ (1 << np.arange(LEVELS)))

    def are_usual(self, counts: Integers, usual: UsualLevels) -> bool:
        """Whether no call exceeds its usual bits, as :meth:`bits_of_counts` has them.

        Args:
            counts: how often each call was made in a window, shape (calls,).
            usual: what :meth:`usual_levels` gave.
        """
        level, sides = levels_and_sides(counts)
        usual_there = usual.levels.take(self._rows + level.take(self._beside))
        return bool(np.count_nonzero(usual_there & sides) == len(counts))

    def seen_with(self, call: int, parent_level: int) -> Floats:
        """Windows by level of the call, where its parent was at this level, shape (LEVELS,)."""
        parent = int(self.parents[call])
        if parent < 0:
            return self._joint(call, call).diagonal()
        row: Floats = self._joint(parent, call)[parent_level]
        return row

    def _joint(self, one: int, other: int) -> Floats:
        """Windows by the levels of two calls, shape (LEVELS, LEVELS)."""
        rows, columns = self.pairs.call == one, self.pairs.call == other
        joint = np.zeros((LEVELS, LEVELS))
        where = np.ix_(self.pairs.level[rows], self.pairs.level[columns])
        joint[where] = self.pairs.windows[np.ix_(rows, columns)]
        return joint

    def _table(self, call: int) -> Floats:
        """Surprise of each level of a call at each level of the one that it is judged beside."""
        own = self._joint(call, call).diagonal()
        if call == self._load:
            probability = np.tile(_presence(own), (LEVELS, 1))
        else:
            joint = self._joint(int(self._beside[call]), call)
            depends = bool(self.parents[call] >= 0)
            probability = _conditional(joint, _smoothed(own), depends=depends)
        return -np.log2(probability[: self._top + 1, : self._top + 1])


def _most_made(pairs: PairCounts) -> int:
    """The call of the highest level on average."""
    return int(np.argmax(np.bincount(pairs.call, pairs.level * np.diag(pairs.windows))))


def _mutual_information(pairs: PairCounts) -> Floats:
    """Of each two calls, in bits, less its bias (Miller, 1955), shape (calls, calls)."""
    total = pairs.total
    starts = np.searchsorted(pairs.call, np.arange(pairs.calls))

    def by_call(values: Floats) -> Floats:
        rows = np.add.reduceat(values, starts, axis=0)
        return np.asarray(np.add.reduceat(rows, starts, axis=1))

    joint = pairs.windows
    entropy = np.log2(total) - by_call(joint * np.log2(np.where(joint > 0, joint, 1))) / total
    cells = by_call((pairs.windows > 0).astype(np.float64))
    alone, own = np.diag(entropy), np.diag(cells)
    bias = (cells - own[:, None] - own[None, :] + 1) / (2 * total * np.log(2))
    return np.asarray(alone[:, None] + alone[None, :] - entropy - bias)


def usual_bits(held_out: Floats) -> Floats:
    """What each call's bits exceed once in a hundred held-out windows.

    Args:
        held_out: bits by :meth:`CallVolumes.bits`, shape (windows, calls).

    Returns:
        Bits, at least 1, shape (calls,).
    """
    return np.asarray(np.maximum(np.quantile(held_out, _USUAL_QUANTILE, axis=0), _LEAST_USUAL_BITS))


def _tree(information: Floats, root: int) -> npt.NDArray[np.intp]:
    """Parents in the maximum spanning tree (Prim); what shares nothing with it stands alone."""
    calls = len(information)
    parents = np.full(calls, -1)
    best, nearest = information[root].copy(), np.full(calls, root)
    best[root] = -np.inf
    for _ in range(calls - 1):
        call = int(np.argmax(best))
        parents[call] = nearest[call] if best[call] > 0 else -1
        closer = (information[call] > best) & (best > -np.inf)
        best[closer], nearest[closer] = information[call][closer], call
        best[call] = -np.inf
    return parents


def _presence(windows: Floats) -> Floats:
    """Probability of absence at level 0, and of presence at all others."""
    absent = (windows[0] + _PRIOR_ABSENT) / (windows.sum() + 2 * _PRIOR_ABSENT)
    return np.asarray(np.where(np.arange(LEVELS) > 0, 1 - absent, absent))


def _smoothed(windows: Floats) -> Floats:
    """Probability of each level, none of them zero."""
    present = np.concatenate([[1], _near(windows[1:])])
    return np.asarray(_presence(windows) * present)


def _near(windows: Floats) -> Floats:
    """Probability of each bin, of those seen and those near them: each bin further away is half.

    Args:
        windows: by bin, shape (bins,) or (rows, bins); where none was seen, all are alike.
    """
    seen = windows.sum(axis=-1, keepdims=True)
    distinct = (windows > 0).sum(axis=-1, keepdims=True)
    bins = windows.shape[-1]
    distance = np.abs(np.arange(bins)[:, None] - np.arange(bins)[None, :])
    kernel = 0.5**distance
    kernel /= kernel.sum(axis=1, keepdims=True)
    shares = np.divide(windows, seen, out=np.full_like(windows, 1 / bins), where=seen > 0)
    trust = seen / np.maximum(seen + distinct, 1)
    return np.asarray(trust * shares + (1 - trust) * (shares @ kernel))


def _conditional(joint: Floats, alone: Floats, *, depends: bool) -> Floats:
    """Probability of each level of a call at each level of another, none of them zero.

    Args:
        joint: windows by (the other's level, call's level), shape (LEVELS, LEVELS).
        alone: probability of each of the call's levels, shape (LEVELS,).
        depends: whether the other tells something about the call.
    """
    seen = joint.sum(axis=1, keepdims=True)
    distinct = (joint > 0).sum(axis=1, keepdims=True)
    belief = np.tile(alone, (LEVELS, 1))
    highest = int(np.flatnonzero(seen[:, 0])[-1])
    ratio = _keeping_ratio(joint)
    belief[highest + 1 :] = ratio[highest + 1 :]
    if not depends:
        return belief
    belief[1 : highest + 1] = (belief[1 : highest + 1] + ratio[1 : highest + 1]) / 2
    trust = seen / np.maximum(seen + distinct, 1)
    shares = np.divide(joint, seen, out=np.zeros_like(joint), where=seen > 0)
    return np.asarray(trust * shares + (1 - trust) * belief)


def _keeping_ratio(joint: Floats) -> Floats:
    """Probability of a call's levels if only the distance to its parent's level mattered."""
    present = joint[1:]
    absent = (present[:, 0].sum() + _PRIOR_ABSENT) / (present.sum() + 2 * _PRIOR_ABSENT)
    offsets = np.arange(LEVELS)[None, :] - np.arange(LEVELS)[:, None] + LEVELS
    both = joint[1:, 1:]
    by_offset = np.zeros(2 * LEVELS)
    np.add.at(by_offset, offsets[1:, 1:], both)
    probability = _near(by_offset)[offsets]
    probability[:, 0] = 0
    probability /= probability.sum(axis=1, keepdims=True)
    probability *= 1 - absent
    probability[:, 0] = absent
    return np.asarray(probability)
