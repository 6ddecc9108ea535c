"""Writes windows to a recording, so that a kill loses seconds and a full disk loses nothing."""

import fcntl
import math
import os
import platform
import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from baseline import durable
from baseline.errors import OutputError, UsageError
from baseline.parquet import write_table
from baseline.recordings.format import (
    FORMAT,
    FORMAT_VERSION,
    HEADER_FILE,
    MAX_ENTRIES,
    PARTS_FILE,
    Header,
    Part,
    PartFile,
    part_path,
    parts_title,
    utc_date,
)
from baseline.recordings.tables import check, to_tables
from baseline.syscalls import ARCHITECTURE
from baseline.window import Window


class RecordingWriter:
    """A new recording; a context manager that writes what is left when it ends.

    Windows are kept in memory until they have ``flush_rows`` rows together, or the first one has
    waited ``flush_seconds``, and are then written as one part and committed.

    Args:
        path: folder of the recording.
        interval: length of a window in seconds.
        node: name of the machine.
        architecture: architecture whose system-call numbers the n-grams have.
        force: replace a recording that exists.
        flush_rows: rows after which a part is written.
        flush_seconds: time after which a part is written, at the next window.

    Raises:
        UsageError: ``path`` exists and is not to be replaced, or is being written.
        OutputError: it cannot be written.
        ValueError: the interval is not above zero or the architecture not known.
    """

    def __init__(
        self,
        path: Path,
        *,
        interval: float,
        node: str | None = None,
        architecture: str = ARCHITECTURE,
        force: bool = False,
        flush_rows: int = 250_000,
        flush_seconds: float = 10.0,
    ) -> None:
        self.path = path
        self.header = Header(
            architecture=architecture,
            kernel=platform.release(),
            node=node or platform.node(),
            interval=float(interval),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self._flush_rows = min(flush_rows, MAX_ENTRIES)
        self._flush_seconds = flush_seconds
        self._pending: list[Window] = []
        self._pending_rows = 0
        self._flush_at = math.inf
        self._windows_committed = 0
        self._parts_committed = 0
        self._parts = _create(path, self.header, force=force)
        self._parts_size = os.fstat(self._parts.fileno()).st_size

    def write(self, window: Window) -> None:
        """Take one window; it is on disk after the flush that follows.

        Raises:
            ValueError: a recording cannot hold it (``baseline.recordings.tables.check``).
            OutputError: a flush was due and failed, see :meth:`flush`.  The window was taken.
        """
        check(window)
        if not self._pending:
            self._flush_at = time.monotonic() + self._flush_seconds
        self._pending.append(window)
        self._pending_rows += _rows(window)
        if self._pending_rows >= self._flush_rows or time.monotonic() >= self._flush_at:
            self.flush()

    def flush(self) -> None:
        """Write and commit the windows that wait.

        Raises:
            OutputError: the disk is full, or it cannot be written for another reason.  What was
                committed stays readable, and what was not is kept for the next flush.
        """
        while self._pending:
            count = self._next_part()
            self._commit(self._pending[:count])
            self._pending_rows -= sum(map(_rows, self._pending[:count]))
            del self._pending[:count]

    def close(self) -> None:
        """Flush, and end the recording whether or not that succeeds.

        Raises:
            OutputError: as in :meth:`flush`.
        """
        try:
            self.flush()
        finally:
            self._parts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _next_part(self) -> int:
        """How many of the waiting windows are in the next part: of one date, and not too many."""
        date, rows = utc_date(self._pending[0].end), 0
        for count, window in enumerate(self._pending):
            if rows >= self._flush_rows or utc_date(window.end) != date:
                return count
            rows += _rows(window)
        return len(self._pending)

    def _commit(self, windows: list[Window]) -> None:
        if os.fstat(self._parts.fileno()).st_nlink == 0:
            raise OutputError(f"{self.path} was removed while it was written", "Record again")
        number = self._parts_committed
        metadata = {
            "format": FORMAT,
            "version": str(FORMAT_VERSION),
            "architecture": self.header.architecture,
        }
        files = {}
        for name, table in to_tables(windows, self._windows_committed).items():
            relative = part_path(name, windows[0].end, self.header.node, number)
            durable.make_directories((self.path / relative).parent)
            with durable.new_file(self.path / relative) as temporary:
                write_table(table, temporary, metadata)
                size, checksum = temporary.stat().st_size, durable.sha256(temporary)
            files[name] = PartFile(relative, table.num_rows, size, checksum)
        self._append(Part(number, files).to_line() + b"\n")
        self._windows_committed += len(windows)
        self._parts_committed += 1

    def _append(self, line: bytes) -> None:
        """Write one line, durably, or leave the file as it was."""
        try:
            try:
                self._parts.seek(self._parts_size)
                written = 0
                while written < len(line):  # a disk that is filling up takes a piece of it
                    written += self._parts.write(line[written:])
                os.fsync(self._parts.fileno())
            except OSError:
                self._parts.truncate(self._parts_size)
                raise
        except OSError as cause:
            raise durable.output_error(self.path / PARTS_FILE, cause) from cause
        self._parts_size += len(line)


def _rows(window: Window) -> int:
    return 1 + len(window.ngrams) + len(window.executions) + len(window.connections)


def _create(path: Path, header: Header, *, force: bool) -> BinaryIO:
    """Create an empty recording; returns its parts file, locked for as long as it is open."""
    content = header.to_json()
    try:
        if force and (path / PARTS_FILE).is_file():
            _open_locked(path).close()
        with durable.new_directory(path, force=force, marker=HEADER_FILE) as folder:
            (folder / HEADER_FILE).write_bytes(content)
            title = parts_title(sha256(content).hexdigest())
            (folder / PARTS_FILE).write_bytes(title + b"\n")
        file = _open_locked(path)
        file.seek(0, os.SEEK_END)
    except OSError as cause:
        raise durable.output_error(path, cause) from cause
    return file


def _open_locked(path: Path) -> BinaryIO:
    file = (path / PARTS_FILE).open("r+b", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise UsageError(
            f"{path} is being written by another process", "Stop it or choose another name"
        ) from None
    return file
