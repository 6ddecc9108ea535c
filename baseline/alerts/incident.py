"""Incidents: what belongs together in time, told as one thing that begins, goes on and ends.

The first alert of a workload opens an incident and is told in full.  Further evidence updates it:
alerts, and what the Detector folds because it was told before.  When there was none for a while it
closes by itself.  Lines are bounded: evidence of another kind (a signal that the incident had not
shown, a program or a peer that learning never saw, a flood) is told at once, eight times and then
once a second; more of the same four times and then once in five seconds.  What is held back is
counted, and the weightiest of it is told as soon as there is room.

Time is that of the observations, of whatever workload they are.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from baseline.alerts.alert import Alert, RaisedBy
from baseline.alerts.allowance import Allowance
from baseline.alerts.detector import REPEAT_AFTER, Detector
from baseline.alerts.watched import Folded
from baseline.interval import Interval
from baseline.model.score import Signal
from baseline.moments import iso_time
from baseline.sighting import Observation
from baseline.window import NODE, Connection, Execution, Window

QUIET = REPEAT_AFTER
"""Seconds without evidence after which an incident is over."""

ANOTHER_KIND = (8, 1.0)
"""Updates of evidence of another kind: at once, and then in a second."""

MORE_OF_THE_SAME = (4, 0.2)
"""Updates of any other evidence, likewise."""

_ROUND = 10**9
"""Nanoseconds after which all open incidents are looked at again."""


class Event(StrEnum):
    """What a report tells of an incident."""

    OPENED = "opened"
    UPDATED = "updated"
    CLOSED = "closed"


class Counts(NamedTuple):
    """What an incident came to so far.

    Attributes:
        alerts: all of them, told or not.
        updates: reports after the first, without the one that closes it.
        held_back: alerts that have no report, because there were too many.
        held_back_items: items in them that learning never saw.
        folded_windows, folded_items, folded_sightings: as in
            :class:`baseline.alerts.watched.Folded`, since it opened.
    """

    alerts: int
    updates: int
    held_back: int
    held_back_items: int
    folded_windows: int
    folded_items: int
    folded_sightings: int


@dataclass(frozen=True)
class Report:
    """A line about an incident.

    Attributes:
        event: what it tells.
        incident: twelve hexadecimal digits: the id of the alert that opened it.
        workload: whose.
        time: when it is told, by the clock of the observations, in nanoseconds since the epoch; an
            alert that was held back is older.
        start, end: from the first to the last evidence, likewise.
        headline: of its most telling alert so far.
        severity: the most bits of an alert so far.
        counts: what it came to so far.
        alert: what is new; ``None`` where it closes.
        node: name of the machine where it opened.
    """

    event: Event
    incident: str
    workload: str
    time: int
    start: int
    end: int
    headline: str
    severity: float
    counts: Counts
    alert: Alert | None = None
    node: str = NODE

    @property
    def id(self) -> str:
        """Of the alert, or of the end of the incident."""
        if self.alert:
            return self.alert.id
        text = f"{self.incident}\0{self.event.value}\0{self.time}"
        return hashlib.blake2s(text.encode(), digest_size=6).hexdigest()

    def to_dict(self) -> dict[str, object]:
        """The report in types that JSON has; docs/alert-format.md has its keys, which stay.

        Where there is an alert, they are the alert's and some of the incident.
        """
        about = self.alert.to_dict() if self.alert else self._end()
        return {
            **about,
            "incident": self.incident,
            "event": self.event.value,
            "severity": round(self.severity, 2),
            "counts": self.counts._asdict(),
        }

    def _end(self) -> dict[str, object]:
        return {
            "id": self.id,
            "time": iso_time(self.time),
            "start": iso_time(self.start),
            "end": iso_time(self.end),
            "node": self.node,
            "workload": self.workload,
            "headline": self.headline,
        }


@dataclass
class Incident:
    """What is known of an open incident, all of it bounded.

    Attributes:
        first: the alert that opened it.
        folded: what was folded of the workload before, and is so far.
        last: time of the last evidence.
        end: of the latest evidence: the clock may be set back.
        most_telling: the alert that says best what it is about.
        severity: the most bits of an alert.
        alerts, updates, held_back, held_back_items: see :class:`Counts`.
        signals: those that led an alert.
        waiting: the weightiest alert that was held back; it is not counted as such yet.
    """

    first: Alert
    folded_before: Folded
    folded: Folded
    last: int
    end: int
    most_telling: Alert
    severity: float
    alerts: int = 1
    updates: int = 0
    held_back: int = 0
    held_back_items: int = 0
    signals: set[Signal] = field(default_factory=set)
    waiting: Alert | None = None
    _another_kind: Allowance = field(default_factory=lambda: Allowance(*ANOTHER_KIND))
    _more: Allowance = field(default_factory=lambda: Allowance(*MORE_OF_THE_SAME))

    @classmethod
    def opened_by(cls, alert: Alert, folded: Folded, time: int) -> "Incident":
        """The incident that an alert opens."""
        return cls(alert, folded, folded, time, alert.end, alert, alert.score.bits)

    def take(self, alert: Alert, time: int) -> None:
        """Add an alert, which waits to be told."""
        self.alerts += 1
        self.last = time
        self.end = max(self.end, alert.end)
        self.severity = max(self.severity, alert.score.bits)
        self.most_telling = max(self.most_telling, alert, key=_weight)  # the first of equals
        if self.waiting is None:
            self.waiting = alert
            return
        lighter, self.waiting = sorted([alert, self.waiting], key=_weight)
        self.held_back += 1
        self.held_back_items += len(lighter.unseen)

    def told(self, time: int, *, whatever: bool = False) -> Alert | None:
        """The alert that waits, where there is room for it; ``whatever`` makes room."""
        alert = self.waiting
        if alert is None:
            return None
        is_another_kind = bool(_weight(alert)[0]) or alert.signal not in self.signals
        allowance = self._another_kind if is_another_kind else self._more
        if not allowance.take(time) and not whatever:
            return None
        self.waiting = None
        self.signals.add(alert.signal)
        self.updates += 1
        return alert

    def report(self, event: Event, time: int, alert: Alert | None = None) -> Report:
        """A line about it."""
        folded = (now - before for now, before in zip(self.folded, self.folded_before, strict=True))
        waiting = self.waiting
        held_back = self.held_back + (waiting is not None)
        items = self.held_back_items + (len(waiting.unseen) if waiting else 0)
        return Report(
            event,
            self.first.id,
            self.first.workload,
            time,
            self.first.start,
            self.end,
            self.most_telling.headline,
            self.severity,
            Counts(self.alerts, self.updates, held_back, items, *folded),
            alert,
            self.first.node,
        )


class Incidents:
    """Judges observations and tells what comes of it, incident by incident.

    Args:
        detector: what judges them.
        quiet: seconds without evidence after which an incident closes.

    Attributes:
        opened: how many there have been.
        open: by workload, those that are not over.
        latest: the alert that the observation before gave rise to, told or not.
    """

    def __init__(self, detector: Detector, *, quiet: float = QUIET) -> None:
        self.opened = 0
        self.latest: Alert | None = None
        self.open: dict[str, Incident] = {}
        self._detector = detector
        self._quiet = round(quiet * 1e9)
        self._looked: int | None = None

    def observe_quiet(self, interval: Interval) -> tuple[list[Report], list[int], list[int]]:
        """Take the quiet windows of an interval, all at once.

        Returns:
            What is to be told before the others, and what
            :meth:`baseline.alerts.detector.Detector.observe_quiet` returns.
        """
        reports = self._round(interval.end) if self._must_look(interval.end) else []
        self.latest = None
        return reports, *self._detector.observe_quiet(interval, self.open)

    def observe(self, observation: Observation) -> list[Report]:
        """Judge what a source yielded.

        Returns:
            What is to be told, in this order.
        """
        time = observation.end if isinstance(observation, Window) else observation.time
        workload = observation.workload
        reports = self._round(time) if self._must_look(time) else list(self._due(workload, time))
        alert = self.latest = self._detector.observe(observation)
        folded = self._detector.folded_of(workload)
        incident = self.open.get(workload)
        if incident is None:
            return [*reports, self._opened(alert, folded, time)] if alert else reports
        if incident.folded.windows != folded.windows:
            incident.last = time
            incident.end = max(incident.end, time)
        incident.folded = folded
        if alert:
            incident.take(alert, time)
            reports += self._due(workload, time)
        return reports

    def rest(self) -> list[Report]:
        """What waits to be told, at the end of all observations."""
        return [
            incident.report(Event.UPDATED, incident.last, alert)
            for incident in self.open.values()
            if (alert := incident.told(incident.last, whatever=True))
        ]

    def _must_look(self, time: int) -> bool:
        return self._looked is None or abs(time - self._looked) >= _ROUND

    def _round(self, time: int) -> list[Report]:
        """What is due of all open incidents."""
        self._looked = time
        return [report for name in list(self.open) for report in self._due(name, time)]

    def _opened(self, alert: Alert, folded: Folded, time: int) -> Report:
        self.opened += 1
        incident = Incident.opened_by(alert, folded, time)
        incident.signals.add(alert.signal)
        self.open[alert.workload] = incident
        return incident.report(Event.OPENED, time, alert)

    def _due(self, workload: str, time: int) -> Iterator[Report]:
        """What waits of a workload and may be told now, and the end of its incident."""
        incident = self.open.get(workload)
        if incident is None:
            return
        # Either way: the clock may be set back.
        is_over = abs(time - incident.last) >= self._quiet
        if alert := incident.told(time, whatever=is_over):
            yield incident.report(Event.UPDATED, time, alert)
        if is_over:
            del self.open[workload]
            yield incident.report(Event.CLOSED, time)


def still_open(incidents: Mapping[str, Incident]) -> Sequence[str]:
    """Workload and id of each, for people."""
    return [f"{name} {incident.first.id}" for name, incident in sorted(incidents.items())]


def _weight(alert: Alert) -> tuple[bool, float]:
    """What is told first: a program or a peer that learning never saw, or a flood; then by bits."""
    names_something = isinstance(alert.leading.item, Execution | Connection)
    is_new = names_something and alert.leading.item in alert.unseen
    return is_new or alert.test == RaisedBy.FLOOD, alert.score.bits
