"""How surprising a window is, and what carries the surprise."""

from collections.abc import Mapping
from dataclasses import dataclass

from baseline.window import Connection, Execution, Signal

Item = int | Execution | Connection
"""What is counted: a packed n-gram, an execution or a connection."""

MAX_EVIDENCE = 32
"""Items of each signal that an explanation names at most; ``Score.by_signal`` counts all."""

LEAST_P_VALUE = 1e-9
"""Nothing is said to be rarer: so far out, every p-value is an extrapolation."""


@dataclass(frozen=True)
class Evidence:
    """One item of a window that carries surprise.

    Attributes:
        signal: in which histogram it was counted.
        item: the item itself.
        description: the item as people write it.
        count: how often it occurred in the window.
        bits: surprise that it carries, above zero; high means surprising.
        nearest: the nearest normal behaviour, as people write it.
    """

    signal: Signal
    item: Item
    description: str
    count: int
    bits: float
    nearest: str


@dataclass(frozen=True)
class Score:
    """The judgement of a window, or of one item by itself.

    Each signal has a threshold of its own, because their bits have different tails; the one that is
    furthest above its threshold (or least below) decides.

    Attributes:
        signal: the signal that decides.
        bits: its surprise.
        threshold: from how many of its bits on the window is anomalous.
        by_signal: surprise of every signal; they add to that of the window.
        p_value: probability that a normal window surprises at least as much in any signal; at least
            ``LEAST_P_VALUE``.
        evidence: what carries the bits, heaviest first, at most ``MAX_EVIDENCE`` items of each
            signal, so that a burst of n-grams hides no program; empty where there is no anomaly.
    """

    signal: Signal
    bits: float
    threshold: float
    by_signal: Mapping[Signal, float]
    p_value: float
    evidence: tuple[Evidence, ...]

    @property
    def is_anomaly(self) -> bool:
        """Whether it is worth an alert."""
        return 0 < self.bits >= self.threshold


def signal_of(item: Item) -> Signal:
    """The signal that an item is counted in."""
    if isinstance(item, Execution):
        return Signal.EXECUTIONS
    return Signal.CONNECTIONS if isinstance(item, Connection) else Signal.NGRAMS
