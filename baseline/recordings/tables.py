"""Windows as tables and back, and what a window may hold to be on disk.

n-grams go by whole columns; executions and connections, of which a window has few, one by one.
What is read has to pass the same rule as what is written: :func:`check`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import chain
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baseline.parquet import as_array
from baseline.recordings.format import LEDGER_COLUMNS, MAX_ENTRIES, MAX_NAMED, SCHEMAS, is_unicode
from baseline.window import (
    MAX_LINEAGE,
    Connection,
    Execution,
    Image,
    Ledger,
    NgramCounts,
    Tally,
    Window,
)

Item = TypeVar("Item", Execution, Connection)

MAX_TEXT = 4096
"""Characters that a name or a path may have (PATH_MAX of Linux)."""

_MAX_COUNT = 2**63 - 1
_MAX_UID = 2**32 - 1
_MAX_PORT = 2**16 - 1


def check(window: Window) -> None:
    """Refuse a window that a recording cannot hold.

    Raises:
        ValueError: a count is not positive, a number is out of its range, n-grams do not ascend or
            are in arrays of another type, a lineage is empty or too long, a direction is neither
            ``in`` nor ``out``, a text is too long or not Unicode, or there are more than
            ``MAX_ENTRIES`` entries or ``MAX_NAMED`` executions and connections.
    """
    _check_ngrams(window.ngrams)
    _check_all_but_ngrams(window)


def _check_all_but_ngrams(window: Window) -> None:
    """All of :func:`check` but the n-grams themselves."""
    _check_texts(window.workload, window.replica)
    _check_numbers("time", (window.start, window.end), -_MAX_COUNT, _MAX_COUNT)
    _check_numbers("observed time", (window.observed,), 0, _MAX_COUNT)
    _check_numbers("tally", _ledger_values(window.ledger), 0, _MAX_COUNT)
    for execution, count in window.executions.items():
        if not 1 <= len(execution.lineage) <= MAX_LINEAGE:
            raise ValueError(f"a lineage of {len(execution.lineage)} images")
        for image in execution.lineage:
            _check_texts(image.path, image.script)
        _check_numbers("user id", (execution.uid,), 0, _MAX_UID)
        _check_numbers("count of executions", (count,), 1, _MAX_COUNT)
    for connection, count in window.connections.items():
        if connection.direction not in ("in", "out"):
            raise ValueError("a connection that is neither in nor out")
        _check_texts(connection.protocol, connection.peer)
        _check_numbers("port", (connection.port,), 0, _MAX_PORT)
        _check_numbers("count of connections", (count,), 1, _MAX_COUNT)
    named = len(window.executions) + len(window.connections)
    if named > MAX_NAMED:
        raise ValueError(f"more than {MAX_NAMED} executions and connections")
    if len(window.ngrams) + named > MAX_ENTRIES:
        raise ValueError(f"more than {MAX_ENTRIES} entries")


def _check_texts(*texts: str) -> None:
    for text in texts:
        if len(text) > MAX_TEXT:
            raise ValueError(f"a text of {len(text)} characters")
        if not is_unicode(text):
            raise ValueError(f"a text that is not Unicode ({text!a:.80})")


def _check_numbers(what: str, numbers: Iterable[int], least: int, most: int) -> None:
    for number in numbers:
        if not least <= number <= most:
            raise ValueError(f"a {what} of {number}")


def _check_ngrams(histogram: NgramCounts) -> None:
    ngrams, counts = histogram.ngrams, histogram.counts
    types = str(ngrams.dtype), str(counts.dtype)
    if types != ("uint64", "int64") or ngrams.shape != (len(counts),):
        raise ValueError("n-grams and counts that are not two arrays of uint64 and int64")
    _check_ngram_columns(ngrams, counts, [0])


def _check_ngram_columns(
    ngrams: npt.NDArray[np.uint64], counts: npt.NDArray[np.int64], starts: Sequence[int]
) -> None:
    """The same of the n-grams of several windows, one after the other.

    Args:
        ngrams: of all windows.
        counts: of all windows.
        starts: where those of each window begin.
    """
    ascends = np.append(True, ngrams[1:] > ngrams[:-1])
    ascends[[start for start in starts if start < len(ngrams)]] = True
    if not ascends[: len(ngrams)].all():
        raise ValueError("n-grams that do not ascend")
    if not np.all(counts > 0):
        raise ValueError("a count of n-grams that is not positive")


def _ledger_values(ledger: Ledger) -> list[int]:
    return list(chain.from_iterable(getattr(ledger, line.name) for line in fields(ledger)))


def _ledger(values: Sequence[int]) -> Ledger:
    size = len(Tally._fields)
    return Ledger(*(Tally(*values[i : i + size]) for i in range(0, len(values), size)))


def to_tables(windows: Sequence[Window], first: int) -> dict[str, pa.Table]:
    """Tables of windows that passed :func:`check`.

    Args:
        windows: the windows in the order in which they were written.
        first: number of the first one in the recording.

    Returns:
        One table for each of ``SCHEMAS``.
    """
    order = sorted(range(len(windows)), key=lambda i: (windows[i].workload, windows[i].end))
    rows = [windows[i] for i in order]
    ledgers = np.array([_ledger_values(window.ledger) for window in rows], np.int64)
    windows_table = _table(
        "windows",
        [
            np.array(order, np.int64) + first,
            [window.workload for window in rows],
            [window.end for window in rows],
            [window.start for window in rows],
            [window.replica for window in rows],
            [window.observed for window in rows],
            *ledgers.reshape(-1, len(LEDGER_COLUMNS)).T,
        ],
    )
    executions = list(chain.from_iterable(window.executions for window in rows))
    connections = list(chain.from_iterable(window.connections for window in rows))

    def below(name: str, lengths: list[int], columns: Sequence[object]) -> pa.Table:
        keys = windows_table.select(["window", "workload", "end_time"])
        return _table(name, [*keys.take(np.repeat(np.arange(len(rows)), lengths)), *columns])

    return {
        "windows": windows_table,
        "ngrams": below(
            "ngrams",
            [len(window.ngrams) for window in rows],
            [
                np.concatenate([np.empty(0, np.uint64), *(w.ngrams.ngrams for w in rows)]),
                np.concatenate([np.empty(0, np.int64), *(w.ngrams.counts for w in rows)]),
            ],
        ),
        "executions": below(
            "executions",
            [len(window.executions) for window in rows],
            [
                _lineage_column([execution.lineage for execution in executions]),
                [execution.uid for execution in executions],
                list(chain.from_iterable(window.executions.values() for window in rows)),
            ],
        ),
        "connections": below(
            "connections",
            [len(window.connections) for window in rows],
            [
                *([connection[i] for connection in connections] for i in range(4)),
                list(chain.from_iterable(window.connections.values() for window in rows)),
            ],
        ),
    }


def _table(name: str, columns: Sequence[object]) -> pa.Table:
    schema = SCHEMAS[name]
    arrays = [
        column if isinstance(column, pa.Array | pa.ChunkedArray) else pa.array(column, field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _lineage_column(lineages: Sequence[tuple[Image, ...]]) -> pa.Array:
    kind = SCHEMAS["executions"].field("lineage").type
    images = list(chain.from_iterable(lineages))
    columns = [
        pa.array([image[i] for image in images], field.type)
        for i, field in enumerate(kind.value_type)
    ]
    return pa.ListArray.from_arrays(
        np.cumsum([0, *map(len, lineages)], dtype=np.int32),
        pa.StructArray.from_arrays(columns, fields=list(kind.value_type)),
        type=kind,
    )


def from_tables(tables: Mapping[str, pa.Table], first: int, node: str) -> list[Window]:
    """Windows of one part, in the order in which they were written; inverse of :func:`to_tables`.

    Raises:
        ValueError: the tables do not belong together, or a window does not pass :func:`check`.
    """
    table = tables["windows"]
    numbers = as_array(table["window"])
    if not np.array_equal(np.sort(numbers), np.arange(first, first + len(numbers))):
        raise ValueError("windows that are not numbered as committed")
    row_of = np.argsort(numbers)
    bounds = {name: _bounds(tables[name], row_of, first) for name in tables if name != "windows"}

    workloads, replicas = table["workload"].to_pylist(), table["replica"].to_pylist()
    starts, ends = (table[name].cast(pa.int64()).to_pylist() for name in ("start_time", "end_time"))
    observed = table["observed_ns"].to_pylist()
    ledgers = np.stack([as_array(table[name]) for name in LEDGER_COLUMNS], axis=1).tolist()
    ngrams, ngram_counts = (as_array(tables["ngrams"][name]) for name in ("ngram", "count"))
    _check_ngram_columns(ngrams, ngram_counts, bounds["ngrams"])
    executions = _executions(tables["executions"])
    connections = _connections(tables["connections"])

    windows = []
    for row in row_of.tolist():
        of = {name: slice(bound[row], bound[row + 1]) for name, bound in bounds.items()}
        window = Window(
            workload=workloads[row],
            replica=replicas[row],
            start=starts[row],
            end=ends[row],
            observed=observed[row],
            ngrams=NgramCounts(ngrams[of["ngrams"]], ngram_counts[of["ngrams"]]),
            executions=_mapping(executions[of["executions"]]),
            connections=_mapping(connections[of["connections"]]),
            ledger=_ledger(ledgers[row]),
            node=node,
        )
        _check_all_but_ngrams(window)
        windows.append(window)
    return windows


def _bounds(table: pa.Table, row_of: npt.NDArray[np.int64], first: int) -> list[int]:
    """Where the entries of each row of the windows' table begin, and where the last ones end."""
    numbers = as_array(table["window"])
    if len(numbers) and not (first <= numbers.min() and numbers.max() < first + len(row_of)):
        raise ValueError("an entry of a window that is not in the part")
    rows = row_of[numbers - first]
    if not np.all(rows[1:] >= rows[:-1]):
        raise ValueError("entries that are not in the order of their windows")
    bounds: list[int] = np.searchsorted(rows, np.arange(len(row_of) + 1)).tolist()
    return bounds


def _mapping(entries: list[tuple[Item, int]]) -> dict[Item, int]:
    mapping = dict(entries)
    if len(mapping) != len(entries):
        raise ValueError("an execution or a connection that repeats within a window")
    return mapping


def _executions(table: pa.Table) -> list[tuple[Execution, int]]:
    lineages = table["lineage"].combine_chunks()
    if len(lineages.values) > MAX_LINEAGE * len(lineages):
        raise ValueError("lineages that are too long")
    starts = lineages.offsets.to_pylist()
    images = list(map(Image, *(c.to_pylist() for c in lineages.values.flatten())))
    return [
        (Execution(tuple(images[start:end]), uid), count)
        for start, end, uid, count in zip(
            starts, starts[1:], table["uid"].to_pylist(), table["count"].to_pylist(), strict=False
        )
    ]


def _connections(table: pa.Table) -> list[tuple[Connection, int]]:
    columns = (table[name].to_pylist() for name in Connection._fields)
    return list(zip(map(Connection, *columns), table["count"].to_pylist(), strict=True))
