"""Which cgroups are counted: those that match now, and those that will appear.

A selector with wildcards makes the folders above its matches *nurseries*: the kernel itself tracks
what is created in them, from the first system call on.  What then turns out not to match is let go
again, unless another running command wants it.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from baseline.kernel import layout
from baseline.kernel.agents import Agent
from baseline.kernel.collector import Collector
from baseline.kernel.position import is_position_kept
from baseline.kernel.seeding import seed
from baseline.workloads.cgroups import CgroupSelector, cgroup_id, first_match
from baseline.workloads.naming import workload_name


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
        collector: the loaded program.
        selectors: what to track.
        say: told in a sentence about what appears, ends, or cannot be tracked.
        reads_on: this command reads on where a killed one stopped, if there is any; otherwise what
            that one counted stays tracked for the next that does.

    Attributes:
        groups: group number -> its cgroup, ended ones too until forgotten.
    """

    def __init__(
        self,
        collector: Collector,
        selectors: Sequence[CgroupSelector],
        say: Callable[[str], None],
        *,
        reads_on: bool = True,
    ) -> None:
        self._reads_on = reads_on
        self._maps = collector.maps
        self._collector = collector
        self._selectors = selectors
        self._mount = selectors[0].mount
        self._say = say
        self._known: set[int] = set()  # cgroup ids, also those of others
        self._left_out: set[int] = set()  # cgroup ids for which there is no group number
        self._exhausted = 0
        self._crowded = False
        self.groups: dict[int, Tracked] = {}

    def refresh(self) -> None:
        """Track what matches by now; take notice of what the kernel tracked by itself."""
        for selector in self._selectors:
            self._watch_folders(selector)
            for path in selector.existing():
                with contextlib.suppress(FileNotFoundError):  # gone since it was listed
                    self._track(path)
        self.notice()
        # The kernel counts those that appear, also if they are gone before we look.
        by_kernel = int(self._collector.control["groups_exhausted"][0])
        exhausted = max(by_kernel, len(self._left_out))
        if exhausted > self._exhausted:
            self._exhausted = exhausted
            self._say(f"{exhausted} cgroups are not counted: all group numbers are taken")

    def ended(self) -> list[int]:
        """Groups whose cgroup is gone, so that their counts are final."""
        return [group for group, tracked in self.groups.items() if self._is_gone(tracked)]

    def forget(self, groups: list[int]) -> None:
        """Stop reporting ended groups, after their last counts have been read."""
        # Another command may not have noticed it yet: then the last one to end takes it away.
        shared = bool(groups and (Agent.others() or self._is_left_to_another()))
        for group in groups:
            tracked = self.groups.pop(group)
            if not shared:
                key = tracked.cgroup.to_bytes(8, "little")
                self._maps["tracked"].delete(key)
                self._maps["cgroup_paths"].delete(key)
                self._known.discard(tracked.cgroup)
            self._say(f"{tracked.path} has ended")

    def _is_gone(self, tracked: Tracked) -> bool:
        try:  # a cgroup of the same path may have taken its place
            return cgroup_id(tracked.folder) != tracked.cgroup
        except FileNotFoundError:
            return True

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
        nurseries = self._maps["nurseries"]
        levels = int.from_bytes(nurseries.lookup(key) or b"", "little")
        if levels & level:
            return
        try:
            nurseries.update(key, (levels | level).to_bytes(4, "little"))
        except OSError as error:
            if error.errno != errno.E2BIG:
                raise
            if not self._crowded:
                self._crowded = True
                self._say("So many folders match that new cgroups are counted a little late")

    def _track(self, path: str) -> None:
        folder = self._mount / path
        key = _key(folder)
        if int.from_bytes(key, "little") in self._known:
            return
        group = self._maps["tracked"].lookup(key) or self._take_group(key, folder)
        if group is not None:
            self._adopt(key, group, path)

    def _take_group(self, key: bytes, folder: Path) -> bytes | None:
        """Give a cgroup a group of its own; ``None`` where no number is left."""
        group = self._maps["free_groups"].pop()
        if group is None:
            self._left_out.add(int.from_bytes(key, "little"))
            return None
        try:
            self._maps["tracked"].insert(key, group)
        except FileExistsError:  # the kernel or another command was faster
            self._maps["free_groups"].update(b"", group)
            return self._maps["tracked"].lookup(key)
        # For commands that start after this one, when the cgroup may be gone.
        path = os.fsencode(folder.relative_to(self._mount))
        self._maps["cgroup_paths"].update(key, b"/" + path[: layout.CGROUP_PATH_SIZE - 2])
        self._renew()
        seed(self._collector, folder, int.from_bytes(group, "little"))
        return group

    def notice(self) -> None:
        """Learn of cgroups that the kernel, or a command before us, tracked."""
        for keys, groups in self._maps["tracked"].entries():
            size = 8
            for index, group in enumerate(np.frombuffer(groups, "<u4").tolist()):
                key = bytes(keys[index * size : (index + 1) * size])
                if int.from_bytes(key, "little") in self._known:
                    continue
                record = self._maps["cgroup_paths"].lookup(key)
                if record is None:
                    continue  # another command is about to name it
                path = os.fsdecode(record.split(b"\0")[0]).lstrip("/")
                self._adopt(key, group.to_bytes(4, "little"), path)
                wanted = self._is_left_to_another() or _wanted_by_another(self._mount, path)
                if group not in self.groups and not wanted:
                    self._maps["tracked"].delete(key)
                    self._maps["cgroup_paths"].delete(key)
                    self._renew()

    def _is_left_to_another(self) -> bool:
        return not self._reads_on and is_position_kept()

    def _adopt(self, key: bytes, group: bytes, path: str) -> None:
        cgroup = int.from_bytes(key, "little")
        self._known.add(cgroup)
        selector = first_match(self._selectors, path)
        if selector is not None:
            name = selector.name or workload_name(path)
            text = os.fsencode(path).decode(errors="backslashreplace")
            number = int.from_bytes(group, "little")
            self.groups[number] = Tracked(name, text, self._mount / path, cgroup)
            self._say(f"Counting {text} as {name}")

    def _renew(self) -> None:
        """Make tasks that run already look their group up again."""
        self._collector.control["generation"] += 1


def _key(folder: Path) -> bytes:
    return cgroup_id(folder).to_bytes(8, "little")


def _wanted_by_another(mount: Path, path: str) -> bool:
    return any(
        CgroupSelector.parse(glob, mount).matches(path)
        for globs in Agent.others().values()
        for glob in globs
    )
