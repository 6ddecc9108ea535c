"""The one type that flows through the house: what one workload did in one interval.

A :class:`Window` holds three histograms and a ledger.  Windows add: the sum of two windows of a
workload is the window of both intervals (or both replicas) together; adding is associative and
commutative, so long intervals are sums of short ones and nodes merge in any order.
"""

import platform
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from baseline.syscalls import KIND_FOLDED, KIND_SHIFT

NODE = platform.node()
"""Name of this machine."""

MAX_LINEAGE = 8
"""Images that the collector keeps of a lineage: the program and up to seven ancestors."""


class Histogram(StrEnum):
    """What a window counts."""

    NGRAMS = "ngrams"
    EXECUTIONS = "executions"
    CONNECTIONS = "connections"


class Image(NamedTuple):
    """A program image, as the kernel's own file names it.

    Attributes:
        path: path inside the mount namespace of the program; ``memfd:NAME`` for one in memory.
            Longer paths than the collector keeps begin with ``.../``.
        script: name of the script where the program is its interpreter (``#!``), else empty.
        unlinked: the file has no name in any directory any more, or never had one (memfd).
    """

    path: str
    script: str = ""
    unlinked: bool = False

    def __str__(self) -> str:
        script = f"[{self.script}]" if self.script else ""
        return f"{self.path}{script}{' (no file)' if self.unlinked else ''}"


FOLDED_IMAGE = Image("any program")
"""Stands for programs whose workload had used up its room in the kernel's tables."""


class Execution(NamedTuple):
    """A program that was started, with the chain of its ancestors inside the workload.

    Attributes:
        lineage: images, the oldest ancestor first and the started program last; at most
            ``MAX_LINEAGE``, the oldest cut.  A program that executes its own image again is one.
        uid: effective user id after the exec, in the initial user namespace.
    """

    lineage: tuple[Image, ...]
    uid: int

    @property
    def image(self) -> Image:
        """The program that was started."""
        return self.lineage[-1]

    def __str__(self) -> str:
        return " > ".join(map(str, self.lineage))


class Connection(NamedTuple):
    """A peer that a workload talks with.

    Attributes:
        direction: ``in`` (the peer connected) or ``out`` (the workload did).
        protocol: ``tcp`` or ``udp``, otherwise the IP protocol number in digits.
        peer: the peer's address in canonical text, IPv4-mapped ones as IPv4; empty where the
            workload had used up its room in the tables and the address was folded away.
        port: the port of the side that was connected to: the peer's for ``out``, ours for ``in``;
            0 where that was folded away too.
    """

    direction: str
    protocol: str
    peer: str
    port: int

    def __str__(self) -> str:
        peer = f"[{self.peer}]" if ":" in self.peer else self.peer or "any peer"
        arrow = "to" if self.direction == "out" else "from"
        port = self.port or "any port"
        where = f"{peer}:{port}" if self.direction == "out" else f"{peer} on port {port}"
        return f"{self.protocol} {self.direction} {arrow} {where}"


def is_folded(item: int | Execution | Connection) -> bool:
    """Whether an item stands for all those that found no room of their own (a packed n-gram too).

    The kernel gives each workload its own share of its tables.  What is new beyond it is counted
    without what makes it distinct: a call without those before it, a program or a peer without its
    name.
    """
    if isinstance(item, int):
        return item >> KIND_SHIFT == KIND_FOLDED
    if isinstance(item, Execution):
        return item.image == FOLDED_IMAGE
    return not item.peer


def histogram_of(item: int | Execution | Connection) -> Histogram:
    """What counts an item; a packed n-gram is a number."""
    if isinstance(item, int):
        return Histogram.NGRAMS
    return Histogram.EXECUTIONS if isinstance(item, Execution) else Histogram.CONNECTIONS


@dataclass(frozen=True, eq=False)
class NgramCounts:
    """Histogram of packed n-grams (``baseline.syscalls``).

    Attributes:
        ngrams: distinct n-grams, ascending, shape (k,).
        counts: how often each occurred, all above zero, shape (k,).
    """

    ngrams: npt.NDArray[np.uint64]
    counts: npt.NDArray[np.int64]

    @classmethod
    def empty(cls) -> Self:
        """The histogram of nothing."""
        return cls(np.empty(0, np.uint64), np.empty(0, np.int64))

    @classmethod
    def collect(cls, ngrams: npt.NDArray[np.uint64], counts: npt.NDArray[np.int64]) -> Self:
        """Sorted histogram of (n-gram, count) pairs, in which n-grams may repeat or count zero."""
        distinct = np.unique(ngrams)
        sums = np.zeros(len(distinct), np.int64)
        # Searching is several times as fast as the inverse that np.unique would sort for.
        np.add.at(sums, np.searchsorted(distinct, ngrams), counts)
        occurred = sums > 0
        return cls(distinct[occurred], sums[occurred])

    @property
    def total(self) -> int:
        """Calls counted."""
        return int(self.counts.sum())

    def __len__(self) -> int:
        return len(self.ngrams)

    def __add__(self, other: "NgramCounts") -> "NgramCounts":
        return NgramCounts.collect(
            np.concatenate([self.ngrams, other.ngrams]), np.concatenate([self.counts, other.counts])
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NgramCounts):
            return NotImplemented
        return np.array_equal(self.ngrams, other.ngrams) and np.array_equal(
            self.counts, other.counts
        )

    __hash__ = None  # type: ignore[assignment]  # arrays are mutable


