"""Windows from the tables of one loaded program."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from baseline.kernel.decoding import decode_connection, decode_execution
from baseline.kernel.images import Images
from baseline.kernel.loaded import LoadedProgram
from baseline.kernel.position import Position
from baseline.kernel.tables import GroupCounts, Tables
from baseline.kernel.tracker import Tracked, Tracker
from baseline.window import Connection, Execution, Tally, Window
from baseline.workloads.cgroups import CgroupSelector


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

    def windows(self, seconds: float) -> list[Window]:
        """What every cgroup did since the last reading, which was so many seconds ago."""
        end = time.time_ns()
        ended = self.tracker.ended()
        changes = self.tables.read()
        self.tracker.notice()
        windows = [
            self._window(tracked, changes.get(group, GroupCounts()), end, int(seconds * 1e9))
            for group, tracked in sorted(self.tracker.groups.items())
        ]
        self.tracker.forget(ended)
        return windows

    def gap_since(self, position: Position) -> list[Window]:
        """What was counted since a reader stopped, also where it ended since.

        Of this program, or of one that it took over from: then all that it counted.
        """
        if position.serial == self._serial:
            self.tables.go_to(position.arrays)
        self.tracker.notice()
        return self.windows(time.monotonic() - position.time)

    def _window(self, tracked: Tracked, counts: GroupCounts, end: int, length: int) -> Window:
        # Different keys may mean one item: an IPv4 peer comes as either family.
        executions: Counter[Execution] = Counter()
        for key, count in counts.executions:
            executions[decode_execution(key, self.images)] += count
        connections: Counter[Connection] = Counter()
        for key, count in counts.connections:
            connections[decode_connection(key)] += count
        return Window(
            workload=tracked.workload,
            replica=tracked.path,
            start=end - length,
            end=end,
            observed=length,
            ngrams=counts.ngrams,
            executions=executions,
            connections=connections,
            ledger=counts.ledger if self._first_sights else replace(counts.ledger, events=Tally()),
        )
