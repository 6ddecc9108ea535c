"""Quiet windows: all that they show is known, and no volume of calls carries anything.

Most windows of normal time are, and all of them have one score, that of nothing.  To see that a
window is one takes a single search for its n-grams, from which the volumes follow; to judge it like
any other takes one for each signal, and objects by the dozen.
"""

from collections.abc import Mapping

import numpy as np

from baseline.model.calls import CallModel
from baseline.model.hierarchy import HierarchyModel
from baseline.model.ngrams import NgramModel
from baseline.model.score import Item, Signal, signal_of
from baseline.model.signal_model import SignalModel
from baseline.model.volumes import VolumeModel
from baseline.syscalls import calls_of, symbols_of
from baseline.window import Window


class Quiet:
    """Tells quiet windows of one workload.

    Args:
        signals: the models of its signals.
    """

    def __init__(self, signals: Mapping[Signal, SignalModel]) -> None:
        ngrams, calls, volumes = (signals[s] for s in (Signal.NGRAMS, Signal.CALLS, Signal.VOLUMES))
        assert isinstance(ngrams, NgramModel)  # noqa: S101 - for the type checker, as in what follows
        assert isinstance(calls, CallModel)  # noqa: S101
        assert isinstance(volumes, VolumeModel)  # noqa: S101
        self._ngrams = ngrams.calls.ngrams
        are_known = calls.are_known(calls_of(self._ngrams))
        if not are_known.all():  # otherwise the model's own array, which takes no more memory
            self._ngrams = self._ngrams[are_known]
        self._volumes = volumes
        self._columns = volumes.columns_of(symbols_of(self._ngrams)).astype(np.int16)
        self._others = {
            signal: model.occurrences.keys()
            for signal, model in signals.items()
            if isinstance(model, HierarchyModel)
        }

    def __contains__(self, window: Window) -> bool:
        """Whether a window is quiet: none of its signals finds any surprise in it."""
        if window.executions or window.connections:
            others: list[Item] = [*window.executions, *window.connections]
            if any(item not in self._others[signal_of(item)] for item in others):
                return False
        ngrams = window.ngrams.ngrams
        where = self._ngrams.searchsorted(ngrams)
        if not len(self._ngrams) or np.count_nonzero(
            self._ngrams.take(where, mode="clip") != ngrams
        ):
            return False
        size = len(self._volumes.symbols) + 1
        counts = np.bincount(self._columns.take(where), window.ngrams.counts, size)
        return self._volumes.is_usual(window, counts[:-1].astype(np.intp))
