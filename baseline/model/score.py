"""How surprising a window is, and what carries the surprise."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from baseline.syscalls import calls_of
from baseline.window import Connection, Execution, Window


class Signal(StrEnum):
    """What evidence comes from; each has a scale of its own."""

    NGRAMS = "ngrams"  # known calls in an order that is new
    CALLS = "calls"  # calls never made before, in whatever order
    EXECUTIONS = "executions"
    CONNECTIONS_IN = "connections_in"
    CONNECTIONS_OUT = "connections_out"
    VOLUMES = "volumes"  # how often known calls are made


NOVELTIES: tuple[Signal, ...] = tuple(signal for signal in Signal if signal != Signal.VOLUMES)
"""The signals of what is new."""

PEERS = (Signal.CONNECTIONS_IN, Signal.CONNECTIONS_OUT)
"""The signals of peers, who connect and who are connected to."""


class Call(NamedTuple):
    """A system call or io_uring request, whatever came before it.

    Attributes:
        symbol: as in ``baseline/syscalls.py``, with its kind above it; never the folded one.
    """

    symbol: int


@dataclass(frozen=True)
class Volume:
    """How often a call is made, beside the others.

    Attributes:
        symbol: as in ``baseline/syscalls.py``, with its kind above it.
    """

    symbol: int


Item = int | Execution | Connection | Call | Volume
"""What is judged; a number is a packed n-gram."""

MAX_EVIDENCE = 32
"""Items of each signal that an explanation names at most; ``Score.by_signal`` counts all."""

LEAST_P_VALUE = 1e-9
"""People are told of nothing rarer: so far out, every p-value is an extrapolation."""


class Seen(NamedTuple):
    """When something was seen in training, in nanoseconds since the epoch.

    Attributes:
        first: start of the first window that showed it.
        last: end of the last one.
    """

    first: int
    last: int


@dataclass(frozen=True)
class Evidence:
    """One item of a window that carries surprise.

    Attributes:
        signal: what it is evidence in.
        item: the item itself.
        description: the item as people write it.
        count: how often it occurred in the window.
        bits: surprise that it carries; high means surprising.  They add within a signal.
        nearest: what is normal there, as people write it.
        seen: when training saw it; ``None`` for never.
        without: bits of the whole score if it had not occurred.
    """

    signal: Signal
    item: Item
    description: str
    count: int
    bits: float
    nearest: str
    seen: Seen | None
    without: float


@dataclass(frozen=True)
class Score:
    """The judgement of a window, or of one item by itself.

    The surprise of each signal has a scale of its own, so each becomes the probability of so much
    in normal time; the bits of these probabilities add to the evidence of the window, and that has
    its own distribution in normal time.

    Attributes:
        bits: how rare so much evidence is, ``-log2 p_value``, at least 0.
        threshold: from how many bits on the budget calls for an alert.
        p_value: probability that a normal window has at least so much evidence.
        by_signal: surprise of every signal on its own scale, in bits.
        wholly_new: signals in which something is new in every way that the model can tell.
        evidence: what carries the surprise, at most ``MAX_EVIDENCE`` items of each signal, so that
            a burst of n-grams hides no program; first that without which least would be left, of
            equals the heaviest; empty where there is no anomaly.
    """

    bits: float
    threshold: float
    p_value: float
    by_signal: Mapping[Signal, float]
    wholly_new: tuple[Signal, ...]
    evidence: tuple[Evidence, ...]

    @property
    def is_anomaly(self) -> bool:
        """Whether it is worth an alert."""
        return self.bits >= self.threshold or bool(self.wholly_new)


def signal_of(item: Item) -> Signal:
    """What an item is evidence in."""
    if isinstance(item, int):
        return Signal.NGRAMS
    if isinstance(item, Connection):
        return Signal.CONNECTIONS_IN if item.direction == "in" else Signal.CONNECTIONS_OUT
    if isinstance(item, Execution):
        return Signal.EXECUTIONS
    return Signal.CALLS if isinstance(item, Call) else Signal.VOLUMES


def items_of(window: Window) -> Iterator[Item]:
    """All that a window shows of which something could be new."""
    yield from window.ngrams.ngrams.tolist()
    yield from map(Call, np.unique(calls_of(window.ngrams.ngrams)).tolist())
    yield from window.executions
    yield from window.connections
