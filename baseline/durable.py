"""Files and folders that are on disk whole, or not at all.

What is being written has a hidden temporary name beside its final one; it is flushed, renamed, and
the folder flushed, so that neither a crash nor a full disk leaves half of it under its own name.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
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
    errno.EEXIST: "Choose a path whose parents are folders",
}

Foreign = Callable[[Path], str | None]
"""Why a folder may not be replaced, such as ``it holds no manifest.json``; ``None`` if it may."""


def output_error(path: Path, cause: OSError) -> OutputError:
    """The user's version of an operating-system error met while writing ``path``."""
    way_out = _WAYS_OUT.get(cause.errno or 0, "Choose another path and try again")
    reason = os.strerror(cause.errno) if cause.errno else str(cause)
    return OutputError(f"{path} cannot be written: {reason}", way_out)


def flush_directory(path: Path) -> None:
    """Make the names in a folder durable (fsync of the folder)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directories(path: Path) -> None:
    """Create a folder and the missing ones above it, durably; one that exists is fine.

    Raises:
        OutputError: it cannot be created.
    """
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            flush_directory(folder.parent)
    except OSError as cause:
        raise output_error(path, cause) from cause


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


def without(marker: str) -> Foreign:
    """Folders that hold no file of this name are not to be replaced."""
    return lambda path: None if (path / marker).is_file() else f"it holds no {marker}"


def require_absent(path: Path, *, force: bool, foreign: Foreign | None = None) -> None:
    """Refuse an output that exists, unless it is to be replaced.

    Args:
        path: the output.
        force: it may be replaced.
        foreign: but not a folder that this calls somebody else's, so that a slip of the hand
            cannot replace somebody's home.

    Raises:
        UsageError: ``path`` exists and may not be replaced.
        OutputError: the folder above it may not be looked into.
    """
    try:
        if not path.exists():
            return
        reason = foreign(path) if force and foreign else None
    except OSError as cause:
        raise output_error(path, cause) from cause
    if not force:
        raise UsageError(f"{path} exists", "Choose another name or add --force to replace it")
    if reason:
        raise UsageError(
            f"{path} exists and --force does not replace it, because {reason}",
            "Choose another name, or remove it yourself",
        )


@contextmanager
def new_directory(
    path: Path, *, force: bool = False, foreign: Foreign | None = None
) -> Iterator[Path]:
    """Write a folder whole: yields a temporary folder to fill, renamed to ``path`` at the end.

    Files written into it are flushed here.  With ``force`` an existing ``path`` is replaced once
    the new folder is complete; ``foreign`` is as in :func:`require_absent`, which is asked before
    and once more then: somebody else may have written there meanwhile.

    Raises:
        UsageError: ``path`` exists and may not be replaced.
        OutputError: it cannot be written; nothing is left behind and an old one stays.
    """
    require_absent(path, force=force, foreign=foreign)
    final = path.resolve()  # "." and ".." have no name to put a dot before
    temporary = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    replaced = final.with_name(f".{final.name}.{os.getpid()}.old")
    try:
        make_directories(final.parent)
        _remove(temporary)  # of a killed process that had our number
        temporary.mkdir()
        try:
            yield temporary
            for folder, _, files in os.walk(temporary, topdown=False):
                for name in files:
                    flush_file(Path(folder, name))
                flush_directory(Path(folder))
            require_absent(path, force=force, foreign=foreign)
            if force and final.exists():
                _remove(replaced)
                final.rename(replaced)
            temporary.rename(final)
            flush_directory(final.parent)
        except BaseException:
            _remove(temporary)
            if replaced.exists() and not final.exists():
                replaced.rename(final)
            raise
        _remove(replaced)
    except OSError as cause:
        raise output_error(path, cause) from cause


def _remove(path: Path) -> None:
    """Remove a file or a folder, as far as possible, if there is one."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
