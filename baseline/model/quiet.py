"""Quiet windows: all that they show is known, and no volume of calls carries anything.

Most windows of normal time are, and all of them have one score, that of nothing.  To see that a
window is one takes a single search for its n-grams, from which the volumes follow; to judge it like
any other takes one for each signal, and objects by the dozen.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from baseline.model.calls import CallModel
from baseline.model.hierarchy_model import HierarchyModel
from baseline.model.ngrams import NgramModel
from baseline.model.score import Signal, signal_of
from baseline.model.signal_model import SignalModel
from baseline.model.volumes import VolumeModel
from baseline.syscalls import calls_of, symbols_of
from baseline.window import Connection, Execution, Window


class Quiet:
    """Tells quiet windows of one workload.

    Args:
        signals: the models of its signals.

    Attributes:
        volumes: the model of one of them.
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
        self.volumes = volumes
        self._columns = volumes.columns_of(symbols_of(self._ngrams)).astype(np.int16)
        self._others = {
            signal: model.occurrences.keys()
            for signal, model in signals.items()
            if isinstance(model, HierarchyModel)
        }

    def __contains__(self, window: Window) -> bool:
        """Whether a window is quiet: none of its signals finds any surprise in it."""
        if not self.knows_all((*window.executions, *window.connections)):
            return False
        columns = self.columns_of(window.ngrams.ngrams)
        size = len(self.volumes.symbols) + 2
        counts = np.bincount(columns, window.ngrams.counts, size).astype(np.intp)
        return not counts[-1] and self.volumes.is_usual(window, counts[:-2])

    def knows_all(self, items: Iterable[Execution | Connection]) -> bool:
        """Whether programs and peers are all known."""
        return all(item in self._others[signal_of(item)] for item in items)

    def columns_of(self, ngrams: npt.NDArray[np.uint64]) -> npt.NDArray[np.int16]:
        """Position of the call that an n-gram ends in, among the calls of the volumes.

        One more for a call that has no volume, and still one more for an n-gram that is not known.
        """
        unknown = len(self.volumes.symbols) + 1
        if not len(self._ngrams):
            return np.full(len(ngrams), unknown, np.int16)
        where = self._ngrams.searchsorted(ngrams)
        known = self._ngrams.take(where, mode="clip") == ngrams
        return np.where(known, self._columns.take(where, mode="clip"), np.int16(unknown))
