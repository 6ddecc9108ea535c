"""What a person says is normal: items enter a model as seen, without learning it all again.

Accepted items become known, as if two windows had shown them, and that is all.  Two and not one:
novelty is as likely as things were seen only once (:mod:`baseline.model.novelty`), and that a
person adds something says nothing about how often new things come by themselves.  For the same
reason no window of training is added, and what held-out time scored stays what it was; so the
thresholds stay, too.

What this can hide is what shares a context with an accepted item: after a server's first shell has
been accepted, its second kind of child is new in fewer ways.  An accepted volume of a call raises
what counts for nothing of that call, whether there is too much of it or too little.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from baseline.model.hierarchy_model import HierarchyModel
from baseline.model.ngrams import NgramModel
from baseline.model.score import Volume
from baseline.model.signal_model import SignalModel
from baseline.model.volumes import VolumeModel
from baseline.model.workload_model import WorkloadModel
from baseline.window import NgramCounts, Window


def unknown_part(model: WorkloadModel, window: Window) -> Window:
    """The same window with nothing in it that the model knows."""
    unknown = [not model.knows(ngram) for ngram in window.ngrams.ngrams.tolist()]
    kept = np.array(unknown, np.bool_)
    return replace(
        window,
        ngrams=NgramCounts(window.ngrams.ngrams[kept], window.ngrams.counts[kept]),
        executions={i: n for i, n in window.executions.items() if not model.knows(i)},
        connections={i: n for i, n in window.connections.items() if not model.knows(i)},
    )


def accept(
    model: WorkloadModel, windows: Sequence[Window], volumes: Mapping[Volume, float]
) -> WorkloadModel:
    """The model that takes these items and volumes for normal, too.

    Args:
        model: stays as it is.
        windows: with the items; their times are when the items were seen.
        volumes: bits by which each call may be more surprising than so far.
    """
    unknown = [unknown_part(model, window) for window in windows]
    return WorkloadModel(
        model.workload,
        model.architecture,
        model.training,
        {
            signal: signal_model.allowing(volumes)
            if isinstance(signal_model, VolumeModel)
            else _knowing(signal_model, unknown, model.architecture)
            for signal, signal_model in model.signals.items()
        },
        model.held_out,
        provenance=model.provenance,
        budget=model.budget,
    )


def _knowing(model: SignalModel, windows: Sequence[Window], architecture: str) -> SignalModel:
    """The model of a histogram that also knows these windows."""
    if not windows:
        return model
    twice = [*windows, *windows]
    taught, _ = type(model).fit(twice, [0] * len(twice), architecture)
    both = type(model).merged([model, taught])
    return both.capped(model.windows) if isinstance(both, NgramModel | HierarchyModel) else both
