"""The groups that a program counts by: giving a cgroup one, and letting it go.

Each step is one that the kernel, or another command, may take at the same time.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from baseline.kernel import layout
from baseline.kernel.loaded import LoadedProgram


class Group(NamedTuple):
    """A cgroup that has a group.

    Attributes:
        number: of the group.
        cgroup: id of the cgroup.
        path: below the mount, as the file system has it.
        state: ``layout.GROUP_TRACKED`` or ``layout.GROUP_ENDED``.
    """

    number: int
    cgroup: int
    path: str
    state: int


class Groups:
    """The groups of one loaded program."""

    def __init__(self, program: LoadedProgram) -> None:
        self._program = program
        self._maps = program.maps
        self._seen = np.zeros(len(program.owners), np.uint64)

    def appeared(self) -> Iterator[Group]:
        """Those that have come since the last call, whoever gave them their number."""
        used = self._program.look_for_groups()
        cgroups = self._program.owners["cgroup"][:used]
        # A number that was given back has none, until it is given out again.
        others = np.flatnonzero((cgroups != self._seen[:used]) & (cgroups != 0))
        owners = self._program.owners[others]
        for number, cgroup, state in zip(
            others.tolist(), owners["cgroup"].tolist(), owners["state"].tolist(), strict=True
        ):
            if state not in {layout.GROUP_TRACKED, layout.GROUP_ENDED}:
                continue
            path = self._maps["cgroup_paths"].lookup(_key(cgroup))
            if path is not None:
                self._seen[number] = cgroup
                text = os.fsdecode(path.split(b"\0")[0]).lstrip("/")
                yield Group(number, cgroup, text, state)

    def ended(self) -> set[int]:
        """Numbers of the groups of which no more counts will come, whoever has them by now."""
        used = self._program.groups
        owners, seen = self._program.owners[:used], self._seen[:used]
        # Another command may wipe a group as soon as we have read it, be it for the first time.
        are_wiped = (seen != 0) & (owners["cgroup"] != seen)
        seen[are_wiped] = 0
        return set(np.flatnonzero(are_wiped | (owners["state"] == layout.GROUP_ENDED)).tolist())

    def is_tracked(self, cgroup: int) -> bool:
        """Whether a cgroup has a group."""
        return self._maps["tracked"].lookup(_key(cgroup)) is not None

    def take(self, cgroup: int, path: Path) -> int | None:
        """Give a cgroup a group of its own, unless it has one.

        Args:
            cgroup: its id.
            path: below the mount.

        Returns:
            The group's number; ``None`` where no number is left.
        """
        known = self._maps["tracked"].lookup(_key(cgroup))
        if known is not None:
            return int.from_bytes(known, "little")
        popped = self._maps["free_groups"].pop()
        if popped is None:
            return None
        number = int.from_bytes(popped, "little")
        name = b"/" + os.fsencode(path)[: layout.CGROUP_PATH_SIZE - 2]
        self._maps["cgroup_paths"].update(_key(cgroup), name)
        owner = self._program.owners[number : number + 1]
        owner["cgroup"] = cgroup
        owner["state"] = layout.GROUP_TAKING
        try:
            self._maps["tracked"].insert(_key(cgroup), popped)
        except FileExistsError:  # the kernel or another command was faster
            owner["state"] = layout.GROUP_FREE
            owner["cgroup"] = 0
            self._maps["free_groups"].update(b"", popped)
            return self.take(cgroup, path)
        owner["state"] = layout.GROUP_TRACKED
        self.renew()
        return number

    def let_go(self, group: Group) -> None:
        """Count a cgroup no more."""
        self._maps["tracked"].delete(_key(group.cgroup))
        owner = self._program.owners[group.number : group.number + 1]
        owner["epoch"] = 0  # readers have to see the end, whatever they waited for before
        owner["state"] = layout.GROUP_ENDED
        self.renew()

    def renew(self) -> None:
        """Make tasks that run already look their group up again."""
        self._program.control["generation"] += 1


def _key(cgroup: int) -> bytes:
    return cgroup.to_bytes(8, "little")
