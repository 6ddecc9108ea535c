"""The recording format, version 1; docs/recording-format.md describes it for other readers.

A recording is a folder::

    recording.json                     what it is: version, architecture, node, names of calls
    parts.jsonl                        which parts are committed, one line each
    windows/date=2026-11-22/node=web1/part-00000.parquet
    ngrams/…  executions/…  connections/…                  the same below each

A part is written as one file for each table, and then committed by its line in ``parts.jsonl``,
with the checksums of the four.  What has no line does not exist, so that a crash at any moment
leaves the recording as it was after the last commit.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Self
from urllib.parse import quote

import pyarrow as pa

from baseline.parquet import described
from baseline.syscalls import IO_URING_OPCODES, NGRAM_LENGTH, SYMBOL_BITS, syscall_names

FORMAT = "baseline recording"
FORMAT_VERSION = 1

HEADER_FILE = "recording.json"
PARTS_FILE = "parts.jsonl"

MAX_ENTRIES = 4_000_000
"""Entries that one window may have: more than the kernel's tables hold."""

MAX_NAMED = 250_000
"""Executions and connections that one window may have, three times what the kernel's tables hold:
each becomes objects of Python.  The writer flushes when it has so many rows."""

MAX_PART_ROWS = {
    "windows": MAX_NAMED,
    "ngrams": MAX_NAMED + MAX_ENTRIES,
    "executions": 2 * MAX_NAMED,
    "connections": 2 * MAX_NAMED,
}
"""Rows that a table of a part may have; a reader holds one part in memory."""

MAX_PARTS = 1_000_000
"""Parts of a recording, of which a reader holds the list in memory; four months of them."""

TIME = pa.timestamp("ns", tz="UTC")

_IMAGE = pa.struct(
    [
        described("path", pa.string(), "path inside the program's mount namespace"),
        described("script", pa.string(), "script that the program interprets, else empty"),
        described("unlinked", pa.bool_(), "the file has no name in any directory"),
    ]
)

_LEDGER_LINES = {
    "ngrams": "n-grams",
    "executions": "executions",
    "connections": "connections",
    "events": "first-sight events",
}
_TALLY = {
    "counted": "that the kernel counted, independently of its tables",
    "recorded": "that arrived",
    "overflowed": "that arrived through the overflow table, because the main one was full",
    "lost": "for which the kernel had no room",
}
LEDGER_COLUMNS = {
    f"{line}_{number}": f"{things} {which}"
    for line, things in _LEDGER_LINES.items()
    for number, which in _TALLY.items()
}
"""Columns of the windows' ledger: name -> description, in the order of the fields."""

_KEY = [
    described("window", pa.int64(), "number of the window in this recording, in order of writing"),
    described("workload", pa.string(), "name of the workload"),
    described("end_time", TIME, "when the window ended"),
]
_COUNT = described("count", pa.int64(), "how often in this window, above zero")

SCHEMAS = {
    "windows": pa.schema(
        [
            *_KEY,
            described("start_time", TIME, "when the window began"),
            described("replica", pa.string(), "path of the cgroup; empty for a sum over several"),
            described("observed_ns", pa.int64(), "time watched, in ns, summed over replicas"),
            *(described(name, pa.int64(), what) for name, what in LEDGER_COLUMNS.items()),
        ]
    ),
    "ngrams": pa.schema(
        [
            *_KEY,
            described("ngram", pa.uint64(), "packed n-gram; ascending and distinct in a window"),
            _COUNT,
        ]
    ),
    "executions": pa.schema(
        [
            *_KEY,
            described(
                "lineage",
                pa.list_(pa.field("element", _IMAGE, nullable=False)),
                "images, the oldest ancestor first, the started program last",
            ),
            described("uid", pa.uint32(), "effective user id, in the initial user namespace"),
            _COUNT,
        ]
    ),
    "connections": pa.schema(
        [
            *_KEY,
            described("direction", pa.string(), "in: the peer connected; out: the workload did"),
            described("protocol", pa.string(), "tcp, udp or the IP protocol number"),
            described("peer", pa.string(), "the peer's address; empty where it was folded away"),
            described("port", pa.uint16(), "port of the side that was connected to"),
            _COUNT,
        ]
    ),
}
"""Table -> its columns.  Rows are sorted by (workload, end_time) within a part."""


class FormatError(ValueError):
    """A file is not as the format has it; the message continues a sentence that names the file."""


class OtherVersionError(FormatError):
    """The recording was written by a version of baseline that this one does not know."""


