"""Whether learning has seen enough: figures for each histogram, and one state for the workload.

An accumulator takes windows as they come.  Of each item it remembers where it was first and last
seen, which is enough to tell, for any cut of the time into slices, what one slice alone showed
(``baseline.model.discovery`` says what follows from that).
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from baseline.model.discovery import NewItems, new_items, unseen_mass_bound
from baseline.model.score import Item
from baseline.window import Connection, Histogram, Ledger, Window

COMPLETE_MASS = 0.01
"""Upper bound of the unseen mass up to which a signal is complete."""

SLICES = 20
"""Slices that learning is cut into; more where there are more replicas."""

LEAST_WINDOWS = 3
"""Windows that a slice should have at least, so that it holds neighbours that are alike."""

NAMES: Mapping[Histogram, str] = {
    Histogram.NGRAMS: "n-grams",
    Histogram.EXECUTIONS: "executions",
    Histogram.CONNECTIONS: "connections",
}
"""What people call the items."""

_HINDSIGHT = 0.75
"""What the first so much of learning predicted is compared with what the rest brought."""

_SNAPSHOT_GROWTH = 1.1
"""A prediction is kept each time learning has grown by this factor."""

_SEVERAL = -1
"""Instead of where an item was last seen: several replicas showed it."""

_LEAST_SECONDS = 1e-9  # times are in whole nanoseconds
_MAX_NUMBER = 1 << 63
_MAX_REASON = 200

Integers = npt.NDArray[np.int64]

_NgramsOfWindow = tuple[npt.NDArray[np.uint64], int, int]
"""Distinct n-grams of a window, its replica, and its position in it."""


class State(StrEnum):
    """How far learning has come; of several that hold, the first."""

    LOSSY = "lossy"  # counts were lost, or the ledger does not add up
    EMPTY = "empty"  # there was nothing to count
    UNSTABLE = "unstable"  # the last quarter brought more than was predicted before it
    PARTIAL = "partial"  # the unseen mass may be above COMPLETE_MASS
    COMPLETE = "complete"


@dataclass(frozen=True)
class SignalCompleteness:
    """How much of one histogram's items were seen.

    Attributes:
        items: distinct items seen.
        windows: windows of all replicas.
        seconds: time in which at least one replica was watched, above zero.
        slices: slices that this was cut into.
        uniques: how many items a slice alone showed -> how many slices did so; without zeros.
        largest_burst: most items that one window after the first slice was the first to show.
        unseen_mass: estimated probability that the next window shows an item never seen.
        unseen_mass_bound: its upper 95 % bound.
    """

    items: int
    windows: int
    seconds: float
    slices: int
    uniques: Mapping[int, int]
    largest_burst: int
    unseen_mass: float
    unseen_mass_bound: float

    def new_items(self, seconds: float) -> NewItems:
        """How many new items so much more time brings, of as many replicas as there were."""
        growth = seconds / self.seconds
        return new_items(self.uniques, self.items, self.largest_burst, growth)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"uniques": [list(pair) for pair in sorted(self.uniques.items())]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`.

        Raises:
            ValueError: the values contradict each other or are of another kind.
        """
        _require_fields(values, cls)
        pairs = values["uniques"]
        if not isinstance(pairs, list) or not all(
            isinstance(pair, list) and len(pair) == 2 and all(_is_count(n) and n for n in pair)
            for pair in pairs
        ):
            raise ValueError("uniques are not pairs of numbers")
        completeness = cls(**{**values, "uniques": dict(pairs)})
        counts = [getattr(completeness, name) for name in ("items", "windows", "largest_burst")]
        masses = completeness.unseen_mass, completeness.unseen_mass_bound
        if not all(map(_is_count, [*counts, completeness.slices])):
            raise ValueError("completeness is not counted in whole numbers")
        if not all(map(_is_number, [completeness.seconds, *masses])):
            raise ValueError("completeness is not measured in numbers")
        if not (completeness.seconds >= _LEAST_SECONDS and 0 <= masses[0] <= masses[1] <= 1):
            raise ValueError("the unseen mass is no probability, or learning took no time")
        if (
            len(completeness.uniques) < len(pairs)
            or sum(number * slices for number, slices in pairs) > completeness.items
            or sum(slices for _, slices in pairs) > completeness.slices
            or completeness.largest_burst > completeness.items
            or not 1 <= completeness.slices <= completeness.windows
        ):
            raise ValueError("there are more uniques than items or slices")
        return completeness


