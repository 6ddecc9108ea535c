"""What changed from one model to another: what is new, what is gone, what shifted, in bits.

**New and gone.**  An item of B that A never saw carries the surprise that it would have had for A,
and an item of A that B never saw the surprise that it would have for B: a program that one model
just missed in ever-changing surroundings carries little, a server's first shell carries much.

What B saw for the first time in one window is judged together, as A would have judged that window:
where that reaches the threshold of A's budget, it would have been an alert.  (The model of B does
not know which known things filled that window, so nothing is taken off for a busy one, and it is
compared with windows of the load at which so much is least rare.)

**Shifted.**  What both know may occur differently often (:mod:`baseline.model.share_changes`).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from baseline.model.hierarchy_model import HierarchyModel
from baseline.model.ngrams import NgramModel
from baseline.model.score import NOVELTIES, PEERS, Item, Signal, Volume, signal_of
from baseline.model.share_changes import Occurred, Shift, shift
from baseline.model.signal_model import SignalModel
from baseline.model.volumes import VolumeModel
from baseline.model.workload_model import WorkloadModel
from baseline.window import NgramCounts, Window

SHIFTING = (Signal.EXECUTIONS, *PEERS, Signal.VOLUMES)
"""Signals whose shares are compared; those of n-grams and calls would say what the volumes' say."""

_WITHIN_OCTAVE = 1.04
"""Mean of squares by square of the mean, of what is spread evenly over an octave (logarithms)."""


@dataclass(frozen=True)
class Difference:
    """An item that one of the models never saw.

    Attributes:
        item: the item.
        description: the item as people write it.
        bits: its surprise to the model that never saw it.
        count: how often it occurred in the training of the other one.
    """

    item: Item
    description: str
    bits: float
    count: int


@dataclass(frozen=True)
class NewTogether:
    """What B saw for the first time in one window, and A never saw.

    Attributes:
        time: when that window began, in nanoseconds since the epoch.
        bits: how rare so much evidence is to A.
        is_alert: whether it would have been an alert at A's budget.
        items: the items, heaviest first.
    """

    time: int
    bits: float
    is_alert: bool
    items: tuple[Difference, ...]


@dataclass(frozen=True)
class Comparison:
    """What changed from model A to model B.

    Attributes:
        before, after: A with the budget that alerts are counted by, and B.
        new: items of B that A never saw, by signal, heaviest first.
        gone: items of A that B never saw, likewise.
        shifts: by signal.
        together: what was new together, in order of time.
    """

    before: WorkloadModel
    after: WorkloadModel
    new: Mapping[Signal, tuple[Difference, ...]]
    gone: Mapping[Signal, tuple[Difference, ...]]
    shifts: Mapping[Signal, Shift]
    together: tuple[NewTogether, ...]

    @property
    def alerts(self) -> tuple[NewTogether, ...]:
        """What of it would have been alerts."""
        return tuple(group for group in self.together if group.is_alert)

    @property
    def heaviest_new(self) -> float:
        """Bits of the most surprising new item; 0 where nothing is new."""
        return max((d.bits for found in self.new.values() for d in found), default=0.0)

    @property
    def has_changed(self) -> bool:
        """Whether anything is new, gone or shifted by more than chance."""
        return (
            any(self.new.values())
            or any(self.gone.values())
            or any(shift.beyond_sampling for shift in self.shifts.values())
        )


def compare(before: WorkloadModel, after: WorkloadModel) -> Comparison:
    """Compare two models of one architecture.

    Args:
        before: A, with the budget to count alerts by.
        after: B.
    """
    new = _unknown_to(before, after)
    return Comparison(
        before,
        after,
        new=new,
        gone=_unknown_to(after, before),
        shifts=_shifts(before, after),
        together=_new_together(before, after, new),
    )


def _counts(model: SignalModel) -> dict[Item, int]:
    """How often each item occurred in training."""
    if isinstance(model, NgramModel):
        return dict(zip(model.calls.ngrams.tolist(), model.calls.counts.tolist(), strict=True))
    if isinstance(model, HierarchyModel):
        return {item: seen.times for item, seen in model.occurrences.items()}
    if isinstance(model, VolumeModel):
        return dict(zip(map(Volume, model.symbols.tolist()), model.counts.tolist(), strict=True))
    raise TypeError(f"a model of {model.signal} has no counts")


