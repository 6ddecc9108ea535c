"""Groups whose cgroup is gone give back their numbers and their room in the tables.

The kernel's counts only grow, and readers subtract what they have seen; so a number may be given to
another cgroup, and a slot to another n-gram, only when no reader can take the new counts for the
old.  Three steps, each of which waits until every reader has read, and has taken what it read:

1. the group has ended: no more counts will come, but not all readers have the last ones;
2. all have: its counts are wiped from the tables;
3. all have read once more, so that none remembers the old counts: the number is free.

A step is stamped with the next *epoch*; a reader acknowledges the epoch that it found when it began
to read, when it has read and taken all.  Readers are the commands that run, and those that were
killed and left a position.  The state is in the kernel (``owners``), so that any command can go on
with what another, killed one began.
"""

import time

import numpy as np
import numpy.typing as npt

from baseline.kernel import layout
from baseline.kernel.agents import Agent, Role
from baseline.kernel.bpf_syscall import BpfMap
from baseline.kernel.loaded import Array, LoadedProgram
from baseline.kernel.position import positions
from baseline.kernel.program import MAX_GROUPS

_SETTLED = 0.1
"""Seconds after which no call is under way any more that began before a group ended."""

_BETWEEN_SWEEPS = 60.0

_MANY = MAX_GROUPS // 8


