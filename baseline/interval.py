"""What all cgroups did in one interval, before it is taken apart into windows.

Most windows of normal time show nothing worth a look, and that can be seen of all of them at once
in the columns here, for much less than it takes to make a window of each
(:mod:`baseline.model.quiet_intervals`).  Whoever wants windows asks for them.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from baseline.interference import Interference
from baseline.sighting import Observation
from baseline.window import Connection, Execution, Ledger, NgramCounts, Tally, Window


class Replica(NamedTuple):
    """Whose window it is, as in :class:`baseline.window.Window`."""

    workload: str
    replica: str


@dataclass
class Others:
    """What a window counts besides n-grams."""

    executions: Counter[Execution] = field(default_factory=Counter)
    connections: Counter[Connection] = field(default_factory=Counter)


@dataclass(frozen=True, eq=False)
class NgramEntries:
    """Counts of n-grams in no order, as they lie in a table; one n-gram may stand there twice.

    Attributes:
        rows: number of the window that each belongs to, shape (k,).
        ngrams, counts: as in :class:`baseline.window.NgramCounts`, but counts may be zero.
        places: of the first entries, a number for what is counted there, so that it need not be
            looked up again: the same replica and n-gram as in the interval before, unless it is
            among ``renewed``.  The last entries may have none, shape (at most k,).
        renewed: places that may stand for something else by now.
    """

    rows: npt.NDArray[np.int64]
    ngrams: npt.NDArray[np.uint64]
    counts: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    renewed: npt.NDArray[np.int64]

    def histograms(self, chosen: npt.NDArray[np.bool_]) -> Iterator[tuple[int, NgramCounts]]:
        """Row and histogram of each chosen window that counted anything.

        Args:
            chosen: by row.
        """
        wanted = chosen[self.rows]
        rows, ngrams, counts = self.rows[wanted], self.ngrams[wanted], self.counts[wanted]
        # Sorted once for all windows: a histogram of each took half of the time of a reading.
        order = np.lexsort((ngrams, rows))
        ngrams, rows = ngrams[order], rows[order]
        is_first = np.ones(len(order), np.bool_)
        is_first[1:] = (ngrams[1:] != ngrams[:-1]) | (rows[1:] != rows[:-1])
        starts = np.flatnonzero(is_first)
        counts = np.add.reduceat(counts[order], starts)
        starts, counts = starts[counts > 0], counts[counts > 0]
        ngrams, rows = ngrams[starts], rows[starts]
        bounds = np.flatnonzero(np.diff(rows, prepend=-1, append=-1)).tolist()
        for start, end in itertools.pairwise(bounds):
            # Copies, so that whoever keeps one window does not keep those of all others.
            yield int(rows[start]), NgramCounts(ngrams[start:end].copy(), counts[start:end].copy())


@dataclass(frozen=True, eq=False)
class Interval:
    """One reading of a source, a window of each replica.

    Attributes:
        replicas: whose windows they are, a row each; the same object as in the interval before
            where none came or went.
        end: wall-clock time in nanoseconds since the epoch.
        observed: length in nanoseconds.
        ngrams: counts of n-grams, of all windows.
        others: row -> what else that window counts; where it is missing, nothing.
        tallies: the ledgers as numbers, in the order of the fields of
            :class:`baseline.window.Ledger` and :class:`baseline.window.Tally`, shape (rows, 4, 4).
    """

    replicas: Sequence[Replica]
    end: int
    observed: int
    ngrams: NgramEntries
    others: Mapping[int, Others]
    tallies: npt.NDArray[np.int64]

    def windows(self, rows: Iterable[int] | None = None) -> Iterator[Window]:
        """The windows of some rows, in this order; of all without an argument."""
        rows = range(len(self.replicas)) if rows is None else list(rows)
        chosen = np.zeros(len(self.replicas), np.bool_)
        chosen[rows] = True
        histograms = dict(self.ngrams.histograms(chosen))
        for row in rows:
            others = self.others.get(row) or Others()
            yield Window(
                *self.replicas[row],
                start=self.end - self.observed,
                end=self.end,
                observed=self.observed,
                ngrams=histograms.get(row) or NgramCounts.empty(),
                executions=others.executions,
                connections=others.connections,
                ledger=_ledger(self.tallies[row].tolist()),
            )

    def ledgers(self) -> list[Ledger]:
        """Those of all windows."""
        return [_ledger(row) for row in self.tallies.tolist()]

    def are_complete(self) -> npt.NDArray[np.bool_]:
        """What :attr:`baseline.window.Ledger.is_complete` says of each window, shape (rows,)."""
        counted, arrived, lost = np.split(self.tallies, [1, 3], axis=2)
        missing = counted - arrived.sum(axis=2, keepdims=True) - lost
        return np.asarray(~(missing[:, :-1].any(axis=(1, 2)) | lost.any(axis=(1, 2))))


def taken_apart(
    observations: Iterable[Interval | Observation | Interference],
) -> Iterator[Observation | Interference]:
    """The windows of each interval in its place, and all else as it is."""
    for observation in observations:
        if isinstance(observation, Interval):
            yield from observation.windows()
        else:
            yield observation


def _ledger(tallies: list[list[int]]) -> Ledger:
    return Ledger(*map(Tally._make, tallies))
