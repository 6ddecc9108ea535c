"""Disks that are full: as the kernel pretends, and really."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from requirements import missing


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel refuses to let a file grow larger than ``size``, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class SmallDisk:
    """A file system of its own in memory.

    Attributes:
        folder: where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, leaving: int = 0) -> None:
        """Leave no room, or the pages of so many bytes."""
        with (self.folder / "ballast").open("wb", buffering=0) as file:
            room = os.statvfs(self.folder)
            file.truncate(0)
            left = room.f_bavail * room.f_bsize - -(-leaving // room.f_bsize) * room.f_bsize
            while left > 0:
                left -= file.write(bytes(min(left, 1 << 16)))

    def free(self) -> None:
        """Make room again."""
        (self.folder / "ballast").unlink()

    def remount(self, option: str) -> None:
        """Mount it anew with ``ro`` or ``rw``."""
        subprocess.run(["mount", "-o", f"remount,{option}", self.folder], check=True)

    @contextmanager
    def read_only_below(self, name: str) -> Iterator[None]:
        """A folder on it refuses to be written while the context lasts, whatever is open."""
        place = self.folder / name
        subprocess.run(["mount", "--bind", place, place], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", place], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", place], check=True)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[SmallDisk]:
    """A real disk (tmpfs) of so many bytes below a folder; it takes root."""
    if os.geteuid() != 0:
        missing("mounting a small disk needs root")
    place = folder / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
    try:
        yield SmallDisk(place)
    finally:
        subprocess.run(["umount", place], check=True)