@dataclass(frozen=True)
class Header:
    """What ``recording.json`` says.

    Attributes:
        architecture: ``uname -m`` of the machine; system calls have its numbers.
        kernel: ``uname -r`` of the machine.
        node: name of the machine.
        interval: length of a window in seconds, as it was asked for.
        created: when the recording was begun, ISO 8601.
    """

    architecture: str
    kernel: str
    node: str
    interval: float
    created: str

    def to_json(self) -> bytes:
        """The file's content; with the names of the calls, so that the data explains itself."""
        content = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            **asdict(self),
            "ngram_length": NGRAM_LENGTH,
            "symbol_bits": SYMBOL_BITS,
            "syscalls": syscall_names(self.architecture, compat=False),
            "compat_syscalls": syscall_names(self.architecture, compat=True),
            "io_uring_opcodes": dict(enumerate(IO_URING_OPCODES)),
        }
        return json.dumps(content, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Inverse of :meth:`to_json`.

        Raises:
            FormatError: it is not such a header, or not one that this version can use.
        """
        try:
            values = json.loads(content)
            kind, version = values["format"], json.dumps(values["version"])
        except (KeyError, TypeError, ValueError, RecursionError) as cause:
            raise FormatError("is damaged") from cause
        if kind != FORMAT:
            raise FormatError("does not describe a recording")
        if version != str(FORMAT_VERSION):
            raise OtherVersionError(f"has format version {version:.20}")
        try:
            ngram = values["ngram_length"], values["symbol_bits"]
            header = cls(**{field.name: values[field.name] for field in fields(cls)})
        except KeyError as cause:
            raise FormatError("is damaged") from cause
        if ngram != (NGRAM_LENGTH, SYMBOL_BITS):
            raise OtherVersionError("has n-grams of another length or packing")
        return header

    def __post_init__(self) -> None:
        """Refuse what no machine has.

        Raises:
            FormatError: a field is of another type, or the interval is not above zero.
            OtherVersionError: the architecture is none that this version knows.
        """
        for text in (self.architecture, self.kernel, self.node, self.created):
            if not isinstance(text, str) or not is_unicode(text):
                raise FormatError("has no text where there must be one")
        if not isinstance(self.interval, float) or not 0 < self.interval < math.inf:
            raise FormatError("has an interval that is not above zero seconds")
        try:
            syscall_names(self.architecture, compat=False)
        except KeyError:
            raise OtherVersionError(f"is of architecture {self.architecture:.20}") from None


@dataclass(frozen=True, slots=True)
class PartFile:
    """One table of a part, as committed.

    Attributes:
        path: path of the file below the recording.
        rows: rows in it.
        bytes: size of the file.
        sha256: checksum of the file in hexadecimal.
    """

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Part:
    """One line of ``parts.jsonl``: files that were committed together.

    Attributes:
        number: the part's number, counted from 0 without a gap.
        files: the file of each table in ``SCHEMAS``.
    """

    number: int
    files: Mapping[str, PartFile]

    def to_line(self) -> bytes:
        """The line, without its end."""
        files = {table: asdict(self.files[table]) for table in SCHEMAS}
        return json.dumps({"part": self.number, "files": files}).encode()

    @classmethod
    def from_line(cls, line: bytes, number: int, node: str) -> Self:
        """Inverse of :meth:`to_line`, for part ``number`` of a recording of ``node``.

        Raises:
            FormatError: it is not exactly the line that such a part has.
        """
        try:
            files = json.loads(line)["files"]
            part = cls(number, {table: PartFile(**files[table]) for table in SCHEMAS})
            written = part.to_line()
        except (KeyError, TypeError, ValueError, RecursionError) as cause:
            raise FormatError(f"is damaged in line {number + 2}") from cause
        if written != line or not all(
            isinstance(file.rows, int)
            and 0 <= file.rows <= MAX_PART_ROWS[table]
            # A line must not lead a reader to files outside of the recording.
            and _is_path(file.path, table, node, number)
            for table, file in part.files.items()
        ):
            raise FormatError(f"is not as it was written in line {number + 2}")
        return part


def is_unicode(text: str) -> bool:
    """Whether a text can be encoded; one with escaped bytes (lone surrogates) cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parts_title(header_sha256: str) -> bytes:
    """First line of ``parts.jsonl``, without its end: guards ``recording.json``."""
    return json.dumps({"format": f"{FORMAT} parts", "recording_sha256": header_sha256}).encode()


def part_path(table: str, end: int, node: str, number: int) -> str:
    """Path of a part's file below its recording.

    Args:
        table: one of ``SCHEMAS``.
        end: end of the part's windows, in nanoseconds since the epoch; all have the same UTC date.
        node: name of the machine.
        number: the part's number.
    """
    return f"{table}/date={utc_date(end)}/{_node_and_name(node, number)}"


def _is_path(path: object, table: str, node: str, number: int) -> bool:
    ending = re.escape(_node_and_name(node, number))
    pattern = rf"{table}/date=\d{{4}}-\d\d-\d\d/{ending}"
    return isinstance(path, str) and re.fullmatch(pattern, path, re.ASCII) is not None


def _node_and_name(node: str, number: int) -> str:
    # Hive folders encode what a folder's name cannot hold as URLs do; readers decode it.
    return f"node={quote(node, safe='')}/part-{number:05d}.parquet"


def utc_date(time: int) -> str:
    """The UTC date of a time in nanoseconds since the epoch, ``YYYY-MM-DD``."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time // 10**9)).date().isoformat()
