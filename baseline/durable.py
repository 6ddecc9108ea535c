"""Files and folders that are on disk whole, or not at all.

What is being written has a hidden temporary name beside its final one; it is flushed, renamed, and
the folder flushed, so that neither a crash nor a full disk leaves half of it under its own name.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from baseline.errors import OutputError, UsageError

_WAYS_OUT = {
    errno.ENOSPC: "Free some space there or choose another disk",
    errno.EDQUOT: "Raise the quota or choose another disk",
    errno.EROFS: "Choose a path on a disk that is mounted for writing",
    errno.EACCES: "Choose a path you may write to, or run as a user who may",
    errno.EPERM: "Choose a path you may write to, or run as a user who may",
    errno.ENOENT: "Create the folder above it first",
    errno.ENOTDIR: "Choose a path whose parents are folders",
}


def output_error(path: Path, cause: OSError) -> OutputError:
    """The user's version of an operating-system error met while writing ``path``."""
    way_out = _WAYS_OUT.get(cause.errno or 0, "Choose another path and try again")
    return OutputError(f"{path} cannot be written: {os.strerror(cause.errno or 0)}", way_out)


def flush_directory(path: Path) -> None:
    """Make the names in a folder durable (fsync of the folder)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_file(path: Path) -> None:
    """Make a file's content durable (fsync)."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sha256(path: Path) -> str:
    """SHA-256 of a file's content in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Write a file whole: yields the temporary path to write, renamed to ``path`` at the end.

    The temporary name starts with a dot and ends in ``.tmp``; Parquet readers skip such files.

    Raises:
        OutputError: it cannot be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        try:
            yield temporary
            flush_file(temporary)
            temporary.rename(path)
            flush_directory(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as cause:
        raise output_error(path, cause) from cause


def require_absent(path: Path, *, force: bool) -> None:
    """Refuse an output that exists, unless it is to be replaced.

    Raises:
        UsageError: ``path`` exists and ``force`` is not set.
    """
    if path.exists() and not force:
        raise UsageError(f"{path} exists", "Choose another name or add --force to replace it")


@contextmanager
def new_directory(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Write a folder whole: yields a temporary folder to fill, renamed to ``path`` at the end.

    Files written into it are flushed here.  With ``force`` an existing ``path`` is replaced once
    the new folder is complete.

    Raises:
        UsageError: ``path`` exists and ``force`` is not set.
        OutputError: it cannot be written; nothing is left behind and an old one stays.
    """
    require_absent(path, force=force)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    replaced = path.with_name(f".{path.name}.{os.getpid()}.old")
    try:
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for folder, _, files in os.walk(temporary, topdown=False):
                for name in files:
                    flush_file(Path(folder, name))
                flush_directory(Path(folder))
            if path.exists():
                path.rename(replaced)
            temporary.rename(path)
            flush_directory(path.parent)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            if replaced.exists() and not path.exists():
                replaced.rename(path)
            raise
        shutil.rmtree(replaced, ignore_errors=True)
    except OSError as cause:
        raise output_error(path, cause) from cause
