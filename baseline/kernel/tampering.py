"""Whether somebody changes the program's links, pins and tables while a command counts with them.

Only root can.  A count that is changed makes the ledger of its window not add up
(``baseline.kernel.accounts``), and the maps and links that a command holds open stay alive without
their pins; what is left to an attacker is looked at once in an interval.  What can be put back is
put back, and everything is told.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from baseline.interference import Interference
from baseline.kernel import layout
from baseline.kernel.bpf_syscall import BpfMap, link_info
from baseline.kernel.collector import Collector
from baseline.kernel.program import CGROUP_HOOKS, COUNTING_PIN, LINK_PREFIX, MAPS, possible_cpus
from baseline.kernel.tracker import Tracked, Tracker, inode_of
from baseline.workloads.cgroups import cgroup_id

_NAMED = 3

_COARSE = 10**9
"""Nanoseconds, more than the clock of any file system takes from one tick to the next."""

_FOR_EVER = {"image_seed", "serial"}

_FIELDS = layout.LEDGER.names or ()
_UNCONFIRMED = slice(_FIELDS.index("events"), _FIELDS.index("images_lost") + 1)
"""What a ledger says of first sights and shortages; all else of it has to agree with the tables."""

_START_AGAIN = "run `baseline unload` and start again"


class Tampering:
    """Looks whether all is as it was when the command began.

    Args:
        collector: the loaded program.
        tracker: what has to be tracked.
        say: told in a sentence.
    """

    def __init__(self, collector: Collector, tracker: Tracker, say: Callable[[str], None]) -> None:
        self._collector = collector
        self._tracker = tracker
        self._say = say
        # Links of raw tracepoints can neither be detached nor be given another program
        # (bpf_raw_tp_link_lops in kernel/bpf/syscall.c).
        self._links = {name: collector.links[name] for name in CGROUP_HOOKS}
        self._programs = {name: link_info(held).program for name, held in self._links.items()}
        own = [*MAPS, *(LINK_PREFIX + name for name in collector.links)]
        pins = [COUNTING_PIN, *(collector.pin / name for name in own)]
        self._pins = {str(pin): inode_of(str(pin)) for pin in pins}
        self._folders: list[_FolderState | None] = []
        self._counting = BpfMap.open(COUNTING_PIN)
        self._serial = collector.serial.to_bytes(8, "little")
        self._cpus = {cpu: cpu.to_bytes(4, "little") for cpu in range(possible_cpus())}
        self._control = collector.control.copy()
        self._ledgers = collector.ledgers.view("<i8").reshape(len(collector.ledgers), -1)
        self._losses = self._ledgers[:0, _UNCONFIRMED].copy()  # of the groups so far
        self._groups: dict[int, Tracked] = {}
        self._numbers = np.empty(0, np.int64)  # of these groups
        self._cgroups = np.empty(0, np.uint64)  # and their ids
        self._parents: set[Path] = set()  # their folders' own
        self._seen: dict[str, tuple[bytes, bytes]] = {}  # of maps, keys and values
        self._named: set[int] = set()  # cgroup ids, as in what follows
        self._unnamed: set[int] = set()
        self._nurseries: set[int] = set()
        self._told: set[str] = set()

    def check(self) -> list[Interference]:
        """What somebody changed since the last check, said as well.

        To be called before the tracker's next ``refresh``, which puts back what it misses.
        """
        before, self._groups = self._groups, dict(self._tracker.groups)
        are_same = self._groups == before
        if not are_same:
            self._numbers = np.array(list(self._groups), np.int64)
            self._cgroups = np.array([its.cgroup for its in self._groups.values()], np.uint64)
            self._parents = {its.folder.parent for its in self._groups.values()}
        found = [
            *self._changed_links(),
            *self._changed_pins(),
            *self._stopped_processors(),
            *self._changed_control(),
            *self._lowered_losses(),
            *self._changed_owners(before),
        ]
        if self._has_changed("tracked") or not are_same or self._unnamed:
            found += self._changed_tracking()
        if self._has_changed("nurseries") or not are_same:
            found += self._lost_nurseries()
        for what in found:
            self._say(f"Warning: {what}")
        return [Interference(time.time_ns(), what) for what in found]

    def close(self) -> None:
        """Look no more."""
        self._counting.close()

    def _once(self, what: str, names: Iterable[str]) -> list[str]:
        """Those names for which this was not told yet."""
        new = [name for name in names if f"{what} {name}" not in self._told]
        self._told.update(f"{what} {name}" for name in new)
        return new

    def _changed_links(self) -> Iterable[str]:
        now = {name: link_info(held) for name, held in self._links.items()}
        detached = [name for name, link in now.items() if not link.cgroup]
        if names := self._once("detached", detached):
            yield (
                f"Somebody detached {_listed(names)}: what the hook counts is missing from now on; "
                f"{_START_AGAIN}"
            )
        exchanged = [n for n, link in now.items() if link.program != self._programs[n]]
        if names := self._once("exchanged", exchanged):
            yield (
                f"Somebody put another program in the place of {_listed(names)}: what the hook "
                f"counts is missing from now on; {_START_AGAIN}"
            )

    def _changed_pins(self) -> Iterable[str]:
        folder = self._collector.pin
        before = self._folders
        self._folders = [_folder_state(path) for path in (str(folder), str(COUNTING_PIN.parent))]
        if self._folders == before and all(state and state.has_settled for state in before):
            return
        # A pin has an inode of its own: one that was replaced has another.
        changed = [Path(pin).name for pin, inode in self._pins.items() if inode_of(pin) != inode]
        if names := self._once("pin", changed):
            yield (
                f"Somebody removed or replaced pins in {folder} ({_listed(names)}), perhaps by "
                "`baseline unload`: this command counts on, but no other can take over from it"
            )

    def _stopped_processors(self) -> Iterable[str]:
        """Processors on which the program was told that another version counts."""
        # No other version begins while we run (baseline.kernel.succession).
        if self._counting.contents()[1] == self._serial * len(self._cpus):
            return
        lookup = self._counting.lookup
        stopped = [cpu for cpu, key in self._cpus.items() if lookup(key) != self._serial]
        for cpu in stopped:
            self._counting.update(self._cpus[cpu], self._serial)
        if stopped:
            yield (
                f"Somebody stopped the counting on processor {_listed(map(str, stopped))}: it goes "
                "on, what was done meanwhile is missing"
            )

    def _changed_control(self) -> Iterable[str]:
        """The one record that user space writes: what names it is for ever, all else only grows."""
        before, self._control = self._control, self._collector.control.copy()
        if before.tobytes() == self._control.tobytes():
            return
        wrong = [
            name
            for name in self._control.dtype.names or ()
            for old, new in [(before[name][0], self._control[name][0])]
            if (new != old if name in _FOR_EVER else new < old)
        ]
        if wrong:
            yield (
                f"Somebody changed the program's control record ({_listed(wrong)}): programs and "
                f"losses may be misnamed; {_START_AGAIN}"
            )

    def _lowered_losses(self) -> Iterable[str]:
        """Ledgers that say that less was lost than before, of groups that live: they only grow."""
        before = self._losses
        now = self._losses = self._ledgers[: self._collector.groups, _UNCONFIRMED].copy()
        lowered = now[: len(before)] < before
        if not lowered.any():
            return
        owners = map(self._tracker.whose, np.flatnonzero(lowered.any(axis=1)).tolist())
        if paths := [its.path for its in owners if its]:
            yield (
                f"Somebody lowered the counts of what was lost of {_listed(paths)}: lost first "
                "sights and names may be missing from its ledger"
            )

    def _changed_owners(self, before: Mapping[int, Tracked]) -> Iterable[str]:
        """Groups that are said to have ended, or to be another's, while their cgroup lives."""
        owners = self._collector.owners
        forgotten = [
            its for group, its in before.items() if self._groups.get(group) != its and _lives(its)
        ]
        for its in forgotten:  # the tracker has let go of it, and will give it another group
            self._collector.maps["tracked"].delete(_key(its.cgroup))
        now = owners[self._numbers]
        others = (now["state"] != layout.GROUP_TRACKED) | (now["cgroup"] != self._cgroups)
        wrong = [
            (group, its)
            for group in self._numbers[others].tolist()
            for its in [self._groups[group]]
            if _lives(its)
        ]
        for group, its in wrong:
            owners[group] = (its.cgroup, layout.GROUP_TRACKED, 0, 0)
        if paths := [*(its.path for its in forgotten), *(its.path for _, its in wrong)]:
            self._renew()
            yield (
                f"Somebody had the kernel believe that {_listed(paths)} ended: counted on, what "
                "was done meanwhile may be missing"
            )

    def _changed_tracking(self) -> Iterable[str]:
        """Cgroups that are counted no longer, for another group or for nobody: put right."""
        tracked, paths = self._collector.maps["tracked"], self._collector.maps["cgroup_paths"]
        keys, groups = self._seen["tracked"]
        cgroups, numbers = np.frombuffer(keys, "<u8"), np.frombuffer(groups, "<u4")
        held = dict(zip(cgroups.tolist(), numbers.tolist(), strict=True))
        lost = [
            (group, its)
            for group, its in self._tracker.groups.items()
            if held.get(its.cgroup) != group and _lives(its)
        ]
        for group, its in lost:
            tracked.update(_key(its.cgroup), group.to_bytes(4, "little"))
        # A command names what it tracks at once, and the kernel before: whom nobody has named by
        # the next check was put there to be counted apart, out of sight.
        unnamed = {c for c in held.keys() - self._named if paths.lookup(_key(c)) is None}
        hidden = unnamed & self._unnamed
        for cgroup in hidden:
            tracked.delete(_key(cgroup))
        self._named = held.keys() - unnamed
        self._unnamed = unnamed - hidden
        if lost or hidden:
            self._renew()
        if lost:
            yield (
                f"Somebody made the kernel let go of {_listed([its.path for _, its in lost])}: "
                "counted again, what was done meanwhile may be missing"
            )
        if hidden:
            yield (
                f"Somebody had the kernel count cgroups for nobody ({_listed(map(str, hidden))}): "
                "counted where they belong, what was done meanwhile is missing"
            )
        shared = len(held) - len(set(held.values()))
        if self._once("shared", [str(shared)] * bool(shared)):
            yield (
                f"Somebody had the kernel count {shared} cgroups for the groups of others: "
                f"workloads are mixed up; {_START_AGAIN}"
            )

    def _has_changed(self, name: str) -> bool:
        """Whether a map has other contents than at the last check."""
        before = self._seen.get(name)
        self._seen[name] = self._collector.maps[name].contents()
        return self._seen[name] != before

    def _renew(self) -> None:
        """Make tasks that run already look their group up again."""
        self._collector.control["generation"] += 1

    def _lost_nurseries(self) -> Iterable[str]:
        """Folders of counted cgroups in which the kernel no longer looks for new ones."""
        nurseries = self._collector.maps["nurseries"]
        parents: dict[int, Path] = {}
        for folder in self._parents:
            with suppress(FileNotFoundError):
                parents[cgroup_id(folder)] = folder
        watched = {
            cgroup
            for cgroup in parents
            if int.from_bytes(nurseries.lookup(_key(cgroup)) or b"", "little") & 1
        }
        lost = [str(parents[c]) for c in self._nurseries - watched if c in parents]
        self._nurseries = watched
        if lost:
            yield (
                f"Somebody made the kernel blind to new cgroups in {_listed(lost)}: watched again, "
                "those of the meantime are counted a little late"
            )


class _FolderState(NamedTuple):
    """What changes whenever something is put into a folder, or taken away.

    Attributes:
        device, inode: which folder it is.
        changed: when it was changed last, in nanoseconds since the epoch; nobody can set that.
        has_settled: so long ago that one more change has another time: clocks of files are coarse.
    """

    device: int
    inode: int
    changed: int
    has_settled: bool


def _folder_state(folder: str) -> _FolderState | None:
    try:
        its = os.stat(folder)  # noqa: PTH116 - a Path takes several times as long
    except FileNotFoundError:
        return None
    has_settled = not 0 <= time.time_ns() - its.st_ctime_ns < _COARSE
    return _FolderState(its.st_dev, its.st_ino, its.st_ctime_ns, has_settled)


def _key(cgroup: int) -> bytes:
    return cgroup.to_bytes(8, "little")


def _lives(tracked: Tracked) -> bool:
    with suppress(FileNotFoundError):
        return cgroup_id(tracked.folder) == tracked.cgroup
    return False


def _listed(names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - _NAMED} more" * (len(names) > _NAMED)
    return ", ".join(names[:_NAMED]) + more
