"""From alerts that a person takes for normal to the model that does, and what that would hide."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from baseline.alerts.alert import RaisedBy
from baseline.alerts.lasting_shift import KEPT
from baseline.alerts.written_alert import WrittenAlert, WrittenEvidence
from baseline.fitting import shortened
from baseline.model.acceptance import accept, unknown_part
from baseline.model.calls import alone, call_of
from baseline.model.provenance import ACCEPTED
from baseline.model.score import Call, Item, Signal, Volume
from baseline.model.volumes import VolumeModel
from baseline.model.workload_model import WorkloadModel
from baseline.syscalls import calls_of
from baseline.window import Connection, Execution, NgramCounts, Window, total

_ROUNDED = 0.005
"""How much the bits of a written alert may be off."""

_LONGEST_NOTE = 300


@dataclass(frozen=True)
class Acceptance:
    """What becomes normal, and the model that takes it so.

    Attributes:
        before, after: the model without it and with it.
        new: the items that it did not know, as a window.
        volumes: name of a call -> bits by which it may be more surprising than before.
        shares: names of calls whose share was unusual; a model of shares cannot take them so.
    """

    before: WorkloadModel
    after: WorkloadModel
    new: Window
    volumes: Mapping[str, float]
    shares: Sequence[str]

    @property
    def changes_anything(self) -> bool:
        """Whether there is anything that the model did not take for normal."""
        new = self.new
        return bool(len(new.ngrams) or new.executions or new.connections or self.volumes)

    @property
    def calls(self) -> frozenset[Call]:
        """System calls that the model had never seen made."""
        made = map(Call, np.unique(calls_of(self.new.ngrams.ngrams)).tolist())
        return frozenset(call for call in made if not self.before.knows(call))

    def hides(self, alert: WrittenAlert) -> bool:
        """Whether an alert of the workload would be raised by the model before, not by the new one.

        The items that it lists are judged anew, the others keep their bits.  Those of a lasting
        shift are taken to fall in proportion to the bits of its evidence.
        """
        return self.raised_before(alert) and not self._raises(self.after, self.volumes, alert)

    def raised_before(self, alert: WrittenAlert) -> bool:
        """Whether an alert would be raised by the model before, to which it may be known by now."""
        was_accepted = alert.id in accepted_ids(self.before)
        return not was_accepted and self._raises(self.before, {}, alert)

    def _raises(
        self, model: WorkloadModel, volumes: Mapping[str, float], alert: WrittenAlert
    ) -> bool:
        """Whether a model raises an alert, which has these bits of each call to spare."""
        taken: defaultdict[Signal, float] = defaultdict(float)
        for evidence in alert.evidence:
            taken[evidence.signal] += evidence.bits - self._left(model, volumes, evidence)
        if alert.test == RaisedBy.SHIFT:
            whole = sum(evidence.bits for evidence in alert.evidence)
            fallen = alert.bits * sum(taken.values()) / whole if whole else 0.0
            return not fallen or alert.bits - fallen >= alert.threshold
        for signal, unlisted in (
            (Signal.NGRAMS, alert.unlisted_ngrams),
            (Signal.CALLS, alert.unlisted_calls),
        ):
            taken[signal] += self._unlisted(model, alert, signal, unlisted)
        if not any(bits > 0 for bits in taken.values()):
            return True
        by_signal = {s: _rest(bits, taken[s], alert) for s, bits in alert.by_signal.items()}
        scale = model.combination
        if any(scale.is_wholly_new(signal, bits) for signal, bits in by_signal.items()):
            return True
        return -math.log2(scale.p_value(by_signal, alert.load)) >= alert.threshold

    def _unlisted(
        self, model: WorkloadModel, alert: WrittenAlert, signal: Signal, items: Collection[Item]
    ) -> float:
        """Bits that the items of a signal which an alert does not list carry less to a model.

        N-grams carry more where a call that was never made has become known, and its order has not.
        """
        before, now = self.before.signals[signal], model.signals[signal]
        listed = [
            (e.bits, before.bits(e.item))
            for e in alert.evidence
            if e.signal == signal and not isinstance(e.item, str)
        ]
        # What was listed tells what part of their bits counted in that window.
        share = next((bits / whole for bits, whole in listed if whole > 0), 1.0)
        new = [item for item in items if not before.knows(item)]
        changed = share * math.fsum(before.bits(item) - now.bits(item) for item in new)
        # What became known since has no bits to compare with: it carried its part of the rest.
        rest = max(alert.by_signal.get(signal, 0.0) - sum(bits for bits, _ in listed), 0.0)
        number = max(alert.unseen.get(signal, 0) - len(listed), len(items), 1)
        return changed + rest * (len(items) - len(new)) / number

    def _left(
        self, model: WorkloadModel, volumes: Mapping[str, float], evidence: WrittenEvidence
    ) -> float:
        """Bits of a piece of evidence to a model."""
        item = evidence.item
        if isinstance(item, str):
            return max(evidence.bits - volumes.get(item, 0.0), 0.0)
        if model.knows(item):
            return 0.0
        before, now = (m.signals[evidence.signal].bits(item) for m in (self.before, model))
        return evidence.bits * min(now / before, 1.0) if before > 0 else 0.0


def accepted_ids(model: WorkloadModel) -> frozenset[str]:
    """The ids of the alerts that a model has taken for normal."""
    begun = ACCEPTED.format("")
    notes = (note.split(":")[0] for note in model.provenance.notes)
    return frozenset(note.removeprefix(begun) for note in notes if note.startswith(begun))


def _rest(bits: float, taken: float, alert: WrittenAlert) -> float:
    """What is left of the bits of a signal; all of them were rounded when they were written."""
    rest = bits - taken
    return rest + _ROUNDED if rest > _ROUNDED * (len(alert.evidence) + 1) else 0.0


def accept_alerts(
    model: WorkloadModel,
    alerts: Sequence[WrittenAlert],
    unlisted: Mapping[str, Iterable[Item]] | None = None,
) -> Acceptance:
    """Take what alerts told of for normal; a second time it changes nothing.

    Args:
        model: of the alerts' workload; it stays as it is.
        alerts: at least one.
        unlisted: id of an alert -> items that it told of, too.
    """
    told = accepted_ids(model)
    first = [alert for alert in alerts if alert.id not in told]
    windows = [_window(alert, (unlisted or {}).get(alert.id, ())) for alert in alerts]
    calls = model.signals[Signal.VOLUMES]
    volumes = _volumes(calls, first) if isinstance(calls, VolumeModel) else {}
    judged = isinstance(calls, VolumeModel) and calls.judges_volumes
    after = accept(model, windows, dict(volumes.values()))
    notes = [shortened(f"{ACCEPTED.format(a.id)}: {a.headline}", _LONGEST_NOTE) for a in first]
    return Acceptance(
        before=model,
        after=after.with_provenance(notes=(*after.provenance.notes, *notes)),
        new=unknown_part(model, total(windows)),
        volumes={name: bits for name, (_, bits) in volumes.items()} if judged else {},
        shares=() if judged else tuple(volumes),
    )


def _window(alert: WrittenAlert, unlisted: Iterable[Item]) -> Window:
    """The items that an alert told of."""
    more = [*unlisted, *alert.unlisted_calls, *alert.unlisted_ngrams]
    counts: dict[Item | str, int] = dict.fromkeys(more, 1)
    counts |= {e.item: max(e.count, 1) for e in alert.evidence}
    ngrams = {item: n for item, n in counts.items() if isinstance(item, int)}
    made = {call_of(ngram) for ngram in ngrams}
    calls = {item: n for item, n in counts.items() if isinstance(item, Call) and item not in made}
    ngrams |= {alone(call): n for call, n in calls.items()}
    return Window(
        alert.workload,
        alert.replica,
        alert.start,
        max(alert.start, alert.end),
        observed=0,
        ngrams=NgramCounts.collect(
            np.array(list(ngrams), np.uint64), np.array(list(ngrams.values()), np.int64)
        ),
        executions={item: n for item, n in counts.items() if isinstance(item, Execution)},
        connections={item: n for item, n in counts.items() if isinstance(item, Connection)},
    )


def _volumes(model: VolumeModel, alerts: Iterable[WrittenAlert]) -> dict[str, tuple[Volume, float]]:
    """Name -> call of the model, and the bits that the alerts had it carry in a window at most."""
    calls = {model.describe(call): call for call in map(Volume, model.symbols.tolist())}
    volumes: dict[str, tuple[Volume, float]] = {}
    for alert in alerts:
        windows = 1
        if alert.test == RaisedBy.SHIFT and model.length:
            # Its evidence is summed over its most surprising windows.
            windows = min(max(round((alert.end - alert.start) / model.length), 1), KEPT)
        for evidence in alert.evidence:
            name = evidence.item
            if isinstance(name, str) and name in calls:
                before = volumes.get(name, (calls[name], 0.0))[1]
                bits = (evidence.bits + _ROUNDED) / windows
                volumes[name] = calls[name], max(before, bits)
    return volumes
