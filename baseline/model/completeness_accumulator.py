"""Whether learning has seen enough, told as windows come."""

import math
from collections import deque
from collections.abc import Iterable, Mapping

from baseline.model.appearances import Appearances, NgramsOfWindow, Slices
from baseline.model.completeness import (
    COMPLETE_MASS,
    Figures,
    State,
    WorkloadCompleteness,
    percent,
)
from baseline.window import Connection, Histogram, Ledger, Window

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


class CompletenessAccumulator:
    """Takes one workload's windows, those of each replica in order of time."""

    def __init__(self) -> None:
        self._replicas: dict[str, int] = {}
        self._windows = 0
        self._windows_of: list[int] = []  # each replica
        self._appearances = {signal: Appearances() for signal in Histogram}
        self._places = Appearances()
        # n-grams wait until they are asked for: many windows at once are several times as fast.
        self._pending: list[NgramsOfWindow] = []
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
        cut = Slices(self._windows_of)
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
        cut = Slices(self._windows_of)
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


def _windows(figures: Figures) -> int:
    return figures[Histogram.NGRAMS].windows


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
