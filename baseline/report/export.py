"""Tidy Parquet for analysts: one row for each observation, names instead of numbers.

A recording is made for its reader; an export is made for pandas, DuckDB, Polars or a spreadsheet:
every table stands alone, calls and programs have their names, and a ``README.txt`` made from the
columns' descriptions says what is in it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from functools import cache, partial
from itertools import chain
from pathlib import Path
from textwrap import fill
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from baseline.durable import new_directory, without
from baseline.parquet import ROW_GROUP_ROWS, described, table_writer
from baseline.recordings import Recording
from baseline.syscalls import NGRAM_LENGTH, symbol_name, unpack
from baseline.window import Connection, Execution, Ledger, Tally, Window

README = "README.txt"
"""Name of the file that describes the tables."""

NGRAM_COLUMNS = [
    described(
        "ngram", pa.uint64(), "the n-gram itself, as recordings, models and alerts have it packed"
    ),
    *(
        described(
            f"call_{i}",
            pa.string(),
            f"system call {NGRAM_LENGTH - i} before the last; start: there is none",
        )
        for i in range(1, NGRAM_LENGTH)
    ),
    described(
        f"call_{NGRAM_LENGTH}",
        pa.string(),
        "the last system call; io_uring:... a request, folded:... a call without those before it, "
        "both alone in their n-gram",
    ),
]
"""Columns of :func:`ngram_arrays`."""

EXECUTION_COLUMNS = [
    described("lineage", pa.string(), "the chain of programs, oldest ancestor first, as text"),
    described(
        "programs",
        pa.list_(pa.field("element", pa.string(), nullable=False)),
        "the same as a list of paths, the started program last",
    ),
    described("program", pa.string(), "path of the started program, in its mount namespace"),
    described("script", pa.string(), "script that the program interprets, else empty"),
    described("unlinked", pa.bool_(), "the program's file has no name in any directory"),
    described("depth", pa.int64(), "programs in the lineage"),
    described("uid", pa.int64(), "effective user id, in the initial user namespace"),
]
"""Columns of :func:`execution_arrays`."""

CONNECTION_COLUMNS = [
    described("direction", pa.string(), "in: the peer connected; out: the workload did"),
    described("protocol", pa.string(), "tcp, udp or the IP protocol number"),
    described("peer", pa.string(), "the peer's address; empty where it was folded away"),
    described("port", pa.int64(), "port of the side that was connected to"),
]
"""Columns of :func:`connection_arrays`."""

Item = TypeVar("Item", Execution, Connection)

TIME = pa.timestamp("us", tz="UTC")
"""Type of a moment; see :func:`times`."""

_WINDOW_KEY = [
    described("node", pa.string(), "name of the machine"),
    described("workload", pa.string(), "name of the workload"),
    described("replica", pa.string(), "path of the cgroup; empty for a sum over several"),
    described("start_time", TIME, "when the window began"),
    described("end_time", TIME, "when the window ended"),
]
_COUNT = described("count", pa.int64(), "how often in this window")

RECORDING_TABLES = {
    "windows": pa.schema(
        [
            *_WINDOW_KEY,
            described("seconds", pa.float64(), "time watched, in s, summed over replicas"),
            described("calls", pa.int64(), "system calls"),
            described("distinct_ngrams", pa.int64(), "different n-grams of system calls"),
            described("executions", pa.int64(), "programs started"),
            described("connections", pa.int64(), "connections"),
            described("adds_up", pa.bool_(), "every count of the kernel is accounted for"),
        ]
    ),
    "ledger": pa.schema(
        [
            *_WINDOW_KEY,
            described("signal", pa.string(), "what was counted; events: first sights"),
            described("counted", pa.int64(), "counted by the kernel, independently of the tables"),
            described("recorded", pa.int64(), "arrived through the kernel's main table"),
            described("overflowed", pa.int64(), "arrived through its overflow table"),
            described("lost", pa.int64(), "the kernel had no room for"),
        ]
    ),
    "syscalls": pa.schema(
        [*_WINDOW_KEY, described("syscall", pa.string(), "name of the system call"), _COUNT]
    ),
    "ngrams": pa.schema([*_WINDOW_KEY, *NGRAM_COLUMNS, _COUNT]),
    "executions": pa.schema([*_WINDOW_KEY, *EXECUTION_COLUMNS, _COUNT]),
    "connections": pa.schema([*_WINDOW_KEY, *CONNECTION_COLUMNS, _COUNT]),
}
"""Table -> its columns, of an exported recording."""


def export_recording(recording: Recording, out: Path, *, force: bool = False) -> list[Path]:
    """Write a recording as tidy tables, one Parquet file for each of ``RECORDING_TABLES``.

    Args:
        recording: what to export; it is read once, part by part.
        out: folder to write.
        force: replace an export of a recording that exists.

    Returns:
        The files written.

    Raises:
        UsageError: ``out`` exists and is not to be replaced.
        RecordingError: the recording is damaged; nothing is left behind.
        OutputError: the folder cannot be written; nothing is left behind.
    """
    about = (
        f"Recorded on {recording.node} ({recording.architecture}) "
        f"in windows of {recording.interval:g} s."
    )
    with tidy_folder(out, RECORDING_TABLES, about=about, force=force) as writers:
        for windows in _batches(recording.windows()):
            for name, table in _tables(windows, recording.node, recording.architecture).items():
                writers[name].write_table(table)
    return [out / README, *(out / f"{name}.parquet" for name in RECORDING_TABLES)]


@contextmanager
def tidy_folder(
    out: Path, tables: Mapping[str, pa.Schema], *, about: str, force: bool = False
) -> Iterator[dict[str, pq.ParquetWriter]]:
    """Write a folder of tidy tables: yields a writer for each, to which tables are appended.

    Args:
        out: folder to write.
        tables: name of a table -> its columns, each with a description.
        about: a sentence or two on what this is, for ``README.txt``.
        force: replace a folder that holds the same first table.

    Raises:
        UsageError: ``out`` exists and is not to be replaced.
        OutputError: the folder cannot be written; nothing is left behind.
    """
    foreign = without(f"{next(iter(tables))}.parquet")
    with new_directory(out, force=force, foreign=foreign) as folder, ExitStack() as files:
        (folder / README).write_text(describe(tables, about=about), encoding="utf-8")
        yield {
            name: files.enter_context(
                table_writer(folder / f"{name}.parquet", schema, {"table": name, "about": about})
            )
            for name, schema in tables.items()
        }


def describe(tables: Mapping[str, pa.Schema], *, about: str) -> str:
    """What is in a folder of tidy tables, as a page of text made from their columns."""
    lines = [fill(about, 78)]
    for name, schema in tables.items():
        lines += ["", f"{name}.parquet", "-" * len(f"{name}.parquet")]
        for field in schema:
            text = f"{field.metadata[b'description'].decode()} ({field.type})"
            lines.append(fill(f"{field.name:<24}{text}", 78, subsequent_indent=" " * 24))
    return "\n".join(lines) + "\n"


def ngram_arrays(ngrams: npt.NDArray[np.uint64], architecture: str) -> list[pa.Array]:
    """N-grams and their calls by name, one array for each of ``NGRAM_COLUMNS``.

    Args:
        ngrams: packed n-grams, shape (k,).
        architecture: whose system-call numbers they have.
    """
    distinct, where = np.unique(ngrams, return_inverse=True)
    symbols = unpack(distinct)
    names = (_names(symbols[:, i], architecture) for i in range(NGRAM_LENGTH))
    return [pa.array(ngrams), *(its.take(pa.array(where)) for its in names)]


def _names(symbols: npt.NDArray[np.int64], architecture: str) -> pa.Array:
    """Names of symbols (with their kind), as :func:`baseline.syscalls.unpack` gives them."""
    name = cache(partial(symbol_name, architecture=architecture))
    return pa.array(map(name, symbols.tolist()), pa.string())


def execution_arrays(executions: Sequence[Execution]) -> list[pa.Array]:
    """What was started, one array for each of ``EXECUTION_COLUMNS``."""
    rows = [
        (
            str(execution),
            [image.path for image in execution.lineage],
            execution.image.path,
            execution.image.script,
            execution.image.unlinked,
            len(execution.lineage),
            execution.uid,
        )
        for execution in executions
    ]
    return [
        pa.array([row[i] for row in rows], field.type) for i, field in enumerate(EXECUTION_COLUMNS)
    ]


def connection_arrays(connections: Sequence[Connection]) -> list[pa.Array]:
    """Who was talked with, one array for each of ``CONNECTION_COLUMNS``."""
    return [
        pa.array([connection[i] for connection in connections], field.type)
        for i, field in enumerate(CONNECTION_COLUMNS)
    ]


def times(nanoseconds: Iterable[int]) -> pa.Array:
    """Nanoseconds since the epoch as ``TIME``."""
    return pa.array([time // 1000 for time in nanoseconds], TIME)


def _batches(windows: Iterable[Window]) -> Iterator[list[Window]]:
    """Windows by about a row group of entries at a time, to be sorted and written together."""
    batch: list[Window] = []
    rows = 0
    for window in windows:
        batch.append(window)
        rows += 1 + len(window.ngrams) + len(window.executions) + len(window.connections)
        if rows >= ROW_GROUP_ROWS:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch


def _tables(windows: list[Window], node: str, architecture: str) -> dict[str, pa.Table]:
    windows = sorted(windows, key=lambda window: (window.workload, window.start))
    keys = pa.Table.from_arrays(
        [
            pa.array([node] * len(windows), pa.string()),
            pa.array([window.workload for window in windows], pa.string()),
            pa.array([window.replica for window in windows], pa.string()),
            times(window.start for window in windows),
            times(window.end for window in windows),
        ],
        schema=pa.schema(_WINDOW_KEY),
    )

    def table(name: str, rows: npt.NDArray[np.int64], columns: Iterable[pa.Array]) -> pa.Table:
        """Table of columns, each row with the key of the window in that row of ``keys``."""
        schema = RECORDING_TABLES[name]
        return pa.Table.from_arrays([*keys.take(pa.array(rows)), *columns], schema=schema)

    each = np.arange(len(windows))
    ngrams = np.concatenate([window.ngrams.ngrams for window in windows])
    counts = np.concatenate([window.ngrams.counts for window in windows])
    ngram_rows = np.repeat(each, [len(window.ngrams) for window in windows])
    syscall_rows, syscalls, syscall_counts = _last_calls(ngram_rows, ngrams, counts)
    executions = _entries(window.executions for window in windows)
    connections = _entries(window.connections for window in windows)
    return {
        "windows": table("windows", each, _window_arrays(windows)),
        "ledger": table("ledger", np.repeat(each, len(_LEDGER_LINES)), _ledger_arrays(windows)),
        "syscalls": table(
            "syscalls", syscall_rows, [_names(syscalls, architecture), pa.array(syscall_counts)]
        ),
        "ngrams": table(
            "ngrams", ngram_rows, [*ngram_arrays(ngrams, architecture), pa.array(counts)]
        ),
        "executions": table(
            "executions",
            np.repeat(each, [len(window.executions) for window in windows]),
            [*execution_arrays([e for e, _ in executions]), _integers(n for _, n in executions)],
        ),
        "connections": table(
            "connections",
            np.repeat(each, [len(window.connections) for window in windows]),
            [*connection_arrays([c for c, _ in connections]), _integers(n for _, n in connections)],
        ),
    }


def _last_calls(
    rows: npt.NDArray[np.int64], ngrams: npt.NDArray[np.uint64], counts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Sums of n-grams by their last symbol: rows, symbols and counts, by row and symbol."""
    last = unpack(ngrams)[:, -1]
    # A symbol with its kind has 14 bits.
    pairs, where = np.unique(rows << 16 | last, return_inverse=True)
    sums = np.zeros(len(pairs), np.int64)
    np.add.at(sums, where, counts)
    return pairs >> 16, pairs & 0xFFFF, sums


def _window_arrays(windows: Sequence[Window]) -> list[pa.Array]:
    return [
        pa.array([window.observed / 1e9 for window in windows], pa.float64()),
        _integers(window.ngrams.total for window in windows),
        _integers(len(window.ngrams) for window in windows),
        _integers(sum(window.executions.values()) for window in windows),
        _integers(sum(window.connections.values()) for window in windows),
        pa.array([window.ledger.adds_up for window in windows], pa.bool_()),
    ]


_LEDGER_LINES = [line.name for line in fields(Ledger)]


def _ledger_arrays(windows: Sequence[Window]) -> list[pa.Array]:
    tallies = [getattr(window.ledger, line) for window in windows for line in _LEDGER_LINES]
    return [
        pa.array(_LEDGER_LINES * len(windows), pa.string()),
        *(_integers(tally[i] for tally in tallies) for i in range(len(Tally._fields))),
    ]


def _entries(histograms: Iterable[Mapping[Item, int]]) -> list[tuple[Item, int]]:
    return list(chain.from_iterable(histogram.items() for histogram in histograms))


def _integers(values: Iterable[int]) -> pa.Array:
    return pa.array(list(values), pa.int64())
