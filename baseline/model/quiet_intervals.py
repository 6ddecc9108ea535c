"""Quiet windows, found among all those of an interval at once.

It comes to what :class:`baseline.model.quiet.Quiet` says of each, in one pass over the columns of
the interval: every call of every replica has a *cell* of its own, in which its counts add up, and
every cell has its usual levels.  Which cell an n-gram belongs to is looked up once for each place
in the kernel's table.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from baseline.interval import Interval, NgramEntries, Replica
from baseline.model.call_counts import SAME_LENGTH
from baseline.model.call_volumes import LEVELS, levels_and_sides
from baseline.model.quiet import Quiet
from baseline.model.workload_model import WorkloadModel

_NOT_LOOKED_UP = -1

_ANY_LEVEL = np.full((1, LEVELS), (1 << LEVELS) - 1)
_NONE_AT_ALL = np.ones((1, LEVELS), np.int64)

_LOST = 3  # its place in a tally


class _Block(NamedTuple):
    """The cells of one window, in the order of :meth:`Quiet.columns_of`.

    Attributes:
        quiet: what judges it, ``None`` for nothing.
        beside: the cell that each is judged beside, shape (cells,).
        usual: where the usual levels of each begin, shape (cells,).
        length: of its windows in nanoseconds, 0 where none is judged here.
    """

    quiet: Quiet | None
    beside: npt.NDArray[np.intp]
    usual: npt.NDArray[np.intp]
    length: int


class QuietIntervals:
    """Tells quiet windows of all workloads; intervals are to be shown to it without a gap.

    Args:
        models: by workload.
    """

    def __init__(self, models: Mapping[str, WorkloadModel]) -> None:
        self._models = models
        self._blocks: dict[str, _Block] = {}  # of the workloads that were seen
        self._usual = np.empty((0, LEVELS), np.int64)
        self._new: list[npt.NDArray[np.int64]] = []  # to be put behind them
        self._columns = np.empty(0, np.int16)  # by place
        self._arrange(())

    def of(self, interval: Interval) -> npt.NDArray[np.bool_]:
        """Which windows are seen to be quiet, by row.

        Where counts were lost, where windows have not the length of learning, or no length, it is
        left to :class:`Quiet`; and where there is no model.
        """
        if interval.replicas is not self._replicas:
            self._arrange(interval.replicas)
        entries = interval.ngrams
        cells = self._columns_of(entries) + self._starts.take(entries.rows)
        if entries.counts.min(initial=0) < 0:  # somebody has changed the kernel's table
            return np.zeros(len(interval.replicas), np.bool_)
        counts = np.bincount(cells, entries.counts, len(self._beside)).astype(np.intp)
        levels, sides = levels_and_sides(counts)
        usual = self._usual.take(self._usual_from + levels.take(self._beside)) & sides
        are_quiet = np.logical_and.reduceat(usual != 0, self._starts)
        length = SAME_LENGTH * interval.observed
        are_quiet &= (self._lengths <= length) & (length <= SAME_LENGTH**2 * self._lengths)
        are_quiet &= interval.tallies[:, 0, _LOST] == 0
        for row, others in interval.others.items():
            quiet = self._blocks_of_rows[row].quiet
            if quiet and not quiet.knows_all((*others.executions, *others.connections)):
                are_quiet[row] = False
        return are_quiet

    def _columns_of(self, entries: NgramEntries) -> npt.NDArray[np.intp]:
        """What :meth:`Quiet.columns_of` says of each entry."""
        places, ngrams = entries.places, entries.ngrams
        room = int(places.max(initial=-1)) + 1
        if room > len(self._columns):
            more = np.full(2 * room - len(self._columns), _NOT_LOOKED_UP, np.int16)
            self._columns = np.concatenate([self._columns, more])
        # Those of replicas that others watch may lie beyond.
        renewed = entries.renewed[entries.renewed < len(self._columns)]
        self._columns[renewed] = _NOT_LOOKED_UP
        columns = np.full(len(ngrams), _NOT_LOOKED_UP, np.intp)
        columns[: len(places)] = self._columns[places]
        missing = np.flatnonzero(columns == _NOT_LOOKED_UP)
        if len(missing):
            rows = entries.rows[missing]
            for row in np.unique(rows).tolist():
                its, quiet = missing[rows == row], self._blocks_of_rows[row].quiet
                columns[its] = quiet.columns_of(ngrams[its]) if quiet else 0
            placed = missing[missing < len(places)]
            self._columns[places[placed]] = columns[placed]
        return columns

    def _arrange(self, replicas: Sequence[Replica]) -> None:
        """Lay out the cells of the windows that come from now on."""
        self._replicas = replicas
        for workload in dict.fromkeys(its.workload for its in replicas):
            if workload not in self._blocks:
                self._blocks[workload] = self._block_of(workload)
        # All at once: arrays that grow one by one leave holes in memory.
        self._usual = np.concatenate([self._usual, *self._new])
        self._new = []
        blocks = self._blocks_of_rows = [self._blocks[its.workload] for its in replicas]
        sizes = np.array([len(block.beside) for block in blocks], np.intp)
        self._starts = np.cumsum(sizes) - sizes
        self._beside = np.concatenate(
            [np.empty(0, np.intp), *(block.beside for block in blocks)]
        ) + np.repeat(self._starts, sizes)
        self._usual_from = np.concatenate(
            [np.empty(0, np.intp), *(block.usual for block in blocks)]
        )
        self._lengths = np.array([block.length for block in blocks], np.int64)

    def _block_of(self, workload: str) -> _Block:
        model = self._models.get(workload)
        quiet = model.quiet if model else None
        judged = quiet.volumes.usual_levels if quiet else None
        if quiet and judged:
            calls = len(judged.beside)
            beside = np.concatenate([judged.beside, [calls, calls + 1]])
            levels = np.concatenate([judged.levels, _ANY_LEVEL, _NONE_AT_ALL])
            return _Block(quiet, beside, self._keep(levels), quiet.volumes.length)
        return _Block(None, np.zeros(1, np.intp), self._keep(_ANY_LEVEL), 0)

    def _keep(self, levels: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """Have usual levels put behind the others; where those of each cell begin."""
        first = len(self._usual) + sum(map(len, self._new))
        self._new.append(levels)
        return (first + np.arange(len(levels))) * LEVELS
