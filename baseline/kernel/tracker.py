"""Which cgroups are counted: those that match now, and those that will appear.

A selector with wildcards makes the folders above its matches *nurseries*: the kernel itself tracks
what is created in them, from the first system call on.  What then turns out not to match is let go
again, unless another running command wants it; what it counted by then, or counts for that command,
belongs to the nearest of ours above it.
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from baseline.kernel import layout
from baseline.kernel.agents import Agent
from baseline.kernel.groups import Group, Groups
from baseline.kernel.loaded import LoadedProgram
from baseline.kernel.position import wanted_globs
from baseline.kernel.seeding import seed
from baseline.workloads.cgroups import CgroupSelector, cgroup_id, first_match
from baseline.workloads.naming import workload_name

_BETWEEN_LOOKS = 10.0
"""Seconds from one look at all cgroups to the next, in case that the kernel has missed some."""


class Tracked(NamedTuple):
    """A cgroup that is counted for us.

    Attributes:
        workload: name of its workload.
        path: below the mount, as text; bytes that are no UTF-8 as backslash escapes.
        folder: the same as the file system has it.
        cgroup: its id.
    """

    workload: str
    path: str
    folder: Path
    cgroup: int


class Tracker:
    """Keeps the kernel's set of tracked cgroups in step with the selectors.

    Args:
        program: the loaded program.
        selectors: what to track.
        say: told in a sentence about what appears, ends, or cannot be tracked.

    Attributes:
        groups: group number -> its cgroup, ended ones too until forgotten.
        nested: number of a group that no selector means -> that of ours which it is nearest below.
    """

    def __init__(
        self,
        program: LoadedProgram,
        selectors: Sequence[CgroupSelector],
        say: Callable[[str], None],
    ) -> None:
        self._program = program
        self._nurseries = program.maps["nurseries"]
        self._all = Groups(program)
        self._selectors = selectors
        self._mount = selectors[0].mount
        self._say = say
        self._known: set[int] = set()  # ids of cgroups of ours
        # As the last look found it: ids of cgroups without a number, whether folders found no room.
        self._left_out: set[int] = set()
        self._crowded = False
        self._exhausted = 0
        self._was_crowded = False
        self._closed: set[Path] = set()
        self._must_look = True
        self._next_look = 0.0
        # The folders from which on downwards the kernel looks for us, each with its inode.
        self._bases: dict[str, int | None] = {
            str(self._mount.joinpath(*its.parts[: len(its.parts) - max(its.depth, 1)])): None
            for its in selectors
        }
        self.groups: dict[int, Tracked] = {}
        self.nested: dict[int, int] = {}
        self._unmeant: dict[int, Path] = {}  # groups that no selector means, each with its folder

    def whose(self, number: int) -> Tracked | None:
        """Which cgroup of ours the counts of a group belong to, if any."""
        return self.groups.get(self.nested.get(number, number))

    def refresh(self, *, at_once: bool = False) -> None:
        """Track what matches by now and the kernel did not by itself.

        Args:
            at_once: look at all cgroups now, because somebody meddles with the tracking.
        """
        if at_once or self._must_look or self._may_have_missed_some():
            self._look()
            self.notice()
        # The kernel counts those that appear, also if they are gone before we look.
        by_kernel = int(self._program.control["groups_exhausted"][0])
        exhausted = max(by_kernel, len(self._left_out))
        if exhausted > self._exhausted:
            self._exhausted = exhausted
            self._say(f"{exhausted} cgroups are not counted: all group numbers are taken")

    def _may_have_missed_some(self) -> bool:
        """Whether cgroups may have come that the kernel did not track by itself."""
        return (
            time.monotonic() >= self._next_look
            or int(self._program.control["groups_exhausted"][0]) > self._exhausted
            or any(inode_of(folder) != inode for folder, inode in self._bases.items())
        )

    def _look(self) -> None:
        """Look at all cgroups that match, as it takes where the kernel cannot see to it."""
        self._bases = {folder: inode_of(folder) for folder in self._bases}
        closed: set[Path] = set()
        self._left_out, self._crowded = set(), False
        for selector in self._selectors:
            self._watch_folders(selector)
            for path, cgroup in selector.existing_ids(closed).items():
                if cgroup in self._known:
                    continue
                with contextlib.suppress(FileNotFoundError):  # gone since it was listed
                    self._track(path)
        for folder in sorted(closed - self._closed):
            self._say(f"We may not look into {folder}: of it, only what appears is counted")
        self._closed |= closed
        self._next_look = time.monotonic() + _BETWEEN_LOOKS
        # Until it can: there is no room for nurseries or groups, or not yet the folder of them.
        self._must_look = self._crowded or bool(self._left_out) or None in self._bases.values()

    def notice(self, *, ended: bool = True) -> None:
        """Learn of cgroups that the kernel, or a command before us, tracked.

        Args:
            ended: also of those that have ended, and whose last counts are still there.
        """
        appeared = False
        for group in self._all.appeared():
            if group.state == layout.GROUP_ENDED and not ended:
                continue
            appeared = True
            folder = self._mount / group.path
            selector = first_match(self._selectors, group.path)
            if selector is not None:
                name = selector.name or workload_name(group.path)
                text = os.fsencode(group.path).decode(errors="backslashreplace")
                self._known.add(group.cgroup)
                self.groups[group.number] = Tracked(name, text, folder, group.cgroup)
                self._say(f"Counting {text} as {name}")
                continue
            self._unmeant[group.number] = folder
            if group.state == layout.GROUP_TRACKED and not _is_wanted(self._mount, group.path):
                self._all.let_go(group)
        if appeared:
            self._nest()

    def ended(self) -> list[int]:
        """Groups that we know whose cgroup is gone, or was let go: their counts are final."""
        ended = self._all.ended()
        known = (*self.groups, *self._unmeant) if ended else ()
        return [group for group in known if group in ended]

    def forget(self, groups: list[int]) -> None:
        """Stop reporting ended groups, after their last counts have been read."""
        for group in groups:
            if self._unmeant.pop(group, None):
                continue
            tracked = self.groups.pop(group)
            self._known.discard(tracked.cgroup)
            self._say(f"{tracked.path} has ended")
            self._must_look = True  # another command may have let go of it
        if groups:
            self._nest()

    def _nest(self) -> None:
        """Find where the counts of groups belong that no selector means.

        Once found it stays, because :attr:`baseline.interval.NgramEntries.places` promises it.
        """
        ours = {tracked.folder: number for number, tracked in self.groups.items()}
        nested: dict[int, int] = {}
        for number, folder in self._unmeant.items():
            above = self.nested.get(number)
            if above not in self.groups:
                above = next((ours[its] for its in folder.parents if its in ours), None)
            if above is not None:
                nested[number] = above
        self.nested = nested

    def _watch_folders(self, selector: CgroupSelector) -> None:
        """Make nurseries of the folders in which matching cgroups can appear.

        The parent of a cgroup without wildcards is one too: a service that restarts gets a new
        cgroup of the same name.
        """
        for levels in range(max(selector.depth, 1), 0, -1):
            above = CgroupSelector(self._mount, selector.parts[: len(selector.parts) - levels])
            for path in above.existing():
                with contextlib.suppress(FileNotFoundError):
                    self._watch_folder(_key(self._mount / path), 1 << levels - 1)

    def _watch_folder(self, key: bytes, level: int) -> None:
        levels = int.from_bytes(self._nurseries.lookup(key) or b"", "little")
        if levels & level:
            return
        try:
            self._nurseries.update(key, (levels | level).to_bytes(4, "little"))
        except OSError as error:
            if error.errno != errno.E2BIG:
                raise
            self._crowded = True
            if not self._was_crowded:
                self._was_crowded = True
                self._say("So many folders match that new cgroups are counted a little late")

    def _track(self, path: str) -> None:
        folder = self._mount / path
        cgroup = cgroup_id(folder)
        if cgroup in self._known or self._all.is_tracked(cgroup):
            return
        number = self._all.take(cgroup, Path(path))
        if number is None:
            self._left_out.add(cgroup)
            return
        if not _lives(folder, cgroup):  # it ended unnoticed, before the kernel knew its group
            self._all.let_go(Group(number, cgroup, path, layout.GROUP_TRACKED))
            return
        hidden = seed(self._program, folder, number)
        if hidden:
            self._say(
                f"what {hidden} of the processes in {folder.name} ran before we looked stays "
                "unknown: the right to see them is given up"
            )


def inode_of(path: str) -> int | None:
    """The number of a file or folder in its file system, which no other one has meanwhile."""
    # Asked for in each interval, so without a Path, which takes several times as long.
    try:
        return os.stat(path).st_ino  # noqa: PTH116
    except FileNotFoundError:
        return None


def _lives(folder: Path, cgroup: int) -> bool:
    try:
        return cgroup_id(folder) == cgroup
    except FileNotFoundError:
        return False


def _key(folder: Path) -> bytes:
    return cgroup_id(folder).to_bytes(8, "little")


def _is_wanted(mount: Path, path: str) -> bool:
    """Whether another command tracks this cgroup, or one that was killed and may come back."""
    globs = wanted_globs(Agent.others())
    return any(CgroupSelector.parse(glob, mount).matches(path) for glob in globs)
