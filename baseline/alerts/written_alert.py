"""Alerts read back from the JSON lines that ``watch --format json`` wrote.

They may come from an untrusted hand: what they say has to be of the kind it should be, and nothing
of it is believed but by the person who accepts it.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from baseline.alerts.alert import RaisedBy
from baseline.alerts.incident import Event
from baseline.alerts.json_lines import TAMPERING
from baseline.errors import BaselineError
from baseline.model.calls import CallModel
from baseline.model.connections import InboundModel, OutboundModel
from baseline.model.executions import ExecutionModel
from baseline.model.score import PEERS, Call, Item, Signal, signal_of

_EPOCH = datetime.fromtimestamp(0, UTC)
_MOST_COUNTED = 1 << 62
_NO_ALERT = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RecursionError,
)


class AlertsError(BaselineError):
    """What should be alerts is none."""


@dataclass(frozen=True)
class WrittenEvidence:
    """A piece of evidence as it was written.

    Attributes:
        signal: what it is evidence in.
        item: the item; of a call, its name.
        description: the item as people write it.
        count: how often it occurred.
        bits: surprise that it carried.
    """

    signal: Signal
    item: Item | str
    description: str
    count: int
    bits: float


@dataclass(frozen=True)
class WrittenAlert:
    """An alert as it was written; see :meth:`baseline.alerts.alert.Alert.to_dict`.

    Attributes:
        id, workload, replica, headline: as there.
        start, end: in nanoseconds since the epoch, to the microsecond.
        test: what raised it.
        bits, threshold: how rare so much evidence is, and how rare it had to be.
        load: calls of the window judged last; ``None`` where that is not known.
        by_signal: surprise on its own scale, in bits, also of items that are not listed.
        unseen: items that learning never saw, also those not listed, by signal.
        evidence: in the order in which it was written; not all of it.
        unlisted_calls, unlisted_ngrams: unseen ones that the evidence leaves out.
        incident: id of the alert that opened its incident; its own where none is named.
        held_back: how many alerts of the incident had no line until then.
    """

    id: str
    workload: str
    replica: str
    headline: str
    start: int
    end: int
    test: RaisedBy
    bits: float
    threshold: float
    load: int | None
    by_signal: Mapping[Signal, float]
    unseen: Mapping[Signal, int]
    evidence: tuple[WrittenEvidence, ...]
    unlisted_calls: tuple[Call, ...]
    unlisted_ngrams: tuple[int, ...]
    incident: str
    held_back: int

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "WrittenAlert":
        """Inverse of :meth:`baseline.alerts.alert.Alert.to_dict`, as far as it goes.

        Raises:
            ValueError: it is no alert; likewise TypeError, LookupError, ArithmeticError and
                AttributeError.
        """
        return cls(
            **{name: _text(values[name]) for name in ("id", "workload", "replica", "headline")},
            start=_nanoseconds(values["start"]),
            end=_nanoseconds(values["end"]),
            test=RaisedBy(values["test"]),
            bits=_number(values["bits"]),
            threshold=_number(values["threshold"]),
            load=None if (load := values.get("load")) is None else _count(load),
            by_signal={Signal(name): _number(n) for name, n in values["by_signal"].items()},
            unseen={Signal(name): _count(n) for name, n in values["unseen"].items()},
            evidence=tuple(map(_evidence, values["evidence"])),
            unlisted_calls=tuple(map(_call, values["unlisted_calls"])),
            unlisted_ngrams=tuple(map(_ngram, values["unlisted_ngrams"])),
            incident=_text(values.get("incident", values["id"])),
            held_back=_count(values.get("counts", {}).get("held_back", 0)),
        )

    @property
    def unlisted(self) -> int:
        """How many unseen items it does not name, because there were too many."""
        listed = sum(not isinstance(evidence.item, str) for evidence in self.evidence)
        named = listed + len(self.unlisted_calls) + len(self.unlisted_ngrams)
        return max(sum(self.unseen.values()) - named, 0)


def read_alerts(lines: Iterable[bytes], source: str) -> Iterator[WrittenAlert]:
    """Alerts, one on each line that is not empty and tells of no tampering or end of an incident.

    Args:
        lines: of JSON in UTF-8.
        source: what they are called in messages.

    Raises:
        AlertsError: a line is no alert.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            if values.get("test") != TAMPERING and values.get("event") != Event.CLOSED:
                yield WrittenAlert.from_dict(values)
        except _NO_ALERT as cause:
            raise AlertsError(
                f"Line {number:,} of {source} is no alert ({cause!s:.100})",
                "Give what `baseline watch --format json` wrote",
            ) from cause


def _evidence(values: Mapping[str, Any]) -> WrittenEvidence:
    signal = Signal(values["signal"])
    item = _item(signal, values["item"])
    if not isinstance(item, str) and signal_of(item) != signal:
        raise ValueError("an item of another signal")
    return WrittenEvidence(
        signal,
        item,
        _text(values["description"]),
        _count(values["count"]),
        _number(values["bits"]),
    )


def _item(signal: Signal, values: Mapping[str, Any]) -> Item | str:
    if signal == Signal.EXECUTIONS:
        lineage = [(_text(i["path"]), _text(i["script"]), i["unlinked"]) for i in values["lineage"]]
        return ExecutionModel.decode((lineage, values["uid"]))
    if signal in PEERS:
        texts = [_text(values[name]) for name in ("direction", "protocol", "peer")]
        kind = InboundModel if signal == Signal.CONNECTIONS_IN else OutboundModel
        return kind.decode((*texts, values["port"]))
    if signal == Signal.CALLS:
        return _call(values)
    if signal == Signal.VOLUMES:
        return _text(values["syscall"])
    return _ngram(values["packed"])


def _call(values: Mapping[str, Any]) -> Call:
    return CallModel.decode((values["symbol"],))


def _ngram(packed: object) -> int:
    ngram = int(_text(packed), 16)
    if not 0 <= ngram < 1 << 64:
        raise ValueError("an n-gram that does not fit in 64 bits")
    return ngram


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text that is none")
    value.encode()  # raises ValueError for what is not Unicode
    return value


def _number(value: object) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):  # type: ignore[arg-type]  # checked
        raise ValueError("a number that is none")
    return float(value)  # type: ignore[arg-type]  # checked


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < _MOST_COUNTED:
        raise ValueError("a count that is none")
    return value


def _nanoseconds(value: object) -> int:
    moment = datetime.fromisoformat(_text(value)).astimezone(UTC)
    microseconds = (moment - _EPOCH) // timedelta(microseconds=1)
    if microseconds < 0:
        raise ValueError("a time before the epoch")
    return microseconds * 1000