Figures = Mapping[Histogram, SignalCompleteness]


@dataclass(frozen=True)
class WorkloadCompleteness:
    """How complete learning of one workload is.

    Attributes:
        state: in one word.
        reason: the same in a sentence without a full stop.
        signals: the figures of each histogram; none where no time was watched.
    """

    state: State
    reason: str
    signals: Figures

    @property
    def unseen_mass_bound(self) -> float:
        """The largest of the signals' bounds; 1 where there are none."""
        return max((signal.unseen_mass_bound for signal in self.signals.values()), default=1.0)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        signals = {signal.value: figures.to_dict() for signal, figures in self.signals.items()}
        return {"state": self.state.value, "reason": self.reason, "signals": signals}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`.

        Raises:
            ValueError: the values contradict each other or are of another kind.
        """
        _require_fields(values, cls)
        reason, signals = values["reason"], values["signals"]
        if not isinstance(reason, str) or len(reason) > _MAX_REASON:
            raise ValueError("the reason of a state of completeness is no short text")
        if not isinstance(signals, dict) or signals.keys() not in (set(), set(Histogram)):
            raise ValueError("completeness is not that of each histogram")
        return cls(
            State(values["state"]),
            reason,
            {Histogram(name): SignalCompleteness.from_dict(its) for name, its in signals.items()},
        )


class CompletenessAccumulator:
    """Takes one workload's windows, those of each replica in order of time."""

    def __init__(self) -> None:
        self._replicas: dict[str, int] = {}
        self._windows = 0
        self._windows_of: list[int] = []  # each replica
        self._appearances = {signal: _Appearances() for signal in Histogram}
        self._places = _Appearances()
        # n-grams wait until they are asked for: many windows at once are several times as fast.
        self._pending: list[_NgramsOfWindow] = []
        self._ledger = Ledger()
        self._until: int | None = None
        self._covered = 0
        self._observed = 0
        self._snapshots: deque[Figures] = deque()
        self._next_snapshot = 0.0

    def add(self, window: Window) -> None:
        """Take one more window."""
        replica = self._replicas.setdefault(window.replica, len(self._replicas))
        if replica == len(self._windows_of):
            self._windows_of.append(0)
        for signal, items in (
            (Histogram.EXECUTIONS, window.executions),
            (Histogram.CONNECTIONS, window.connections),
        ):
            self._appearances[signal].add(items, replica, self._windows_of[replica])
        self._pending.append((window.ngrams.ngrams, replica, self._windows_of[replica]))
        places = _places(window.connections)
        self._places.add(places, replica, self._windows_of[replica])
        self._windows_of[replica] += 1
        self._windows += 1
        self._ledger += window.ledger
        until = window.start if self._until is None else self._until
        self._covered += max(window.end - max(window.start, until), 0)
        self._until = max(until, window.end)
        self._observed += window.observed
        if self._windows >= self._next_snapshot and self._seconds:
            self._next_snapshot = self._windows * _SNAPSHOT_GROWTH
            self._snapshots.append(self._figures())

    def estimate(self) -> WorkloadCompleteness:
        """How complete the windows so far are."""
        signals = self._figures()
        state, reason = self._state(signals)
        return WorkloadCompleteness(state, reason, signals)

    @property
    def _seconds(self) -> float:
        # The wall clock may be set meanwhile; the time observed is of another clock.
        return (min(self._covered, self._observed) or self._observed) / 1e9

    def _figures(self) -> Figures:
        if not self._seconds:
            return {}
        if self._pending:
            self._appearances[Histogram.NGRAMS].add_ngrams(self._pending)
            self._pending = []
        cut = _Slices(self._windows_of)
        return {
            signal: appearances.figures(cut, self._windows, self._seconds)
            for signal, appearances in self._appearances.items()
        }

    def _state(self, signals: Figures) -> tuple[State, str]:
        lossy = self._losses()
        if lossy:
            return State.LOSSY, lossy
        if not any(figures.items for figures in signals.values()):
            return State.EMPTY, "nothing was counted"
        surprising = self._surprise(signals)
        if surprising:
            return State.UNSTABLE, surprising
        cut = _Slices(self._windows_of)
        places = self._places.figures(cut, self._windows, self._seconds)
        signals = {**signals, Histogram.CONNECTIONS: places}
        worst = max(signals, key=lambda signal: signals[signal].unseen_mass_bound)
        bound = signals[worst].unseen_mass_bound
        if bound <= COMPLETE_MASS:
            return State.COMPLETE, f"at most {percent(bound)} of windows show anything new"
        if not signals[worst].unseen_mass:
            enough = math.ceil(bound * self._windows / COMPLETE_MASS)
            return State.PARTIAL, f"{self._windows:,} windows, {enough:,} without news are enough"
        return State.PARTIAL, f"up to {percent(bound)} of windows show new {NAMES[worst]}"

    def _losses(self) -> str:
        for signal in Histogram:
            tally = getattr(self._ledger, signal.value)
            if tally.lost:
                return f"{tally.lost:,} of {tally.counted:,} {NAMES[signal]} were lost"
            if tally.missing:
                return f"{abs(tally.missing):,} {NAMES[signal]} are unaccounted for"
        return ""

    def _surprise(self, now: Figures) -> str:
        """What came lately and was not to be expected, as a sentence; empty for nothing."""
        for signal, before in self._earlier().items():
            seconds = now[signal].seconds - before.seconds
            came = now[signal].items - before.items
            if came and seconds > 0 and came > (most := before.new_items(seconds).high):
                news = NAMES[signal] if came > 1 else NAMES[signal].removesuffix("s")
                return (
                    f"the last {_duration(seconds)} brought {came:,} new {news}, "
                    f"expected at most {most:,}"
                )
        return ""

    def _earlier(self) -> Figures:
        """The figures of three quarters of the windows or a little less; empty before any."""
        most = _HINDSIGHT * self._windows
        while len(self._snapshots) > 1 and _windows(self._snapshots[1]) <= most:
            self._snapshots.popleft()
        first = self._snapshots[0] if self._snapshots else {}
        return first if first and _windows(first) <= most else {}


def completeness_of(windows: Iterable[Window]) -> WorkloadCompleteness:
    """How complete these windows of one workload are.

    Args:
        windows: of any number of replicas, in order of time.
    """
    accumulator = CompletenessAccumulator()
    for window in windows:
        accumulator.add(window)
    return accumulator.estimate()


def _places(connections: Iterable[Connection]) -> set[Connection]:
    """The connections, those of clients without their address.

    Clients come and go, and the model grades how new one is by how often new ones come: what is to
    be complete is the set of the ports that they come to, and of the peers that are called.
    """
    return {c._replace(peer="") if c.direction == "in" else c for c in connections}


def percent(share: float) -> str:
    """A share as exact as it is known: ``16%``, ``1.6%``."""
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


class _Slices:
    """Learning cut into slices of about the same number of windows, each of one replica.

    Args:
        windows: of each replica.
    """

    def __init__(self, windows: list[int]) -> None:
        self._windows = np.array(windows, np.int64)
        length = max(self._windows.sum() / SLICES, LEAST_WINDOWS)
        self._slices = np.maximum(np.rint(self._windows / length), 1).astype(np.int64)
        self._windows_before = np.cumsum(self._windows) - self._windows
        self._slices_before = np.cumsum(self._slices) - self._slices

    def __len__(self) -> int:
        return int(self._slices.sum())

    def windows(self, replicas: Integers, positions: Integers) -> Integers:
        """A number for each window that is at such a position of such a replica."""
        numbers: Integers = self._windows_before[replicas] + positions
        return numbers

    def slices(self, replicas: Integers, positions: Integers) -> Integers:
        """The number of the slice of each such window."""
        within = positions * self._slices[replicas] // self._windows[replicas]
        numbers: Integers = self._slices_before[replicas] + within
        return numbers


class _Appearances:
    """Where each item of one histogram appeared."""

    def __init__(self) -> None:
        self._first: dict[Item, tuple[int, int]] = {}  # first replica, first position in it
        self._last: dict[Item, int] = {}  # last position, in whichever replica
        self._own: dict[int, set[Item]] = {}  # by replica, the items that it was the first to show
        self._several: set[Item] = set()  # items of more than one replica

    def add(self, items: Iterable[Item], replica: int, position: int) -> None:
        """Take the items of one window."""
        # Sets and dictionaries go through what is shown; only what is new is gone through here.
        shown = dict.fromkeys(items, position)
        if not shown:
            return
        own = self._own.setdefault(replica, set())
        for item in shown.keys() - self._first.keys():
            self._first[item] = replica, position
            own.add(item)
        self._several |= shown.keys() - own
        self._last.update(shown)

    def add_ngrams(self, windows: Sequence[_NgramsOfWindow]) -> None:
        """Take the n-grams of many windows; they are all that is ever added."""
        sizes = [len(ngrams) for ngrams, _, _ in windows]
        ngrams = np.concatenate([ngrams for ngrams, _, _ in windows])
        replica, position = (
            np.repeat(np.array([window[i] for window in windows], np.int64), sizes) for i in (1, 2)
        )
        distinct = np.unique(ngrams)
        item_of_row = np.searchsorted(distinct, ngrams)
        # Of what is assigned to one place several times, the last stays.
        last = np.zeros(len(distinct), np.int64)
        last[item_of_row] = position
        first_row = np.zeros(len(distinct), np.int64)
        first_row[item_of_row[::-1]] = np.arange(len(ngrams))[::-1]
        items = distinct.tolist()
        firsts = zip(replica[first_row].tolist(), position[first_row].tolist(), strict=True)
        owner = np.array(
            [
                self._first.setdefault(item, first)[0]
                for item, first in zip(items, firsts, strict=True)
            ],
            np.int64,
        )
        elsewhere = item_of_row[replica != owner[item_of_row]]
        self._several.update(distinct[np.unique(elsewhere)].tolist())
        self._last.update(zip(items, last.tolist(), strict=True))

    def figures(self, cut: _Slices, windows: int, seconds: float) -> SignalCompleteness:
        """What follows from them."""
        replicas, first = np.array(list(self._first.values()), np.int64).reshape(-1, 2).T
        last = np.array(
            [_SEVERAL if item in self._several else self._last[item] for item in self._first],
            np.int64,
        )
        slices = cut.slices(replicas, first)
        is_unique = (last != _SEVERAL) & (cut.slices(replicas, last) == slices)
        uniques = np.bincount(slices[is_unique], minlength=len(cut))
        sizes, slices_of_size = np.unique(uniques[uniques > 0], return_counts=True)
        introducing = cut.windows(replicas, first)
        _, once = np.unique(introducing[is_unique], return_index=True)
        introducing_by_slice = np.bincount(slices[is_unique][once], minlength=len(cut))
        _, bursts = np.unique(introducing[slices > 0], return_counts=True)
        return SignalCompleteness(
            items=len(self._first),
            windows=windows,
            seconds=seconds,
            slices=len(cut),
            uniques=dict(zip(sizes.tolist(), slices_of_size.tolist(), strict=True)),
            largest_burst=int(bursts.max(initial=0)),
            unseen_mass=len(once) / windows,
            unseen_mass_bound=unseen_mass_bound(introducing_by_slice, windows),
        )


def _windows(figures: Figures) -> int:
    return figures[Histogram.NGRAMS].windows


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _require_fields(values: object, kind: type[Any]) -> None:
    if not isinstance(values, Mapping) or values.keys() != kind.__dataclass_fields__.keys():
        raise ValueError("completeness has other fields than it should")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < _MAX_NUMBER


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]  # checked
