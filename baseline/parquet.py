"""The house's way with Parquet, for recordings, models and exports alike.

zstd, row groups of about 120 thousand rows, delta encoding for times, dictionaries for everything
else (the writer falls back to plain values where a dictionary does not pay), a description on every
column, and nothing read that does not have the expected columns.  Counts and n-grams are not delta
encoded: they repeat from window to window and have long tails, so that it made counts 1.7 times and
n-grams 6.7 times larger than dictionaries do.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from baseline.errors import BaselineError

ROW_GROUP_ROWS = 120_000

MAX_TABLE_BYTES = 2 << 30
"""Memory that one table may take when it is read; a larger one is refused, not loaded."""

_BATCH_ROWS = 1 << 14


def described(name: str, kind: pa.DataType, description: str) -> pa.Field:
    """A column with its description in the field's metadata; it is never null."""
    return pa.field(name, kind, nullable=False, metadata={"description": description})


def table_writer(path: Path, schema: pa.Schema, metadata: Mapping[str, str]) -> pq.ParquetWriter:
    """Open a Parquet file to write table by table; each becomes row groups of its own.

    Args:
        path: the file.
        schema: its columns.
        metadata: goes into the file's own key-value metadata.
    """
    leaves = [leaf for field in schema for leaf in _leaves(field.name, field.type)]
    times = [name for name, kind in leaves if pa.types.is_timestamp(kind)]
    return pq.ParquetWriter(
        path,
        schema.with_metadata(dict(metadata)),
        compression="zstd",
        use_dictionary=[name for name, _ in leaves if name not in times],
        column_encoding=dict.fromkeys(times, "DELTA_BINARY_PACKED"),
    )


def write_table(table: pa.Table, path: Path, metadata: Mapping[str, str]) -> None:
    """Write one Parquet file; ``metadata`` goes into the file's own key-value metadata."""
    with table_writer(path, table.schema, metadata) as writer:
        writer.write_table(table, row_group_size=ROW_GROUP_ROWS)


def _leaves(name: str, kind: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    """The columns that Parquet makes of an Arrow column, by the path Parquet gives each."""
    if pa.types.is_list(kind):
        yield from _leaves(f"{name}.list.element", kind.value_type)
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{name}.{field.name}", field.type)
    else:
        yield name, kind


def read_table(path: Path, schema: pa.Schema, error: type[BaselineError], way_out: str) -> pa.Table:
    """Read one Parquet file that must have exactly the columns of ``schema``.

    Raises:
        BaselineError: of type ``error`` and with ``way_out``, where the file is missing, damaged,
            too large (``MAX_TABLE_BYTES``) or has other columns.
    """
    try:
        return _read_table(path, schema)
    except FileNotFoundError as cause:
        raise error(f"{path} is missing", way_out) from cause
    except _UnfitTableError as cause:
        raise error(f"{path} {cause}", way_out) from cause
    except (pa.ArrowException, OSError, ValueError) as cause:
        raise error(f"{path} is damaged", way_out) from cause


def as_array(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """The numbers of a column without nulls, in its own type.

    A column's own ``to_numpy`` imports pandas wherever that is installed, which costs more time and
    memory than all of ``watch``.
    """
    none = np.empty(0, column.type.to_pandas_dtype())
    return np.concatenate([none, *(np.from_dlpack(chunk) for chunk in column.chunks)])


class _UnfitTableError(Exception):
    """The file is good Parquet, but not what was asked for."""


def _read_table(path: Path, schema: pa.Schema) -> pa.Table:
    with pq.ParquetFile(path, memory_map=False, pre_buffer=False) as file:
        if not file.schema_arrow.equals(schema, check_metadata=False):
            raise _UnfitTableError("has other columns than this format")
        batches: list[Any] = []
        size = 0
        # Batch by batch, because a small file can unfold into more than the memory there is; and in
        # no threads, which would keep rights that are given up later (baseline.kernel.rights).
        for batch in file.iter_batches(_BATCH_ROWS, use_threads=False):
            batches.append(batch)
            size += batch.nbytes
            if size > MAX_TABLE_BYTES:
                raise _UnfitTableError("holds more than this format allows")
        table = pa.Table.from_batches(batches, schema=file.schema_arrow)
    table.validate(full=True)  # text that is not UTF-8, lists that reach beyond their values
    return table.combine_chunks()