def _unknown_to(model: WorkloadModel, other: WorkloadModel) -> dict[Signal, tuple[Difference, ...]]:
    """Items of the other model that this one never saw, by signal, heaviest first."""
    unknown: dict[Signal, dict[Any, int]] = {}
    for signal in NOVELTIES:
        known = _counts(model.signals[signal]).keys()
        learned = _counts(other.signals[signal])
        unknown[signal] = {item: n for item, n in learned.items() if item not in known}
    ngrams = unknown[Signal.NGRAMS]
    window = Window(
        model.workload,
        "",
        start=0,
        end=0,
        observed=0,
        ngrams=NgramCounts.collect(
            np.array(list(ngrams), np.uint64), np.array(list(ngrams.values()), np.int64)
        ),
        executions=unknown[Signal.EXECUTIONS],
        connections={c: n for signal in PEERS for c, n in unknown[signal].items()},
    )
    result = {}
    for signal, items in unknown.items():
        bits = {found.item: found.bits for found in model.signals[signal].surprises(window)}
        describe = other.signals[signal].describe
        found = [Difference(i, describe(i), bits.get(i, 0.0), n) for i, n in items.items()]
        result[signal] = tuple(sorted(found, key=lambda d: (-d.bits, d.description)))
    return result


def _new_together(
    before: WorkloadModel, after: WorkloadModel, new: Mapping[Signal, Iterable[Difference]]
) -> tuple[NewTogether, ...]:
    """What was new in the same window, in order of time."""
    groups: defaultdict[int, list[Difference]] = defaultdict(list)
    for signal, found in new.items():
        for difference in found:
            seen = after.signals[signal].seen(difference.item)
            if seen:
                groups[seen.first].append(difference)
    return tuple(_judged(before, time, items) for time, items in sorted(groups.items()))


def _judged(model: WorkloadModel, time: int, items: list[Difference]) -> NewTogether:
    by_signal = {
        signal: math.fsum(d.bits for d in items if signal_of(d.item) == signal)
        for signal in NOVELTIES
    }
    bits = -math.log2(model.combination.p_value(by_signal))
    is_alert = bits >= model.threshold or any(
        model.combination.is_wholly_new(signal, its) for signal, its in by_signal.items()
    )
    heaviest = sorted(items, key=lambda d: -d.bits)
    return NewTogether(time, bits, is_alert, tuple(heaviest))


def _shifts(before: WorkloadModel, after: WorkloadModel) -> dict[Signal, Shift]:
    shifts = {}
    for signal in SHIFTING:
        a, b = _occurred(before, signal), _occurred(after, signal)
        describe = before.signals[signal].describe
        shifts[signal] = shift(a, b, {item: describe(item) for item in a.counts})
    return shifts


def _occurred(model: WorkloadModel, signal: Signal) -> Occurred:
    """What share_changes has to know of one signal."""
    signal_model = model.signals[signal]
    sizes = model.held_out.counts[Signal.NGRAMS if signal == Signal.VOLUMES else signal]
    squares = float((sizes.astype(np.float64) ** 2).sum())
    return Occurred(
        _counts(signal_model),
        effective_windows=float(sizes.sum()) ** 2 / squares if squares else 1.0,
        squares=_squares(signal_model) if isinstance(signal_model, VolumeModel) else {},
    )


def _squares(calls: VolumeModel) -> dict[Volume, float]:
    """Sum over windows of the square of each call's count, from the octaves of the counts."""
    if calls.pairs is None:
        return {}
    pairs = calls.pairs
    windows = np.diag(pairs.windows)
    typical = np.where(pairs.level > 0, 2.0 ** (pairs.level - 1), 0.0)
    sums = np.bincount(pairs.call, windows * typical)
    # What octaves leave open: their counts are not quite those in the middle, and vary.
    scale = (calls.counts / sums) ** 2 * _WITHIN_OCTAVE
    squares = np.bincount(pairs.call, windows * typical**2) * scale
    return dict(zip(map(Volume, calls.symbols.tolist()), squares.tolist(), strict=True))