class Tally(NamedTuple):
    """One line of the ledger: where the counts of one signal went.

    Attributes:
        counted: what the kernel counted, independently of the tables.
        recorded: what arrived in the window's histogram from the kernel's main table.
        overflowed: what arrived through the overflow table or folded (:func:`is_folded`), because
            the main one was full or the workload had used up its share.  It is in the histogram
            too.  Of first sights: those that were not sent, because there were too many at once.
        lost: what the kernel had no room for at all.
    """

    counted: int = 0
    recorded: int = 0
    overflowed: int = 0
    lost: int = 0

    @property
    def missing(self) -> int:
        """Counts that cannot be accounted for; anything but zero is a defect worth an alarm."""
        return self.counted - self.recorded - self.overflowed - self.lost

    def plus(self, other: "Tally") -> "Tally":
        """Sum, line by line (``+`` of a tuple would append)."""
        return Tally(
            self.counted + other.counted,
            self.recorded + other.recorded,
            self.overflowed + other.overflowed,
            self.lost + other.lost,
        )


@dataclass(frozen=True)
class Ledger:
    """What the kernel counted, what arrived, and what was lost, for each signal.

    ``events`` are first-sight events; one that is lost costs time to an alert, never a count.
    """

    ngrams: Tally = Tally()
    executions: Tally = Tally()
    connections: Tally = Tally()
    events: Tally = Tally()

    @property
    def adds_up(self) -> bool:
        """Whether every count is accounted for: counted = recorded + overflowed + lost."""
        return not (self.ngrams.missing or self.executions.missing or self.connections.missing)

    @property
    def of_counts(self) -> tuple["Tally", "Tally", "Tally"]:
        """Those of the three histograms."""
        return self.ngrams, self.executions, self.connections

    @property
    def is_complete(self) -> bool:
        """Whether every count arrived, and every first sight."""
        return self.adds_up and not (self.lost or self.events.lost)

    @property
    def lost(self) -> int:
        """Counts lost, over the three signals."""
        return sum(tally.lost for tally in self.of_counts)

    def __add__(self, other: "Ledger") -> "Ledger":
        return Ledger(
            self.ngrams.plus(other.ngrams),
            self.executions.plus(other.executions),
            self.connections.plus(other.connections),
            self.events.plus(other.events),
        )


@dataclass(frozen=True)
class Window:
    """What one workload did in one interval.

    Attributes:
        workload: name of the workload.
        replica: which instance of it, as the path of its cgroup; empty for a sum over several.
        start, end: wall-clock time in nanoseconds since the epoch.
        observed: time watched in nanoseconds, summed over replicas: what rates are taken by.
        ngrams, executions, connections: the histograms; no count is zero.
        ledger: where every count went.
        node: name of the machine, for people: nothing is judged or compared by it; empty for a sum
            over several.
    """

    workload: str
    replica: str
    start: int
    end: int
    observed: int
    ngrams: NgramCounts = field(default_factory=NgramCounts.empty)
    executions: Mapping[Execution, int] = field(default_factory=dict)
    connections: Mapping[Connection, int] = field(default_factory=dict)
    ledger: Ledger = Ledger()
    node: str = field(default=NODE, compare=False)

    def __add__(self, other: "Window") -> "Window":
        """Both together.

        Raises:
            ValueError: the windows are of different workloads.
        """
        return total([self, other])


def total(windows: Iterable[Window]) -> Window:
    """Sum of one workload's windows, at the cost of one pass over all their entries.

    Raises:
        ValueError: there is no window, or they are of different workloads.
    """
    windows = list(windows)
    if not windows:
        raise ValueError("the sum of no windows has no workload")
    executions: Counter[Execution] = Counter()
    connections: Counter[Connection] = Counter()
    ledger = Ledger()
    for window in windows:
        if window.workload != windows[0].workload:
            raise ValueError(f"windows of {windows[0].workload} and {window.workload} do not add")
        executions.update(window.executions)
        connections.update(window.connections)
        ledger += window.ledger
    return Window(
        workload=windows[0].workload,
        replica=windows[0].replica if len({w.replica for w in windows}) == 1 else "",
        start=min(w.start for w in windows),
        end=max(w.end for w in windows),
        observed=sum(w.observed for w in windows),
        ngrams=NgramCounts.collect(
            np.concatenate([w.ngrams.ngrams for w in windows]),
            np.concatenate([w.ngrams.counts for w in windows]),
        ),
        executions=executions,
        connections=connections,
        ledger=ledger,
        node=windows[0].node if len({w.node for w in windows}) == 1 else "",
    )
