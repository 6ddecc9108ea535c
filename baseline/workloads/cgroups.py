"""Control groups, and the selectors by which users choose them.

Paths of cgroups are text relative to the cgroup2 mount, without a leading slash:
``system.slice/nginx.service``.  Only cgroup2 is looked at; where the older hierarchies are mounted
too, every process still has its place in the cgroup2 one.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from baseline.errors import KernelError, UsageError

MOUNTS = Path("/proc/mounts")
NAME_LENGTH = 128

_NAME_MAX = 255  # of Linux

_NAME = re.compile(r"[A-Za-z0-9][\w.@:-]*(/[\w.@:-]+)*", re.ASCII)
_WILDCARD = re.compile(r"[*?\[]")
_BRACKETS = re.compile(r"\[!?.[^]]*\]")


def cgroup2_mount(mounts: Path = MOUNTS) -> Path:
    """Folder at which the cgroup2 file system is mounted (the first, if there are several).

    ``/sys/fs/cgroup`` on most machines, ``/sys/fs/cgroup/unified`` beside the older hierarchies.

    Args:
        mounts: table of mounts in the format of ``/proc/mounts``, see proc(5) and fstab(5).

    Raises:
        KernelError: there is none.
    """
    # Bytes, because names may hold what text takes for the end of a line.
    for line in mounts.read_bytes().split(b"\n"):
        fields = line.split(b" ")
        if len(fields) > 2 and fields[2] == b"cgroup2":
            # Blanks and backslashes are written as three octal digits.
            folder = re.sub(rb"\\([0-3][0-7]{2})", lambda m: bytes([int(m[1], 8)]), fields[1])
            return Path(os.fsdecode(folder))
    raise KernelError(
        "cgroup2 is not mounted",
        "Mount it: mount -t cgroup2 none /sys/fs/cgroup/unified (create that folder first)",
    )


def cgroup_id(folder: Path) -> int:
    """The kernel's number of a cgroup: the inode number of its folder (kernfs, 64-bit).

    Raises:
        FileNotFoundError: the cgroup is gone.
    """
    return folder.stat().st_ino


@dataclass(frozen=True)
class CgroupSelector:
    """One ``--cgroup``: which cgroups are meant, and the name of their workload if one is given.

    Attributes:
        mount: where cgroup2 is mounted.
        parts: the names along the path, each literal or a glob of its own; a wildcard never
            stands for a slash.
        name: workload name the user gave; ``None`` leaves it to
            :func:`baseline.workloads.naming.workload_name`.
    """

    mount: Path
    parts: tuple[str, ...]
    name: str | None = None

    @classmethod
    def parse(cls, text: str, mount: Path) -> "CgroupSelector":
        """Read ``[NAME=]PATH``, where PATH may hold the wildcards ``*``, ``?`` and ``[...]``.

        PATH is taken below the mount, with or without a leading slash; the full path of a folder
        below the mount means the same.  Text that starts with a slash has no NAME, so that a
        cgroup with ``=`` in its name can be meant.

        Raises:
            UsageError: it cannot be meant.
        """
        name: str | None = None
        path = text
        if not text.startswith("/") and "=" in text:
            name, path = text.split("=", 1)
            if not _NAME.fullmatch(name) or len(name) > NAME_LENGTH:
                raise UsageError(
                    f"{name!r} in --cgroup {text!r} is no name for a workload",
                    f"Use up to {NAME_LENGTH} letters, digits and . _ @ : - / (to mean a cgroup "
                    "with = in its name, start the path with a slash)",
                )
        return cls(mount, _parts(path, text, mount), name)

    def __str__(self) -> str:
        path = "/".join(self.parts)
        return f"{self.name}={path}" if self.name else path

    @property
    def base(self) -> str:
        """Path of the folder that every matching cgroup is, or is below: no wildcard in it.

        A selector without wildcards is its own base; ``*/web`` has the mount itself, ``""``.
        """
        return "/".join(self.parts[: len(self.parts) - self.depth])

    @property
    def depth(self) -> int:
        """Levels below ``base`` at which the matching cgroups lie; 0 without wildcards."""
        for position, part in enumerate(self.parts):
            if _WILDCARD.search(part):
                return len(self.parts) - position
        return 0

    def matches(self, path: str) -> bool:
        """Whether this cgroup (not one below it) is meant."""
        names = path.strip("/").split("/")
        return len(names) == len(self.parts) and all(map(fnmatchcase, names, self.parts))

    def existing(self, closed: set[Path] | None = None) -> list[str]:
        """Paths of the cgroups that match now, sorted.

        Args:
            closed: takes the folders that we may not look into; what is in them is left out.
        """
        return list(self.existing_ids(closed))

    def existing_ids(self, closed: set[Path] | None = None) -> dict[str, int]:
        """The same, each with its id: whoever lists a folder need not ask for them one by one."""
        found = {"": 0}
        for part in self.parts:
            found = {
                f"{parent}/{name}".lstrip("/"): number
                for parent in found
                for name, number in _children(self.mount / parent, part, closed)
            }
        return dict(sorted(found.items()))


def first_match(selectors: Sequence[CgroupSelector], path: str) -> CgroupSelector | None:
    """The selector that a cgroup belongs to: of several that match, the one given first."""
    return next((s for s in selectors if s.matches(path)), None)


def _parts(path: str, text: str, mount: Path) -> tuple[str, ...]:
    """The names along a path as the user wrote it, checked."""
    way_out = "Give a path below the cgroup2 mount such as system.slice/nginx.service or 'demo/*'"
    below = path
    if path.startswith(f"{mount}/") or path == str(mount):
        below = path.removeprefix(str(mount))
    elif path.startswith("/sys/"):
        raise UsageError(
            f"--cgroup {text!r} is not below {mount}, where cgroup2 is mounted", way_out
        )
    parts = tuple(part for part in below.split("/") if part)
    if not parts:
        whole = "the whole machine, not a workload" if path else "empty"
        raise UsageError(f"--cgroup {text!r} is {whole}", way_out)
    for part in parts:
        if part in {".", ".."}:
            raise UsageError(f"--cgroup {text!r} has {part!r} in its path", way_out)
        if "**" in part:
            raise UsageError(
                f"--cgroup {text!r} has '**'", "Write one * for each level, as in 'demo/*/*'"
            )
        if "[" in _BRACKETS.sub("", part):
            raise UsageError(f"--cgroup {text!r} has a [ without its ]", "Close the bracket")
        if not _WILDCARD.search(part) and len(part.encode(errors="replace")) > _NAME_MAX:
            raise UsageError(f"--cgroup {text!r:.99} has a name that is too long", way_out)
        if "\0" in part or "\n" in part:
            raise UsageError(f"--cgroup {text!r} has a character no cgroup has", way_out)
    return parts


def _children(folder: Path, part: str, closed: set[Path] | None) -> list[tuple[str, int]]:
    """Names and ids of the child cgroups of a folder that match one part of a selector."""
    try:
        if not _WILDCARD.search(part):
            child = folder / part
            return [(part, cgroup_id(child))] if child.is_dir() else []
        with os.scandir(folder) as entries:
            return [
                (entry.name, entry.inode())
                for entry in entries
                if entry.is_dir() and fnmatchcase(entry.name, part)
            ]
    except FileNotFoundError:
        return []  # the cgroup has just ended
    except PermissionError:
        if closed is not None:
            closed.add(folder)
        return []
