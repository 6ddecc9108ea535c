"""What a single slice of the training brought: dirty or poisoned training.

An intruder who is there while the model learns would be learned.  So the training is judged against
itself: every block of time by what the other blocks teach, and every replica by what the others
teach.  Where the programs or the peers of a window in one of them are as surprising as something
new in every way, and more than twice as surprising as those of any window outside, what no other
block (or replica) shows of that window is kept out of the model, its system calls included.  It is
listed, for a person to judge; what is normal but rare, such as a nightly job, looks just the same
from here.

System calls alone quarantine nothing: the rare paths of a program that always ran (a checkpoint, a
snapshot) would go first, and the alert budget with them.  The calibration knows how rare they are.

Poison that is in several blocks and replicas alike is not found: nothing tells it from behaviour.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from baseline.model.score import PEERS, Item, Signal, signal_of
from baseline.model.time_blocks import blocks_of_time, in_order
from baseline.model.workload_model import SIGNAL_MODELS
from baseline.syscalls import ngram_names
from baseline.window import NgramCounts, Window

_LEAST_WINDOWS = 30
"""With fewer windows everything is rare."""

_LEAST_PARTS = 3
"""With two that differ nobody can say which one is odd."""


@dataclass(frozen=True)
class Quarantined:
    """What a single part of the training brought.

    Attributes:
        start, end: of the windows that showed it, in nanoseconds since the epoch.
        replica: the only replica that showed it; empty where it was the only block of time.
        bits: the highest surprise of such a window to the other parts.
        items: what is kept out of the model.
    """

    start: int
    end: int
    replica: str
    bits: float
    items: frozenset[Item]

    def describe(self, architecture: str) -> list[str]:
        """The programs and the peers as people write them, then the n-grams of calls."""
        ordered = sorted(self.items, key=lambda i: (_ORDER.index(signal_of(i)), str(i)))
        return [
            " > ".join(ngram_names(item, architecture)) if isinstance(item, int) else str(item)
            for item in ordered
        ]


_PROGRAMS_AND_PEERS = (Signal.EXECUTIONS, *PEERS)
_ORDER = (*_PROGRAMS_AND_PEERS, Signal.NGRAMS)


def find_quarantined(windows: Sequence[Window], architecture: str) -> list[Quarantined]:
    """What a single block of time or a single replica brought, in order of time.

    Args:
        windows: of one workload, in any order.
        architecture: whose system calls they hold.
    """
    if len(windows) < _LEAST_WINDOWS:
        return []
    ordered = in_order(windows)
    names, replicas = np.unique([window.replica for window in ordered], return_inverse=True)
    found = _brought_by_one(ordered, blocks_of_time(ordered), architecture, [""] * len(ordered))
    if len(names) >= _LEAST_PARTS:
        found += _brought_by_one(ordered, replicas.tolist(), architecture, names.tolist())
    return sorted(found, key=lambda q: (q.start, q.replica))


def without(windows: Iterable[Window], quarantined: Iterable[Quarantined]) -> list[Window]:
    """The windows as if what is quarantined had not occurred in them."""
    items = frozenset(item for found in quarantined for item in found.items)
    return [_without(window, items) for window in windows] if items else list(windows)


def _brought_by_one(
    ordered: Sequence[Window], parts: Sequence[int], architecture: str, names: Sequence[str]
) -> list[Quarantined]:
    part_of_window = np.asarray(parts)
    distinct = np.unique(part_of_window).tolist()
    if len(distinct) < _LEAST_PARTS:
        return []
    odd = np.zeros(len(ordered))
    for signal in _PROGRAMS_AND_PEERS:
        model, bits = SIGNAL_MODELS[signal].fit(ordered, parts, architecture)
        for part in distinct:
            inside = part_of_window == part
            limit = max(model.wholly_new_bits, 2 * float(bits[~inside].max()))
            if limit > 0:
                odd[inside] = np.maximum(odd[inside], np.where(bits >= limit, bits, 0)[inside])
    found = []
    for part in np.unique(part_of_window[odd > 0]).tolist():
        rows = np.flatnonzero((part_of_window == part) & (odd > 0)).tolist()
        elsewhere = {
            item
            for window, of in zip(ordered, parts, strict=True)
            if of != part
            for item in _items(window)
        }
        brought = {item for row in rows for item in _items(ordered[row])} - elsewhere
        if brought:
            found.append(
                Quarantined(
                    start=ordered[rows[0]].start,
                    end=ordered[rows[-1]].end,
                    replica=names[part],
                    bits=float(odd[rows].max()),
                    items=frozenset(brought),
                )
            )
    return found


def _items(window: Window) -> Iterable[Item]:
    yield from window.executions
    yield from window.connections
    yield from window.ngrams.ngrams.tolist()


def _without(window: Window, items: frozenset[Item]) -> Window:
    ngrams = np.array([item for item in items if isinstance(item, int)], np.uint64)
    kept = ~np.isin(window.ngrams.ngrams, ngrams)
    return replace(
        window,
        ngrams=NgramCounts(window.ngrams.ngrams[kept], window.ngrams.counts[kept]),
        executions={e: n for e, n in window.executions.items() if e not in items},
        connections={c: n for c, n in window.connections.items() if c not in items},
    )
