"""A new version of a workload starts from its predecessor instead of from nothing.

What the predecessor knows stays known.  Its counts weigh a part of what they did, as in a power
prior (Ibrahim and Chen, 2000): ``DISCOUNT``, and in no context more windows than the new version
was learned from, so that a week of the old version does not outvote ten minutes of the new one.
Contexts that only the old version saw keep what it knew of them, discounted.

Altogether the model counts for no more windows than the new version's; where a context was in more,
its number of windows is cut.  That, and an old version that saw nothing new, each move the
estimated rate of novelty by a factor of two at most: one bit.

How often windows come, and what they score in normal time, is that of the new version alone.  Their
held-out surprise is measured anew, block by block, by what the other blocks and the predecessor
teach: a short learning that rests on a long one is less surprised, and its thresholds are lower.

Assumption: the new version does most of what the old one did.  What it does no longer stays known,
until a version is learned without its predecessor.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from baseline.model.hierarchy_model import HierarchyModel
from baseline.model.merging import merge_signal, require_alike
from baseline.model.ngrams import NgramModel
from baseline.model.novelty import Floats
from baseline.model.score import Signal
from baseline.model.signal_model import SignalModel
from baseline.model.time_blocks import blocks_of_time, in_order
from baseline.model.workload_model import SIGNAL_MODELS, WorkloadModel
from baseline.syscalls import ARCHITECTURE
from baseline.window import Window

DISCOUNT = 0.1
"""What the predecessor's counts weigh: ten of its windows as much as one of the new version."""


def inherit(
    windows: Sequence[Window],
    predecessor: WorkloadModel,
    architecture: str = ARCHITECTURE,
    *,
    discount: float = DISCOUNT,
) -> WorkloadModel:
    """Learn a new version from its windows and its predecessor.

    Args:
        windows: of the new version, as for :meth:`WorkloadModel.fit`.
        predecessor: the model of the old version, whatever its name.
        architecture: of the machine that was watched.
        discount: what the predecessor's counts weigh, above 0, at most 1.

    Raises:
        ModelError: there is nothing to learn from, or the predecessor is of another architecture
            or of windows of another length.
    """
    fitted = WorkloadModel.fit(windows, architecture)
    require_alike([predecessor, fitted])
    most = len(windows)
    ordered = in_order(windows)
    signals: dict[Signal, SignalModel] = {}
    held_out_bits = dict(fitted.held_out.bits)
    for signal, new in fitted.signals.items():
        old = predecessor.signals[signal]
        if isinstance(old, NgramModel | HierarchyModel):
            old = old.discounted(discount, most)
            held_out_bits[signal] = _held_out_bits(ordered, old, architecture)
        else:
            old = old.discounted(min(discount, most / old.windows))
        signals[signal] = _of_windows(merge_signal([new, old]), most)
    return WorkloadModel(
        fitted.workload,
        architecture,
        fitted.training,
        signals,
        replace(fitted.held_out, bits=held_out_bits),
        provenance=replace(
            fitted.provenance, notes=(*predecessor.provenance.notes, _note(predecessor, discount))
        ),
    )


def _note(predecessor: WorkloadModel, discount: float) -> str:
    training = predecessor.training
    start, end = (
        datetime.fromtimestamp(time / 1e9, UTC).strftime("%Y-%m-%d %H:%M")
        for time in (training.start, training.end)
    )
    return (
        f"Inherits from {predecessor.workload} as learned {start} to {end} UTC in "
        f"{training.windows:,} windows, at {discount:g} of its weight."
    )


def _of_windows(model: SignalModel, windows: int) -> SignalModel:
    """The same, with no more to show than so many windows can."""
    if isinstance(model, NgramModel | HierarchyModel):
        return model.capped(windows)
    # Less than the quotient, so that rounding up gives this number.
    return model.discounted(math.nextafter(windows / model.windows, 0))


def _held_out_bits(
    ordered: Sequence[Window], predecessor: SignalModel, architecture: str
) -> Floats:
    """Surprise of each window to what all other blocks and the predecessor teach."""
    kind = SIGNAL_MODELS[predecessor.signal]
    blocks = np.asarray(blocks_of_time(ordered))
    bits = np.zeros(len(ordered))
    for block in np.unique(blocks):
        others = [ordered[i] for i in np.flatnonzero(blocks != block).tolist()]
        judge = predecessor
        if others:
            taught, _ = kind.fit(others, [0] * len(others), architecture)
            judge = kind.merged([taught, predecessor])
        for i in np.flatnonzero(blocks == block).tolist():
            bits[i] = math.fsum(surprise.bits for surprise in judge.surprises(ordered[i]))
    return bits
