"""A model that scores by a rule plain enough to reckon with, and observations for it."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from baseline.model.score import NOVELTIES, Evidence, Item, Score, Signal, signal_of
from baseline.model.signal_model import Surprise
from baseline.sighting import Process, Sighting
from baseline.window import (
    Connection,
    Execution,
    Image,
    Ledger,
    NgramCounts,
    Tally,
    Window,
)

SECOND = 10**9
NGINX, SHELL, CURL, PYTHON = (Image(f"/usr/bin/{n}") for n in ("nginx", "dash", "curl", "python3"))
SHELL_STARTED = Execution((NGINX, SHELL), 33)
CURL_STARTED = Execution((NGINX, SHELL, CURL), 33)
PYTHON_STARTED = Execution((NGINX, PYTHON), 33)
PEER = Connection("out", "tcp", "203.0.113.9", 4444)
KNOWN_PEER = Connection("out", "tcp", "10.0.0.5", 5432)
SH = Process(4123, 4123, "sh", (NGINX, SHELL))
THRESHOLD = 30.0


def program(number: int) -> Execution:
    """One of ever-new programs."""
    return Execution((NGINX, Image(f"/bin/{number}")), 33)


class PlainSignal:
    """Bits of an item that is not known."""

    def bits(self, item: Item) -> float:
        return 10.0 if isinstance(item, int) else 40.0


class PlainModel:
    """Scores like any model, with bits for each unknown item.

    A program or peer is worth 40 bits and an n-gram 10, however often it occurs; 30 are an alert,
    and so are windows of 10 bits that come five times in a row.
    """

    architecture = "x86_64"
    known = frozenset({KNOWN_PEER, 1, 2, 3})
    shift_threshold = 20.0
    usual_counts: Mapping[Signal, int] = dict.fromkeys(NOVELTIES, 0)
    signals: Mapping[Signal, PlainSignal] = dict.fromkeys(NOVELTIES, PlainSignal())

    def for_replicas(self, number: int) -> "PlainModel":
        """The same: its alerts have no budget."""
        return self

    def knows(self, item: Item) -> bool:
        return item in self.known

    def novelties(self, item: Item) -> list[Item]:
        return [] if self.knows(item) else [item]

    def unseen(self, window: Window) -> list[Item]:
        return [item for item in _items(window) if not self.knows(item)]

    def shares(self, counted: Mapping[Signal, int]) -> dict[Signal, float]:
        return dict.fromkeys(counted, 1.0)

    def is_anomaly(self, by_signal: Mapping[Signal, float]) -> bool:
        return sum(by_signal.values()) >= THRESHOLD

    def judge(
        self, surprises: Mapping[Signal, Sequence[Surprise]], counted: Mapping[Signal, int]
    ) -> Score:
        return self._score(surprise.item for found in surprises.values() for surprise in found)

    def score(
        self, window: Window, without: Collection[Item] = (), *, explained: bool = True
    ) -> Score:
        return self._score(item for item in _items(window) if item not in without)

    def score_of_quiet(self, window: Window) -> Score | None:
        return None  # the long way round, always

    def score_item(self, item: Item) -> Score:
        return self._score([item])

    def explain(self, window: Window) -> tuple[Evidence, ...]:
        return self.score(window).evidence

    def once_in(self, p_value: float) -> float:
        return 1 / p_value

    def _score(self, items: Iterable[Item]) -> Score:
        own = PlainSignal()
        unknown = {item: own.bits(item) for item in items if not self.knows(item)}
        bits = sum(unknown.values())
        by_signal = dict.fromkeys(Signal, 0.0)
        for item, surprise in unknown.items():
            by_signal[signal_of(item)] += surprise
        evidence = tuple(
            Evidence(signal_of(i), i, str(i), 1, surprise, "", seen=None, without=bits - surprise)
            for i, surprise in sorted(unknown.items(), key=lambda pair: -pair[1])[:5]
        )
        return Score(bits, THRESHOLD, 2 ** -min(bits, 500.0), by_signal, (), evidence)


def _items(window: Window) -> list[Item]:
    return [*window.executions, *window.connections, *window.ngrams.ngrams.tolist()]


def window(
    second: float,
    *items: Item,
    workload: str = "web",
    replica: str = "demo/a",
    held_back: int = 0,
) -> Window:
    """The second that ends there, with each of these once."""
    end = round(second * SECOND)
    ngrams = np.array([i for i in items if isinstance(i, int)], np.uint64)
    return Window(
        workload,
        replica,
        end - SECOND,
        end,
        SECOND,
        NgramCounts.collect(ngrams, np.ones(len(ngrams), np.int64)),
        {i: 1 for i in items if isinstance(i, Execution)},
        {i: 1 for i in items if isinstance(i, Connection)},
        Ledger(events=Tally(counted=len(items) + held_back, overflowed=held_back)),
    )


def sighting(
    second: float,
    item: Item,
    process: Process | None = SH,
    replica: str = "demo/a",
    workload: str = "web",
) -> Sighting:
    """The first sight of something."""
    assert isinstance(item, int | Execution | Connection)
    return Sighting(workload, replica, round(second * SECOND), item, process)
