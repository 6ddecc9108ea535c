"""Lineages of processes that ran before their cgroup was tracked, from /proc.

So a service need not be restarted to be learned, and what it executes next has the same lineage as
if it had been watched from its start.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from baseline.kernel import layout
from baseline.kernel.images import hash_image, running_image
from baseline.kernel.loaded import LoadedProgram
from baseline.workloads.cgroups import cgroup_id

_PROC = Path("/proc")

_PF_EXITING = 4  # of linux/sched.h


def seed(program: LoadedProgram, cgroup: Path, group: int) -> int:
    """Give every process that a cgroup counts for its lineage, unless it has one already.

    Returns:
        How many we may not look at: what they execute has a lineage without them.
    """
    seeder = _Seeder(program, group)
    before = -1
    # A process may start another while we read: read again until nothing is new.
    while len(seeder.lineages) != before:
        before = len(seeder.lineages)
        members = {
            int(line)
            for folder in _subtree(program, cgroup)
            for line in _lines(folder / "cgroup.procs")
        }
        for pid in sorted(members):
            seeder.lineage(pid, members)
    return seeder.hidden


def _subtree(program: LoadedProgram, cgroup: Path) -> Iterator[Path]:
    """The cgroup and those below it, but for what is tracked by itself."""
    for folder, below, _ in os.walk(cgroup):
        yield Path(folder)
        below[:] = [name for name in below if not _is_tracked(program, Path(folder, name))]


def _is_tracked(program: LoadedProgram, folder: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):  # the cgroup is gone
        key = cgroup_id(folder).to_bytes(8, "little")
        return program.maps["tracked"].lookup(key) is not None
    return False


def _lines(path: Path) -> list[str]:
    with contextlib.suppress(OSError):  # the cgroup is gone
        return path.read_text().split()
    return []


class _Seeder:
    def __init__(self, program: LoadedProgram, group: int) -> None:
        self._maps = program.maps
        self._ledger = program.ledgers[group : group + 1]
        self._image_seed = int(program.control["image_seed"][0])
        self._group = group
        self.lineages: dict[int, tuple[int, ...]] = {}
        self.hidden = 0

    def lineage(self, pid: int, members: set[int]) -> tuple[int, ...]:
        """Hashes of a process's images, newest first; its ancestors are seeded before it."""
        if pid in self.lineages:
            return self.lineages[pid]
        self.lineages[pid] = ()  # ends a loop of parents, which reused process ids could make
        try:
            status = _status(pid)
            parent = status.parent
            inherited = self.lineage(parent, members) if parent in members else ()
            image = running_image(_PROC / str(pid))
        except PermissionError:
            self.hidden += 1
            return ()
        except OSError:
            return ()  # it has ended
        image_hash = hash_image(image, self._image_seed)
        if inherited[:1] != (image_hash,):
            inherited = (image_hash, *inherited)[: layout.MAX_LINEAGE]
        self.lineages[pid] = inherited
        record = np.zeros((), layout.PROCESS)
        record["lineage"][: len(inherited)] = inherited
        record["group"] = self._group
        with self._no_room_counts_as("lineages_lost"):
            self._set(pid, status, record.tobytes())
        # After the lineage: a name that no lineage has may be swept away.
        images = self._maps["images"]
        if images.lookup(image_hash.to_bytes(8, "little")) is None:
            with self._no_room_counts_as("images_lost"):
                images.update(image_hash.to_bytes(8, "little"), image.tobytes())
        return inherited

    def _set(self, pid: int, status: "_Status", record: bytes) -> None:
        processes, key = self._maps["processes"], pid.to_bytes(4, "little")
        is_new = True
        try:
            processes.insert(key, record)
            self._ledger["processes"] += 1
        except FileExistsError:
            # What the kernel saw is better, unless it saw it for an outer or a former group.
            known = processes.lookup(key)
            if not known or np.frombuffer(known, layout.PROCESS)[0]["group"] == self._group:
                return
            processes.update(key, record)
            is_new = False
        # Who ended before that took nothing along, and the next of this id would inherit it.
        if not _still_runs(pid, status) and processes.delete(key):
            self._ledger["processes"] -= is_new

    @contextlib.contextmanager
    def _no_room_counts_as(self, counter: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno != errno.E2BIG:
                raise
            self._ledger[counter] += 1


class _Status(NamedTuple):
    """What tells a process from a later one of its id.

    Attributes:
        parent: its id.
        started: in ticks since the machine started.
        is_ending: it has begun to end.
    """

    parent: int
    started: int
    is_ending: bool


def _status(pid: int) -> _Status:
    """Of a process, see proc_pid_stat(5).

    Raises:
        OSError: there is none.
    """
    # The name may hold blanks and brackets; what follows its last bracket does not.
    fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    return _Status(int(fields[1]), int(fields[19]), bool(int(fields[6]) & _PF_EXITING))


def _still_runs(pid: int, status: _Status) -> bool:
    """Whether a process is the one that it was, and has not begun to end."""
    with contextlib.suppress(OSError):
        now = _status(pid)
        return now.started == status.started and not now.is_ending
    return False
