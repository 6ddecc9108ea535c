"""Where alerts go: an open stream such as standard output, or a file by its name."""

import errno
import fcntl
import json
import os
import select
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from baseline.durable import flush_directory, output_error
from baseline.errors import UsageError

_LONGEST_TAIL = 1 << 20
"""Bytes in which an alert that was torn off is looked for."""


class StreamDestination:
    """An open file, pipe or terminal.

    What a full disk took of an alert stays, and the rest follows when there is room again.

    Args:
        descriptor: its number.
        name: what people call it.
        while_writing: a context to be entered meanwhile.
    """

    def __init__(
        self,
        descriptor: int,
        name: str,
        while_writing: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.name = name
        self._descriptor = descriptor
        self._while_writing = while_writing
        self._written = 0

    def write(self, data: bytes) -> None:
        """Write one alert, or what is left of it.

        Raises:
            OSError: the stream cannot be written to.
        """
        with self._while_writing():
            while self._written < len(data):
                try:
                    self._written += os.write(self._descriptor, data[self._written :])
                except BlockingIOError:  # whoever opened it wanted it so
                    select.select([], [self._descriptor], [])
        self._written = 0


class FileDestination:
    """JSON lines at the end of a file, each of them whole and on disk (fsync) before the next.

    The file is opened anew for each alert: alerts are rare, and a file that was rotated or removed
    meanwhile is simply created again (mode 0600), and its disk can be unmounted in between.
    Several commands may write to one file.  A line that a full disk or a power cut tore off is cut
    away before the next one.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def require(self) -> None:
        """Refuse a file that can never be written; a disk that is full now may not stay so.

        Raises:
            UsageError: it is no regular file.
            OutputError: it cannot be created or opened.
        """
        try:
            if self._path.exists() and not self._path.is_file():
                raise UsageError(f"{self._path} is no regular file", "Name a file for the alerts")
            os.close(self._open())
        except OSError as cause:
            if cause.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise output_error(self._path, cause) from cause

    def write(self, data: bytes) -> None:
        """Append one line, durably and whole, or leave the file as it was.

        Raises:
            OSError: it cannot be written.
        """
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            end = _cut_torn_line(descriptor)
            try:
                written = 0
                while written < len(data):  # a disk that is filling up takes a piece of it
                    written += os.write(descriptor, data[written:])
                os.fsync(descriptor)
            except OSError:
                with suppress(OSError):  # then the next attempt cuts it away
                    os.ftruncate(descriptor, end)
                raise
        finally:
            os.close(descriptor)
        if end == 0:
            flush_directory(self._path.absolute().parent)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
        descriptor = os.open(self._path, flags, 0o600)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return descriptor


def _cut_torn_line(descriptor: int) -> int:
    """Let a file end with a whole line; returns its size then.

    Whatever is no beginning of an alert is not ours to cut: it gets its line's end.
    """
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return size
    tail = os.pread(descriptor, _LONGEST_TAIL, max(size - _LONGEST_TAIL, 0))
    line = tail[tail.rfind(b"\n") + 1 :]
    if line.startswith(b"{") and not _is_json(line):
        os.ftruncate(descriptor, size - len(line))
        return size - len(line)
    return size + os.write(descriptor, b"\n")


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
