"""What the live table shows: a row for each workload, made of the windows that came so far."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from baseline.alerts.alert import Alert
from baseline.alerts.detector import Detector
from baseline.live.newcomers import MINUTE, Newcomers
from baseline.model.provenance import NOT_KNOWN
from baseline.model.score import Score, Signal
from baseline.model.workload_model import WorkloadModel
from baseline.window import Connection, Execution, Ledger, Tally, Window

ALERTS_KEPT = 100
"""Alerts of one workload that can be looked at; all are counted."""

MOST_WORKLOADS = 1024
"""Beyond it, the workload that has been silent for longest has no row any more."""

NAMED = 3
"""New programs and peers of a workload that are named."""

_GRACE = 1.5
"""Lengths of a window after which a replica that shows no other one has ended."""


@dataclass(frozen=True)
class Row:
    """One workload.

    Attributes:
        workload: its name.
        replicas: how many of it run.
        calls: system calls a second, of all replicas in their latest windows.
        new: items of each signal that were new in the last minute, see :class:`Newcomers`.
        newest: programs and peers among them, the latest first; at most ``NAMED``.
        ledger: where the counts of all its windows went.
        state: how far learning had come; empty where there is no model, or it does not say.
        reason: the same in a sentence without a full stop.
        bits: the highest score of the last minute; ``None`` where there is no model.
        threshold: bits from which on there is an alert; ``None`` where there is no model.
        budget: false alarms that the threshold allows, as people write it.
        alerts: how many there were.
        latest: the latest ``ALERTS_KEPT`` of them, the latest first.
        is_alerting: one of them is of the last minute.
    """

    workload: str
    replicas: int
    calls: float
    new: Mapping[Signal, int]
    newest: tuple[Execution | Connection, ...]
    ledger: Ledger
    state: str = ""
    reason: str = ""
    bits: float | None = None
    threshold: float | None = None
    budget: str = ""
    alerts: int = 0
    latest: tuple[Alert, ...] = ()
    is_alerting: bool = False

    @property
    def unaccounted(self) -> int:
        """Counts that were lost, or that nobody knows the whereabouts of."""
        return sum(tally.lost + abs(tally.missing) for tally in self._tallies)

    @property
    def counted(self) -> int:
        """What the kernel counted, over the three signals."""
        return sum(tally.counted for tally in self._tallies)

    @property
    def _tallies(self) -> tuple[Tally, ...]:
        # Not first sights: a lost one is no lost count, and nobody reads them here.
        return self.ledger.ngrams, self.ledger.executions, self.ledger.connections

    @property
    def fullness(self) -> float:
        """How much of the threshold the score reaches; may be above 1."""
        if self.bits is None or self.threshold is None:
            return 0.0
        return self.bits / self.threshold if self.threshold > 0 else 1.0


@dataclass(frozen=True)
class Snapshot:
    """All workloads at one moment.

    Attributes:
        time: end of the latest window, in nanoseconds since the epoch; 0 before the first.
        rows: in no order that means anything.
        is_judged: there are models.
    """

    time: int
    rows: tuple[Row, ...]
    is_judged: bool


class Overview:
    """Adds up windows to rows.

    Time is that of the windows, so a replay shows what the live table would have shown.

    Args:
        models: by workload; none at all to count and not to judge.
    """

    def __init__(self, models: Mapping[str, WorkloadModel]) -> None:
        self._models = models
        self._detector = Detector(models)
        self._workloads: dict[str, _Workload] = {}  # the one silent for longest first
        self._time = 0

    def add(self, window: Window) -> None:
        """Take one more window, of whichever workload."""
        self._time = window.end
        name = window.workload
        workload = self._workloads.pop(name, None) or _Workload(name, self._models.get(name))
        self._workloads[name] = workload
        if len(self._workloads) > MOST_WORKLOADS:
            del self._workloads[next(iter(self._workloads))]
        alert = self._detector.observe(window)
        workload.add(window, self._detector.latest, alert)

    def snapshot(self) -> Snapshot:
        """What there is to show now."""
        rows = tuple(workload.row(self._time) for workload in self._workloads.values())
        return Snapshot(self._time, rows, bool(self._models))


class _Latest(NamedTuple):
    """The latest window of a replica: when it ended, how long it was, how many calls it held."""

    end: int
    length: int
    calls: int


@dataclass
class _Workload:
    """What is remembered of one workload, all of it bounded.

    Attributes:
        replicas: those that run, by their path.
        peaks: (when, bits) of scores that none since has reached, so the highest is the first.
    """

    name: str
    model: WorkloadModel | None
    replicas: dict[str, _Latest] = field(default_factory=dict)
    peaks: deque[tuple[int, float]] = field(default_factory=deque)
    ledger: Ledger = Ledger()
    alerts: int = 0
    latest: deque[Alert] = field(default_factory=lambda: deque(maxlen=ALERTS_KEPT))

    def __post_init__(self) -> None:
        self.newcomers = Newcomers(self.model)

    def add(self, window: Window, score: Score | None, alert: Alert | None) -> None:
        self.newcomers.add(window)
        self.ledger += window.ledger
        length = max(window.end - window.start, 1)
        calls = window.ledger.ngrams.counted
        self.replicas[window.replica] = _Latest(window.end, length, calls)
        self.replicas = self._running(window.end)
        if score:
            while self.peaks and self.peaks[-1][1] <= score.bits:
                self.peaks.pop()
            self.peaks.append((window.end, score.bits))
            while abs(window.end - self.peaks[0][0]) >= MINUTE:
                self.peaks.popleft()
        if alert:
            self.alerts += 1
            self.latest.appendleft(alert)

    def row(self, now: int) -> Row:
        running = self._running(now).values()
        row = Row(
            workload=self.name,
            replicas=len(running),
            calls=sum(latest.calls * 1e9 / latest.length for latest in running),
            new=self.newcomers.counts(now),
            newest=self.newcomers.named(now)[:NAMED],
            ledger=self.ledger,
        )
        if self.model is None:
            return row
        completeness = self.model.provenance.completeness
        return replace(
            row,
            state=completeness.state.value if completeness else "",
            reason=completeness.reason if completeness else NOT_KNOWN,
            bits=next((bits for when, bits in self.peaks if abs(now - when) < MINUTE), 0.0),
            threshold=self.model.threshold,
            budget=str(self.model.budget),
            alerts=self.alerts,
            latest=tuple(self.latest),
            is_alerting=any(abs(now - alert.time) < MINUTE for alert in self.latest),
        )

    def _running(self, now: int) -> dict[str, _Latest]:
        return {
            replica: latest
            for replica, latest in self.replicas.items()
            if abs(now - latest.end) < _GRACE * latest.length
        }
