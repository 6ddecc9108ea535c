"""Windows from the tables of one loaded program."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from baseline.interval import Interval, NgramEntries, Others, Replica
from baseline.kernel.decoding import decode_connection, decode_execution
from baseline.kernel.images import Images
from baseline.kernel.loaded import LoadedProgram
from baseline.kernel.position import Position
from baseline.kernel.program import MAX_GROUPS
from baseline.kernel.tables import Changes, Tables
from baseline.kernel.tracker import Tracked, Tracker
from baseline.window import Window
from baseline.workloads.cgroups import CgroupSelector

_NO_ROW = -1


class Reading:
    """A reader of one program: which cgroups it reports, and how far it has read.

    Args:
        program: the loaded program.
        selectors: which cgroups.
        say: told in a sentence about what a user should know.
        first_sights: whether they are taken, too; what becomes of them is no loss to others.

    Attributes:
        tracker: the cgroups.
        tables: the counts; a new reading has read nothing.
        images: names of programs.
    """

    def __init__(
        self,
        program: LoadedProgram,
        selectors: Sequence[CgroupSelector],
        say: Callable[[str], None],
        *,
        first_sights: bool = False,
    ) -> None:
        self.tracker = Tracker(program, selectors, say)
        self.tables = Tables(program)
        self._serial = program.serial
        self._first_sights = first_sights
        self.images = Images(program.maps["images"], int(program.control["image_seed"][0]))
        self._tracked: list[tuple[int, Tracked]] = []
        self._nested: dict[int, int] = {}
        self._replicas: tuple[Replica, ...] = ()
        self._groups = np.empty(0, np.int64)  # that have a row
        self._rows = np.full(MAX_GROUPS, _NO_ROW)

    def interval(self, seconds: float) -> Interval:
        """What every cgroup did since the last reading, which was so many seconds ago."""
        end = time.time_ns()
        ended = self.tracker.ended()
        changes = self.tables.read()
        self.tracker.notice()
        self._arrange()
        tallies = np.zeros((len(self._replicas), *changes.tallies.shape[1:]), np.int64)
        read = self._groups[self._groups < len(changes.tallies)]
        np.add.at(tallies, self._rows[read], changes.tallies[read])
        if not self._first_sights:
            tallies[:, -1] = 0
        interval = Interval(
            self._replicas,
            end,
            int(seconds * 1e9),
            self._ngrams(changes),
            self._others(changes),
            tallies,
        )
        self.tracker.forget(ended)
        return interval

    def gap_since(self, position: Position) -> list[Window]:
        """What was counted since a reader stopped, also where it ended since.

        Of this program, or of one that it took over from: then all that it counted.
        """
        if position.serial == self._serial:
            self.tables.go_to(position.arrays)
        self.tracker.notice()
        return list(self.interval(time.monotonic() - position.time).windows())

    def _arrange(self) -> None:
        """Give each group that is ours a row, in which those nested below it are counted, too."""
        tracked, nested = sorted(self.tracker.groups.items()), self.tracker.nested
        if (tracked, nested) != (self._tracked, self._nested):
            self._tracked, self._nested = tracked, nested
            self._replicas = tuple(Replica(its.workload, its.path) for _, its in tracked)
            ours = [group for group, _ in tracked]
            self._groups = np.array([*ours, *nested], np.int64)
            self._rows[:] = _NO_ROW
            self._rows[ours] = np.arange(len(ours))
            self._rows[list(nested)] = self._rows[list(nested.values())]

    def _ngrams(self, changes: Changes) -> NgramEntries:
        slots, overflow = changes.slots, changes.overflow
        rows, ngrams, counts, places = slots.groups, slots.ngrams, slots.counts, slots.slots
        rows = self._rows[rows]
        if (rows == _NO_ROW).any():
            ours = rows != _NO_ROW
            rows, ngrams, counts, places = (part[ours] for part in (rows, ngrams, counts, places))
        if len(overflow.counts):
            others = self._rows[overflow.groups]
            ours = others != _NO_ROW
            rows = np.concatenate([rows, others[ours]])
            ngrams = np.concatenate([ngrams, overflow.keys["ngram"][ours]])
            counts = np.concatenate([counts, overflow.counts[ours]])
        return NgramEntries(rows, ngrams, counts, places, slots.renewed)

    def _others(self, changes: Changes) -> dict[int, Others]:
        # Different keys may mean one item: an IPv4 peer comes as either family.
        found: defaultdict[int, Others] = defaultdict(Others)
        for group, key, count in changes.executions.entries():
            if (row := int(self._rows[group])) != _NO_ROW:
                found[row].executions[decode_execution(key, self.images)] += count
        for growth in (changes.connections, changes.folded):
            for group, key, count in growth.entries():
                if (row := int(self._rows[group])) != _NO_ROW:
                    found[row].connections[decode_connection(key)] += count
        return dict(found)
