"""One model of several: of replicas, of nodes, of days that have no window in common.

Counts add, so the merged model knows what a model of all windows would know, with the same counts.
The surprise of held-out windows is kept as it was measured, by models that knew less; so thresholds
are rather too high than too low.

Merging is associative and commutative: what the order of models would decide, the order of the
replicas in the held-out windows and of notes, is that of their content.  (Where models share notes,
brackets may change the order of these.)
"""

import heapq
from collections.abc import Iterable, Sequence

import numpy as np

from baseline.errors import ModelError
from baseline.model.call_counts import SAME_LENGTH
from baseline.model.held_out import HeldOut
from baseline.model.provenance import Provenance
from baseline.model.score import Signal
from baseline.model.signal_model import SignalModel
from baseline.model.training import Training
from baseline.model.volumes import VolumeModel
from baseline.model.workload_model import WorkloadModel
from baseline.moments import in_seconds


def merge(models: Sequence[WorkloadModel]) -> WorkloadModel:
    """The model of all windows that the models were learned from.

    Args:
        models: of one workload, at least one; no two of them share a window.

    Raises:
        ModelError: they are of different architectures, or of windows of different lengths.
    """
    require_alike(models)
    return WorkloadModel(
        models[0].workload,
        models[0].architecture,
        Training.merged([model.training for model in models]),
        {signal: merge_signal([model.signals[signal] for model in models]) for signal in Signal},
        merge_held_out([model.held_out for model in models]),
        provenance=Provenance(
            quarantined=_union(model.provenance.quarantined for model in models),
            notes=_union(model.provenance.notes for model in models),
        ),
    )


def _union(lines: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """Each line once, those of a model in their order: that of time, which no line tells."""
    return tuple(dict.fromkeys(heapq.merge(*sorted(map(tuple, lines)))))


def require_alike(models: Sequence[WorkloadModel]) -> None:
    """Refuse to put together what cannot be compared.

    Args:
        models: of one workload, at least one.

    Raises:
        ModelError: their architectures differ, or the lengths of their windows do.
    """
    workload = models[-1].workload
    architectures = sorted({model.architecture for model in models})
    if len(architectures) > 1:
        raise ModelError(
            f"The models of {workload} are of {' and '.join(architectures)}, whose calls differ",
            "Keep the models of each architecture in a folder of their own",
        )
    lengths = sorted({length for model in models if (length := window_length(model)) is not None})
    if lengths and lengths[-1] > SAME_LENGTH * lengths[0]:
        texts = [
            f"{in_seconds(length / 1e9)} s" if length else "no single length" for length in lengths
        ]
        raise ModelError(
            f"The models of {workload} were learned from windows of {' and '.join(texts)}",
            "Learn them with the same --interval"
            if lengths[0]
            else "Learn each from windows of one --interval: nine in ten have to be of that "
            "length, and those that a command caught up on after a kill are longer",
        )


def window_length(model: WorkloadModel) -> int | None:
    """Length of a window in nanoseconds, 0 for none; ``None`` where no call tells of it."""
    volumes = model.signals[Signal.VOLUMES]
    return volumes.length if isinstance(volumes, VolumeModel) and volumes.items else None


def merge_signal(models: Sequence[SignalModel]) -> SignalModel:
    """The models of one signal as one."""
    volumes = [model for model in models if isinstance(model, VolumeModel)]
    busy = [model for model in volumes if model.items]
    if not busy:
        return type(models[0]).merged(models)
    # A replica that made no call has no length of windows that could agree with that of the others.
    idle = sum(model.windows for model in volumes if not model.items)
    return VolumeModel.merged(busy).with_idle(idle)


def merge_held_out(parts: Sequence[HeldOut]) -> HeldOut:
    """The held-out windows of all, those of a replica side by side, replicas in a fixed order."""
    together = HeldOut.merged(parts)
    rows_of = [np.flatnonzero(together.replica == n) for n in np.unique(together.replica)]
    columns = [*together.bits.values(), *together.counts.values()]
    rows_of.sort(key=lambda rows: [column[rows].tobytes() for column in columns])
    rows = np.concatenate(rows_of)
    return HeldOut(
        {signal: bits[rows] for signal, bits in together.bits.items()},
        {signal: counts[rows] for signal, counts in together.counts.items()},
        np.repeat(np.arange(len(rows_of)), [len(rows) for rows in rows_of]),
    )
