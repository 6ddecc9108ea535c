"""The list of committed parts of a recording, while it is being written."""

import fcntl
import os
from pathlib import Path
from typing import BinaryIO

from baseline import durable
from baseline.errors import UsageError
from baseline.recordings.format import PARTS_FILE


class PartsFile:
    """``parts.jsonl`` of a recording that exists, locked for as long as it is open.

    Args:
        path: folder of the recording.

    Raises:
        UsageError: another process writes it.
        OutputError: it cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path / PARTS_FILE
        try:
            self._file: BinaryIO = self._path.open("r+b", buffering=0)
        except OSError as cause:
            raise durable.output_error(self._path, cause) from cause
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise UsageError(
                f"{path} is being written by another process", "Stop it or choose another name"
            ) from None
        self._size = os.fstat(self._file.fileno()).st_size

    @property
    def is_removed(self) -> bool:
        """Whether somebody removed it meanwhile."""
        return os.fstat(self._file.fileno()).st_nlink == 0

    def append(self, line: bytes) -> None:
        """Write one line and its end, durably, or leave the file as it was.

        Raises:
            OutputError: it cannot be written.
        """
        data = line + b"\n"
        try:
            try:
                self._file.seek(self._size)
                written = 0
                while written < len(data):  # a disk that is filling up takes a piece of it
                    written += self._file.write(data[written:])
                os.fsync(self._file.fileno())
            except OSError:
                self._file.truncate(self._size)
                raise
        except OSError as cause:
            raise durable.output_error(self._path, cause) from cause
        self._size += len(data)

    def repair(self, parts: int) -> None:
        """Let it end with the line of the last part, as far as a killed writer did not.

        Args:
            parts: committed parts; the last of them may lack its line's end.

        Raises:
            OutputError: it cannot be written.
        """
        content = self._path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end == len(content):
            return
        if content.count(b"\n") == parts:  # the first line is the title
            self.append(b"")
        else:
            self._truncate(end)

    def cut(self, parts: int) -> None:
        """Take the lines of all parts after the first so many back.

        Raises:
            OutputError: it cannot be written.
        """
        lines = self._path.read_bytes().splitlines(keepends=True)
        self._truncate(sum(map(len, lines[: 1 + parts])))  # the first line is the title

    def _truncate(self, size: int) -> None:
        try:
            self._file.truncate(size)
            os.fsync(self._file.fileno())
        except OSError as cause:
            raise durable.output_error(self._path, cause) from cause
        self._size = size

    def close(self) -> None:
        """Close it, and let others write the recording."""
        self._file.close()
