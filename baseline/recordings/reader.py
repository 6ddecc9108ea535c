"""Reads a recording: checks everything it uses, and holds one part in memory at a time.

A recording may come from an untrusted hand.  Files are used only where size and checksum are as
committed, tables only with the format's columns and up to a limit, and windows only if they could
have been written.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import pyarrow as pa

from baseline.errors import RecordingError
from baseline.parquet import read_table
from baseline.reading import open_file, read_as_written, read_file
from baseline.recordings.format import (
    HEADER_FILE,
    MAX_PARTS,
    PARTS_FILE,
    SCHEMAS,
    FormatError,
    Header,
    OtherVersionError,
    Part,
    parts_title,
)
from baseline.recordings.tables import from_tables
from baseline.window import Window

_MAX_HEADER_BYTES = 1 << 20
_MAX_LINE_BYTES = 1 << 16
_CHOOSE = "Give the folder that `baseline record` wrote"
_RESTORE = "Restore it from a copy or record again"
_SPLIT = "Record in several recordings and give --from for each"
_UPGRADE = "Read it with the version of baseline that wrote it, or a newer one"


class Recording:
    """A recording that exists, as far as it is committed.

    Args:
        path: folder of the recording; it may still be written.

    Attributes:
        path: the folder.
        header: what the recording says of itself.
        window_count: windows in it.

    Raises:
        RecordingError: there is no recording, or it is damaged, changed or of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        content = _read_header(path)
        self.header = _parse_header(path / HEADER_FILE, content)
        self._parts = _read_parts(path / PARTS_FILE, sha256(content).hexdigest(), self.node)
        self.window_count = sum(part.files["windows"].rows for part in self._parts)

    @property
    def architecture(self) -> str:
        """Architecture whose system-call numbers the n-grams have, as ``uname -m`` names it."""
        return self.header.architecture

    @property
    def interval(self) -> float:
        """Length of a window in seconds, as it was asked for."""
        return self.header.interval

    @property
    def part_count(self) -> int:
        """Parts that are committed."""
        return len(self._parts)

    @property
    def node(self) -> str:
        """Name of the machine that was recorded."""
        return self.header.node

    @cached_property
    def workloads(self) -> tuple[str, ...]:
        """Names of the workloads, sorted.

        Raises:
            RecordingError: a part is missing, damaged or changed.
        """
        names: set[str] = set()
        for part in self._parts:
            names.update(self._table("windows", part)["workload"].unique().to_pylist())
        return tuple(sorted(names))

    def windows(self) -> Iterator[Window]:
        """The windows in the order in which they were written; can be called again.

        Raises:
            RecordingError: a part is missing, damaged or changed, or holds what no window can.
        """
        first = 0
        for part in self._parts:
            yield from self._windows(part, first)
            first += part.files["windows"].rows

    def _windows(self, part: Part, first: int) -> list[Window]:
        tables = {name: self._table(name, part) for name in SCHEMAS}
        try:
            return from_tables(tables, first, self.node)
        except ValueError as cause:
            raise RecordingError(
                f"{self.path} holds in part {part.number} {cause}", _RESTORE
            ) from cause

    def _table(self, name: str, part: Part) -> pa.Table:
        file = part.files[name]
        path = self.path / file.path
        content = read_as_written(path, file.bytes, file.sha256, RecordingError, _RESTORE)
        table = read_table(content, path, SCHEMAS[name], RecordingError, _RESTORE)
        if table.num_rows != file.rows:
            raise RecordingError(f"{path} has other rows than were committed", _RESTORE)
        return table


def _read_header(path: Path) -> bytes:
    with _reading(path / HEADER_FILE):
        if not path.exists():
            raise RecordingError(f"{path} does not exist", _CHOOSE)
        try:
            return read_file(path / HEADER_FILE, _MAX_HEADER_BYTES)
        except (FileNotFoundError, NotADirectoryError) as cause:
            raise RecordingError(
                f"{path} is not a recording: it has no {HEADER_FILE}", _CHOOSE
            ) from cause


def _parse_header(path: Path, content: bytes) -> Header:
    try:
        return Header.from_json(content)
    except OtherVersionError as cause:
        raise RecordingError(f"{path} {cause}, which this version cannot read", _UPGRADE) from cause
    except FormatError as cause:
        raise RecordingError(f"{path} {cause}", _RESTORE) from cause


def _read_parts(path: Path, header_sha256: str, node: str) -> list[Part]:
    """The committed parts: every line but a torn last one, which a killed writer leaves."""
    parts: list[Part] = []
    with _reading(path):
        if not path.exists():
            raise RecordingError(f"{path} is missing", _RESTORE)
        with open_file(path) as file:
            if file.readline(_MAX_LINE_BYTES) != parts_title(header_sha256) + b"\n":
                raise RecordingError(f"{path} does not belong to its {HEADER_FILE}", _RESTORE)
            while line := file.readline(_MAX_LINE_BYTES):
                if not line.endswith(b"\n") and _is_torn(line) and not file.read(1):
                    break
                if len(parts) == MAX_PARTS:
                    raise RecordingError(f"{path} has more than {MAX_PARTS:,} parts", _SPLIT)
                try:
                    parts.append(Part.from_line(line.removesuffix(b"\n"), len(parts), node))
                except FormatError as cause:
                    raise RecordingError(f"{path} {cause}", _RESTORE) from cause
    return parts


def _is_torn(line: bytes) -> bool:
    """Whether a line without an end is the beginning of one (and not a whole one, changed)."""
    try:
        json.JSONDecoder().raw_decode(line.decode("latin-1"))
    except (ValueError, RecursionError):
        return True
    return False


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        raise RecordingError(
            f"{path} cannot be read: {cause.strerror}",
            "Read it as a user who may, from a sound disk",
        ) from cause