class Reclaimer:
    """Takes the steps for one loaded program, if no other command does.

    Args:
        program: the program.
    """

    def __init__(self, program: LoadedProgram) -> None:
        self._program = program
        self._owners = program.owners
        self._counters: Array = program.mapped("counters", layout.COUNTER, writable=True).reshape(
            program.counters.shape
        )
        self._stamped: dict[int, float] = {}
        self._must_sweep = False
        self._next_sweep = 0.0

    @property
    def is_urgent(self) -> bool:
        """Whether so many groups wait that numbers may run out if they are not read soon."""
        # The number that is given next tells whether any was given since we looked.
        if self._owners["state"][self._program.groups % MAX_GROUPS] != layout.GROUP_FREE:
            self._program.look_for_groups()
        return len(self._waiting()) > _MANY

    def advance(self, own_epoch: int) -> None:
        """Take the steps that are due.

        Args:
            own_epoch: what this command has acknowledged.
        """
        waiting = self._waiting()
        if not len(waiting) and not self._must_sweep:
            return
        role = Role("reclaiming")
        try:
            if role.held:
                self._advance(waiting, self._slowest_reader(own_epoch))
        finally:
            role.close()

    def _waiting(self) -> npt.NDArray[np.int64]:
        states = self._owners["state"][: self._program.groups]
        return np.flatnonzero((states != layout.GROUP_FREE) & (states != layout.GROUP_TRACKED))

    def _advance(self, waiting: npt.NDArray[np.int64], read_up_to: int) -> None:
        epochs = self._owners["epoch"][waiting]
        self._stamp(waiting[epochs == 0])
        now = time.monotonic()
        due = np.array(
            [
                number
                for number, epoch in zip(waiting.tolist(), epochs.tolist(), strict=True)
                if epoch
                and epoch <= read_up_to
                and now - self._stamped.setdefault(number, now) >= _SETTLED
            ],
            np.int64,
        )
        states = self._owners["state"][due]
        self._settle(due[states == layout.GROUP_TAKING])
        self._wipe(due[states == layout.GROUP_ENDED])
        self._free(due[states == layout.GROUP_WIPED])
        if self._must_sweep and now >= self._next_sweep:
            self._sweep_images()
            self._next_sweep = now + _BETWEEN_SWEEPS

    def _slowest_reader(self, own_epoch: int) -> int:
        serial = self._program.serial
        left = [p.epoch if p.serial == serial else 0 for p in positions(of_running=False)]
        return min([own_epoch, *Agent.epochs(), *left])

    def _stamp(self, numbers: npt.NDArray[np.int64]) -> None:
        if len(numbers):
            self._program.control["epoch"] += 1
            self._owners["epoch"][numbers] = self._program.epoch
            self._stamped.update(dict.fromkeys(numbers.tolist(), time.monotonic()))

    def _settle(self, numbers: npt.NDArray[np.int64]) -> None:
        """Finish what a command was killed in the middle of."""
        for number in numbers.tolist():
            cgroup = int(self._owners["cgroup"][number])
            tracked = self._program.maps["tracked"].lookup(cgroup.to_bytes(8, "little"))
            is_ours = tracked is not None and int.from_bytes(tracked, "little") == number
            if not is_ours:  # another number may be that cgroup's by now: nobody shall mix them up
                self._owners["cgroup"][number] = 0
                if tracked is None:
                    self._program.maps["cgroup_paths"].delete(cgroup.to_bytes(8, "little"))
            self._owners["epoch"][number] = 0
            self._owners["state"][number] = layout.GROUP_TRACKED if is_ours else layout.GROUP_ENDED
            self._stamped.pop(number, None)

    def _wipe(self, numbers: npt.NDArray[np.int64]) -> None:
        if not len(numbers):
            return
        cgroups = self._owners["cgroup"][numbers].tolist()
        self._owners["cgroup"][numbers] = 0  # first, so that readers look away
        self._clear(numbers)
        for cgroup in cgroups:
            path = self._program.maps["cgroup_paths"]
            tracked = self._program.maps["tracked"].lookup(cgroup.to_bytes(8, "little"))
            if tracked is None or int.from_bytes(tracked, "little") in numbers:
                path.delete(cgroup.to_bytes(8, "little"))
        self._owners["state"][numbers] = layout.GROUP_WIPED
        self._stamp(numbers)
        self._must_sweep = True

    def _free(self, numbers: npt.NDArray[np.int64]) -> None:
        if not len(numbers):
            return
        self._clear(numbers)  # what a process that was let go did last
        self._owners["epoch"][numbers] = 0
        self._owners["state"][numbers] = layout.GROUP_FREE
        for number in numbers.tolist():
            self._stamped.pop(number, None)
            self._program.maps["free_groups"].update(b"", number.to_bytes(4, "little"))

    def _clear(self, numbers: npt.NDArray[np.int64]) -> None:
        # Mapped for as long as it takes: the pages of a second mapping count as memory again.
        slots = self._program.mapped("slots", layout.SLOT, writable=True)
        group = slots["group_count"] >> np.uint64(layout.GROUP_SHIFT)
        slots["group_count"][np.isin(group, numbers.astype(np.uint64))] = 0
        self._counters[:, numbers] = 0
        for name, key in _HASHES_BY_KEY.items():
            _delete(self._program.maps[name], key, None, numbers)
        _delete(self._program.maps["processes"], None, layout.PROCESS, numbers)
        self._program.ledgers[numbers] = 0

    def _sweep_images(self) -> None:
        """Remove the names of programs that no lineage has any more."""
        # The names first: one that comes later belongs to a lineage that comes later, too.
        maps = self._program.maps
        names = [np.frombuffer(keys, "<u8").copy() for keys, _ in maps["images"].entries()]
        lineages = [
            np.frombuffer(keys, layout.EXECUTION_KEY)["lineage"].ravel()
            for keys, _ in maps["executions"].entries()
        ]
        lineages += [
            np.frombuffer(values, layout.PROCESS)["lineage"].ravel()
            for _, values in maps["processes"].entries()
        ]
        none = np.empty(0, np.uint64)
        used = np.unique(np.concatenate([none, *lineages]))
        for name in np.setdiff1d(np.concatenate([none, *names]), used).tolist():
            maps["images"].delete(name.to_bytes(8, "little"))
        self._must_sweep = False


_HASHES_BY_KEY = {
    "ngram_overflow": layout.NGRAM_KEY,
    "executions": layout.EXECUTION_KEY,
    "connections": layout.CONNECTION_KEY,
    "connection_overflow": layout.CONNECTION_KEY,
}
"""Hash map whose keys name the group -> dtype of a key."""


def _delete(
    table: BpfMap,
    key: np.dtype[np.void] | None,
    value: np.dtype[np.void] | None,
    numbers: npt.NDArray[np.int64],
) -> None:
    """Delete the entries of some groups, which the keys name, or else the values."""
    gone: list[bytes] = []
    for keys, values in table.entries():
        groups = np.frombuffer(keys, key)["group"] if key else np.frombuffer(values, value)["group"]
        size = table.key_size
        gone += [
            bytes(keys[index * size : (index + 1) * size])
            for index in np.flatnonzero(np.isin(groups, numbers)).tolist()
        ]
    for entry in gone:
        table.delete(entry)
