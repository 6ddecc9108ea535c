"""What a model was learned from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from baseline.window import Ledger, Window

_WEEK = 7 * 24 * 3600

_JOINED = 10**9
"""Spans that are no further apart are one, in nanoseconds."""

Span = tuple[int, int]
"""Start and end in nanoseconds since the epoch."""


@dataclass(frozen=True)
class Training:
    """What a model was learned from.

    Attributes:
        spans: times in which at least one replica was watched, ascending and apart.
        observed: nanoseconds watched, summed over replicas.
        windows: number of windows.
        replicas: number of replicas.
        ledger: where every count went.
    """

    spans: tuple[Span, ...]
    observed: int
    windows: int
    replicas: int
    ledger: Ledger

    @classmethod
    def of(cls, windows: Sequence[Window]) -> "Training":
        """Of windows of one workload, at least one of which took time."""
        ledger = Ledger()
        for window in windows:
            ledger += window.ledger
        return cls(
            spans=joined((window.start, window.end) for window in windows),
            observed=sum(window.observed for window in windows),
            windows=len(windows),
            replicas=len({window.replica for window in windows}),
            ledger=ledger,
        )

    @classmethod
    def merged(cls, parts: Sequence["Training"]) -> "Training":
        """Of replicas or nodes that have none in common."""
        ledger = Ledger()
        for part in parts:
            ledger += part.ledger
        return cls(
            spans=joined(span for part in parts for span in part.spans),
            observed=sum(part.observed for part in parts),
            windows=sum(part.windows for part in parts),
            replicas=sum(part.replicas for part in parts),
            ledger=ledger,
        )

    @property
    def start(self) -> int:
        """When it began, in nanoseconds since the epoch."""
        return self.spans[0][0]

    @property
    def end(self) -> int:
        """When it ended, in nanoseconds since the epoch."""
        return self.spans[-1][1]

    @property
    def covered(self) -> int:
        """Nanoseconds in which at least one replica was watched.

        The wall clock may be set while windows are taken; the time watched is of another clock, and
        bounds it.
        """
        covered = sum(end - start for start, end in self.spans)
        return min(covered, self.observed) or self.observed

    @property
    def window_seconds(self) -> float:
        """Length of a window, on average."""
        return self.observed / 1e9 / self.windows

    @property
    def replicas_at_a_time(self) -> int:
        """How many replicas were watched at a time, on average; at least 1."""
        return max(round(self.observed / self.covered), 1)

    @property
    def windows_per_second(self) -> float:
        """Windows of the workload in a second, of all replicas that run at a time."""
        return self.windows / (self.covered / 1e9)

    @property
    def windows_per_week(self) -> float:
        """The same in a week."""
        return self.windows_per_second * _WEEK


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The union of spans; those less than a second apart are one."""
    union: list[Span] = []
    for start, end in sorted(spans):
        if union and start <= union[-1][1] + _JOINED:
            union[-1] = (union[-1][0], max(union[-1][1], end))
        else:
            union.append((start, max(start, end)))
    return tuple(union)
