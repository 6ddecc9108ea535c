"""The alert: what deviated, by how much, and the explanation that goes with it."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TypeVar

from baseline.alerts.flood import Flood
from baseline.alerts.redacted import redacted_evidence, redacted_item, redacted_process
from baseline.container import Container
from baseline.model.score import (
    LEAST_P_VALUE,
    NOVELTIES,
    Call,
    Evidence,
    Item,
    Score,
    Signal,
    Volume,
    signal_of,
)
from baseline.moments import iso_time
from baseline.sighting import Process
from baseline.syscalls import ngram_names, symbol_name
from baseline.window import NODE, Connection, Execution, Image

# An unseen program or peer names an event better than the system calls it made, however many bits
# those carry.  But clients come and go.
_MOST_TELLING = (
    Signal.EXECUTIONS,
    Signal.CONNECTIONS_OUT,
    Signal.CALLS,
    Signal.CONNECTIONS_IN,
    Signal.NGRAMS,
    Signal.VOLUMES,
)
_MOST_UNLISTED = 4096

_Plain = TypeVar("_Plain", int, Call)

_NOUNS = {
    Signal.EXECUTIONS: "program",
    Signal.CONNECTIONS_OUT: "peer",
    Signal.CALLS: "system call",
    Signal.CONNECTIONS_IN: "client",
    Signal.NGRAMS: "system-call sequence",
    Signal.VOLUMES: "volume",
}


class RaisedBy(StrEnum):
    """What raised an alert."""

    FIRST_SIGHT = "first sight"
    WINDOW = "window"
    SHIFT = "lasting shift"
    FLOOD = "flood"


class Reason(StrEnum):
    """Why it is an alert."""

    THRESHOLD = "threshold"
    """There is as much evidence as the budget asks for."""
    WHOLLY_NEW = "wholly new"
    """Something is new in every way that the model can tell, however much evidence that is."""
    FLOOD = "flood"
    """So much was new at once that what it was is not judged, however much evidence there is."""


def leading_evidence(evidence: Iterable[Evidence], unseen: frozenset[Item]) -> Evidence:
    """The piece of evidence that says best what happened.

    The heaviest unseen program, else peer that was called, else call, else client, else n-gram,
    else the heaviest of all.

    Raises:
        ValueError: there is no evidence.
    """
    heaviest = sorted(evidence, key=lambda e: -e.bits)
    if not heaviest:
        raise ValueError("no evidence leads")
    unseen_ones = (
        e for signal in _MOST_TELLING for e in heaviest if e.signal == signal and e.item in unseen
    )
    return next(unseen_ones, heaviest[0])


@dataclass(frozen=True)
class Alert:
    """A deviation from what was learned that reached the threshold.

    It holds no secrets: whatever the workload named is redacted when the alert is made, so that
    nobody who writes it has to think of that.

    Attributes:
        workload, replica, node: as in :class:`baseline.window.Window`.
        architecture: whose system-call numbers the n-grams hold.
        time: when it was detected, by the clock of the observations, in nanoseconds since the
            epoch.
        start, end: of what was judged, likewise; of first sights from the first to the last.
        test: what raised it.
        score: how surprising it is, against which threshold, and the evidence.
        once_in: seconds of normal time in which so much evidence comes once, as far as that can be
            known.
        unseen: the items judged that learning never saw; not only those in the evidence.
        process: who did what leads the evidence; ``None`` where it is not known.
        already_reported: distinct items seen with it that were left out of the score, because
            an earlier alert told of them.
        folded: windows since the workload's last alert that were anomalous by nothing but what
            that alert, or an earlier one, had told.
        container: where it happened; ``None`` where the replica's cgroup is none of a container.
        flood: how much was new at once; ``None`` where it was no flood.
        load: calls of the window that was judged last; ``None`` of first sights, whose window was
            not complete.
    """

    workload: str
    replica: str
    architecture: str
    time: int
    start: int
    end: int
    test: RaisedBy
    score: Score
    once_in: float
    unseen: frozenset[Item]
    process: Process | None
    already_reported: int = 0
    folded: int = 0
    container: Container | None = None
    flood: Flood | None = None
    load: int | None = None
    node: str = NODE

    def __post_init__(self) -> None:
        """Redact."""
        evidence = tuple(map(redacted_evidence, self.score.evidence))
        for name, value in (
            ("score", replace(self.score, evidence=evidence)),
            ("unseen", frozenset(map(redacted_item, self.unseen))),
            ("process", self.process and redacted_process(self.process)),
        ):
            object.__setattr__(self, name, value)

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits, the same whenever the same observations are judged."""
        leading = self.leading.item
        text = f"{self.workload}\0{self.replica}\0{self.time}\0{self.start}\0{leading}"
        return hashlib.blake2s(text.encode(errors="surrogatepass"), digest_size=6).hexdigest()

    @property
    def signal(self) -> Signal:
        """The signal of what says best what happened."""
        return self.leading.signal

    @property
    def reason(self) -> Reason:
        """Why it is an alert: of several reasons, the first of :class:`Reason`."""
        if self.score.bits >= self.score.threshold:
            return Reason.THRESHOLD
        return Reason.WHOLLY_NEW if self.score.wholly_new else Reason.FLOOD

    @property
    def leading(self) -> Evidence:
        """The piece of evidence that says best what happened."""
        return leading_evidence(self.score.evidence, self.unseen)

    @property
    def headline(self) -> str:
        """What happened, in one line.

        It may hold text that the workload chose (names of programs), control characters included.
        """
        leading = self.leading
        others = Counter(map(signal_of, self.unseen - {leading.item}))
        # The number of unseen n-grams is part of the sentence about them.
        among = others.pop(leading.signal, 0) if leading.signal == Signal.NGRAMS else 0
        also = [
            f"{others[s]:,} {'more' if s == leading.signal else 'new'} {_plural(s, others[s])}"
            for s in _MOST_TELLING
            if others[s]
        ]
        flood = f"{self.flood}; " if self.flood else ""
        also_new = f"; also {', '.join(also)}" if also else ""
        return flood + self._sentence(leading, among) + also_new

    def _sentence(self, leading: Evidence, among: int) -> str:
        item = leading.item
        unseen = item in self.unseen
        by = f", by {self.process.comm}" if self.process else ""
        if isinstance(item, Execution):
            starter = PurePosixPath(item.lineage[-2].path).name if len(item.lineage) > 1 else ""
            novelty = "never seen in learning" if unseen else "rare in learning"
            return f"{starter or 'something'} started {item.image} as uid {item.uid}, {novelty}"
        if isinstance(item, Connection):
            return f"{'new' if unseen else 'rare'} {_NOUNS[leading.signal]}: {item}{by}"
        if isinstance(item, Call):
            return f"never made {leading.description} before{by}"
        if isinstance(item, Volume):
            normal = f"; {leading.nearest}" if leading.nearest else ""
            return (
                f"unusual number of system calls: {leading.count:,} {leading.description}{normal}"
            )
        if not unseen:
            return f"unusual system calls, most of all: {leading.description}"
        those = f"{among + 1:,} unseen {_plural(leading.signal, among + 1)}, most of all"
        return f"{those if among else 'unseen system-call sequence'}: {leading.description}"

    def to_dict(self) -> dict[str, object]:
        """The alert in types that JSON has; docs/alert-format.md has its keys, which stay."""
        unseen = Counter(map(signal_of, self.unseen))
        return {
            "id": self.id,
            "time": iso_time(self.time),
            "start": iso_time(self.start),
            "end": iso_time(self.end),
            "node": self.node,
            "workload": self.workload,
            "replica": self.replica,
            "headline": self.headline,
            "test": self.test.value,
            "reason": self.reason.value,
            "signal": self.signal.value,
            "bits": round(self.score.bits, 2),
            "threshold": round(self.score.threshold, 2),
            "p_value": float(f"{self.score.p_value:.3g}"),
            "once_in_seconds": float(f"{self.once_in:.3g}")
            if self.score.p_value >= LEAST_P_VALUE
            else None,
            "load": self.load,
            "by_signal": {s.value: round(bits, 2) for s, bits in self.score.by_signal.items()},
            "container": self.container
            and {"id": self.container.short_id, "name": self.container.name or None},
            "process": self.process and _process(self.process),
            "evidence": [
                {
                    "signal": e.signal.value,
                    "description": e.description,
                    "count": e.count,
                    "bits": round(e.bits, 2),
                    "unseen": e.item in self.unseen,
                    "first_seen": e.seen and iso_time(e.seen.first),
                    "last_seen": e.seen and iso_time(e.seen.last),
                    "without": None if math.isnan(e.without) else round(e.without, 2),
                    "nearest": e.nearest,
                    "item": self._item(e.item),
                }
                for e in self.score.evidence
            ],
            "unseen": {signal.value: unseen[signal] for signal in NOVELTIES},
            "unlisted_calls": [self._item(call) for call in self._unlisted(Call)],
            "unlisted_ngrams": [f"{ngram:#018x}" for ngram in self._unlisted(int)[:_MOST_UNLISTED]],
            "already_reported": self.already_reported,
            "folded": self.folded,
            "flood": self.flood and self.flood._asdict(),
        }

    def _unlisted(self, kind: type[_Plain]) -> list[_Plain]:
        """Unseen items of a kind that the evidence does not list, in ascending order."""
        listed = {evidence.item for evidence in self.score.evidence}
        return sorted(i for i in self.unseen if isinstance(i, kind) and i not in listed)

    def _item(self, item: Item) -> dict[str, object]:
        if isinstance(item, Execution):
            return {"lineage": _lineage(item.lineage), "uid": item.uid}
        if isinstance(item, Connection):
            return item._asdict()
        if isinstance(item, Call):
            return {"syscall": symbol_name(item.symbol, self.architecture), "symbol": item.symbol}
        if isinstance(item, Volume):
            return {"syscall": symbol_name(item.symbol, self.architecture)}
        # As text: many readers of JSON keep 53 bits of a number.
        return {"syscalls": list(ngram_names(item, self.architecture)), "packed": f"{item:#018x}"}


def _process(process: Process) -> dict[str, object]:
    return {
        "pid": process.pid,
        "tid": process.tid,
        "comm": process.comm,
        "executable": process.lineage[-1].path if process.lineage else None,
        "arguments": list(process.arguments),
        "arguments_cut": process.arguments_cut,
        "arguments_source": "process memory" if process.arguments else None,
        "lineage": _lineage(process.lineage),
    }


def _lineage(images: Iterable[Image]) -> list[dict[str, object]]:
    return [image._asdict() for image in images]


def _plural(signal: Signal, number: int) -> str:
    return _NOUNS[signal] + "s" * (number != 1)
