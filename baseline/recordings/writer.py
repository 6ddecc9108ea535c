"""Writes windows to a recording, so that a kill loses seconds and a full disk loses nothing."""

import math
import platform
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from baseline import durable
from baseline.errors import OutputError, UsageError
from baseline.parquet import write_table
from baseline.recordings.format import (
    FORMAT,
    FORMAT_VERSION,
    HEADER_FILE,
    MAX_ENTRIES,
    MAX_NAMED,
    PARTS_FILE,
    Header,
    Part,
    PartFile,
    part_path,
    parts_title,
    utc_date,
)
from baseline.recordings.parts_file import PartsFile
from baseline.recordings.reader import Recording
from baseline.recordings.tables import check, to_tables
from baseline.syscalls import ARCHITECTURE
from baseline.window import NODE, Window, total

_WAYS_OUT = {
    "architecture": "Record to another folder",
    "node": "Record to another folder, and give both to --from",
    "interval": "Use the same --interval, or record to another folder",
}


class RecordingWriter:
    """A recording that grows; a context manager that writes what is left when it ends.

    Windows are kept in memory until they have ``flush_rows`` rows together, or the first one has
    waited ``flush_seconds``, and are then written as one part and committed.  While that fails it
    is tried again every ``flush_seconds``; windows that have more than ``most_rows`` rows meanwhile
    are added up, by replica and if that is not enough by workload, so that no count is lost however
    long it lasts.

    Args:
        path: folder of the recording.
        interval: length of a window in seconds.
        node: name of the machine.
        architecture: architecture whose system-call numbers the n-grams have.
        force: replace a recording that exists.
        append: continue a recording that exists, as far as it was committed.
        parts: continue it after so many parts and take back those that follow: their windows will
            come again.  ``None`` keeps all.
        by_itself: flush as soon as it is due; otherwise it is done by :meth:`commit`, so that
            windows which belong together are in the recording together.
        flush_rows: rows after which a part is written.
        flush_seconds: time after which a part is written, at the next window.
        most_rows: rows that may wait as they are.

    Attributes:
        is_behind: the last flush failed.

    Raises:
        UsageError: ``path`` exists and is neither to be replaced nor to be continued, or is being
            written, or is of another architecture, node or interval.
        RecordingError: what is to be continued is damaged.
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
        append: bool = False,
        parts: int | None = None,
        by_itself: bool = True,
        flush_rows: int = 250_000,
        flush_seconds: float = 10.0,
        most_rows: int = 1_000_000,
    ) -> None:
        self.path = path
        self.header = Header(
            architecture=architecture,
            kernel=platform.release(),
            node=node or NODE,
            interval=float(interval),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self._flush_rows = min(flush_rows, MAX_ENTRIES)
        self._flush_seconds = flush_seconds
        self._most_rows = most_rows
        self._by_itself = by_itself
        self._pending: list[Window] = []
        self._pending_rows = 0
        self._flush_at = math.inf
        self._add_up_above = most_rows
        self.is_behind = False
        self._windows_committed = 0
        self._parts_committed = 0
        if append and (path / HEADER_FILE).is_file():
            self._parts = self._continue(parts)
        else:
            self._parts = _create(path, self.header, force=force)

    @property
    def parts_committed(self) -> int:
        """Parts that are in the recording for good; it is also the number of the next part."""
        return self._parts_committed

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
        try:
            if self._by_itself:
                self.commit()
        finally:
            if self._pending_rows > self._add_up_above:
                self._add_up()

    def commit(self, *, at_once: bool = False) -> bool:
        """Flush if it is due.

        Args:
            at_once: also if it is not, but for a disk that was full a moment ago.

        Returns:
            Whether all that was taken is in the recording.

        Raises:
            OutputError: see :meth:`flush`.
        """
        is_much = (at_once or self._pending_rows >= self._flush_rows) and not self.is_behind
        if self._pending and (is_much or time.monotonic() >= self._flush_at):
            self.flush()
        return not self._pending

    def flush(self) -> None:
        """Write and commit the windows that wait.

        Raises:
            OutputError: the disk is full, or it cannot be written for another reason.  What was
                committed stays readable, and what was not is kept for the next flush.
        """
        self.is_behind = True  # until the end of this proves otherwise
        self._flush_at = time.monotonic() + self._flush_seconds
        while self._pending:
            count = self._next_part()
            self._commit(self._pending[:count])
            self._pending_rows -= sum(map(_rows, self._pending[:count]))
            del self._pending[:count]
        self.is_behind = False
        self._add_up_above = self._most_rows

    def close(self) -> None:
        """Flush, and end the recording whether or not that succeeds.

        Raises:
            OutputError: as in :meth:`flush`.
        """
        try:
            self.flush()
        except OutputError as error:
            number = len(self._pending)
            raise OutputError(
                f"{error.problem}; {number:,} window{'s' * (number != 1)} of {self.path} "
                "could not be written",
                error.way_out,
            ) from error
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

    def _add_up(self) -> None:
        """Let fewer rows wait, at the price of when and where things happened."""
        keys: tuple[Callable[[Window], object], ...] = (
            lambda window: (window.workload, window.replica),
            lambda window: window.workload,
        )
        for key in keys:
            groups: defaultdict[object, list[Window]] = defaultdict(list)
            for window in self._pending:
                groups[key(window)].append(window)
            sums = {name: total(windows) for name, windows in groups.items()}
            self._pending = [
                window
                for name, windows in groups.items()
                for window in ([sums[name]] if _fits(sums[name]) else windows)
            ]
            self._pending_rows = sum(map(_rows, self._pending))
            if self._pending_rows <= self._most_rows:
                break
        # Where all are distinct, adding up again at once would take time and win nothing.
        self._add_up_above = max(self._most_rows, 2 * self._pending_rows)

    def _continue(self, kept: int | None) -> PartsFile:
        """Take up a recording where it was left, or so many parts from its beginning."""
        parts = PartsFile(self.path)
        try:
            before = Recording(self.path)
            _require_same(self.path, before.header, self.header)
            parts.repair(before.part_count)
            last = before.part_count
            if kept is not None and kept < last:
                parts.cut(kept)
                before = Recording(self.path)
            for number in range(before.part_count, last + 1):
                self._remove_uncommitted(number)
        except BaseException:
            parts.close()
            raise
        self.header = before.header
        self._parts_committed = before.part_count
        self._windows_committed = before.window_count
        return parts

    def _remove_uncommitted(self, number: int) -> None:
        """Remove the files of a part that has no line (any more): tools see them."""
        try:
            for name in (f"part-{number:05d}.parquet", ".part-*.parquet.tmp"):
                for file in self.path.glob(f"*/date=*/node=*/{name}"):
                    file.unlink()
        except OSError as cause:
            raise durable.output_error(self.path, cause) from cause

    def _commit(self, windows: list[Window]) -> None:
        if self._parts.is_removed:
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
        self._parts.append(Part(number, files).to_line())
        self._windows_committed += len(windows)
        self._parts_committed += 1


def _rows(window: Window) -> int:
    return 1 + len(window.ngrams) + len(window.executions) + len(window.connections)


def _fits(window: Window) -> bool:
    """Whether a recording can hold it."""
    named = len(window.executions) + len(window.connections)
    return len(window.ngrams) + named <= MAX_ENTRIES and named <= MAX_NAMED


def _require_same(path: Path, old: Header, new: Header) -> None:
    for name, way_out in _WAYS_OUT.items():
        before, now = getattr(old, name), getattr(new, name)
        if before != now:
            raise UsageError(
                f"{path} has the {name} {_said(before)} and cannot be continued with {_said(now)}",
                way_out,
            )


def _said(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g} s"


def _create(path: Path, header: Header, *, force: bool) -> PartsFile:
    """Create an empty recording; returns its list of parts."""
    content = header.to_json()
    try:
        if force and (path / PARTS_FILE).is_file():
            PartsFile(path).close()
        foreign = durable.without(HEADER_FILE)
        with durable.new_directory(path, force=force, foreign=foreign) as folder:
            (folder / HEADER_FILE).write_bytes(content)
            title = parts_title(sha256(content).hexdigest())
            (folder / PARTS_FILE).write_bytes(title + b"\n")
    except OSError as cause:
        raise durable.output_error(path, cause) from cause
    return PartsFile(path)
