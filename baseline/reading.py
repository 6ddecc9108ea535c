"""Files from an untrusted hand: regular ones alone, and no more of them than fits."""

import errno
import os
import stat
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from baseline.errors import BaselineError

MAX_BYTES = 2 << 30
"""Bytes that a file may have which is read at once."""

CHANGE_RIGHTS = "Change its owner or its mode"
"""The way out where this user may not read something that is there."""


def open_file(path: Path) -> BinaryIO:
    """Open a regular file.

    Opening a FIFO could wait for ever, and opening a device could set it off: neither is opened.
    Symbolic links are followed, since whole folders of them are how Kubernetes mounts files.

    Raises:
        OSError: it cannot be read, or is no regular file (``EINVAL``).
    """
    _require_regular(path.stat(), path)
    # Should it have become a FIFO since.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(descriptor, "rb")
    try:
        _require_regular(os.fstat(descriptor), path)
    except OSError:
        file.close()
        raise
    return file


def read_file(path: Path, most: int) -> bytes:
    """Content of a regular file, at once, so that what is checked is what is used.

    Args:
        path: the file.
        most: bytes that it may have.

    Raises:
        OSError: it cannot be read, is no regular file (``EINVAL``), or is larger (``EFBIG``).
    """
    with open_file(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return content


def read_as_written(
    path: Path, size: object, checksum: object, error: type[BaselineError], way_out: str
) -> bytes:
    """Content of a file whose size and checksum are known.

    Args:
        path: the file.
        size: bytes that it must have, as somebody claims.
        checksum: its SHA-256 in hexadecimal, likewise.
        error: what is raised.
        way_out: what the user can do about it, unless it is only that this one may not read it.

    Raises:
        BaselineError: of type ``error``, where it is missing, cannot be read, or is another.
    """
    try:
        content = read_file(path, min(size, MAX_BYTES) if isinstance(size, int) else 0)
    except FileNotFoundError as cause:
        raise error(f"{path} is missing", way_out) from cause
    except PermissionError as cause:
        raise error(f"{path} may not be read by this user", CHANGE_RIGHTS) from cause
    except OSError as cause:
        if cause.errno != errno.EFBIG:
            raise error(f"{path} cannot be read: {cause.strerror}", way_out) from cause
        content = b""
    if len(content) != size or sha256(content).hexdigest() != checksum:
        raise error(f"{path} is not what was written: its checksum differs", way_out)
    return content


def _require_regular(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
