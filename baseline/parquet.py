"""The house's way with Parquet, for recordings, models and exports alike.

zstd, row groups of about 120 thousand rows, delta encoding for times, dictionaries for everything
else (the writer falls back to plain values where a dictionary does not pay), a description on every
column, and nothing read that does not have the expected columns.  Counts and n-grams are not delta
encoded: they repeat from window to window and have long tails, so that it made counts 1.7 times and
n-grams 6.7 times larger than dictionaries do.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from baseline.errors import BaselineError
from baseline.parquet_pages import unfolded_bytes

ROW_GROUP_ROWS = 120_000

MAX_TABLE_BYTES = 2 << 30
"""Memory that one table may take when it is read; a larger one is refused, not loaded."""

_BATCH_ROWS = 1 << 14


def described(name: str, kind: pa.DataType, description: str) -> pa.Field:
    """A column with its description in the field's metadata; it is never null."""
    return pa.field(name, kind, nullable=False, metadata={"description": description})


@contextmanager
def table_writer(
    path: Path, schema: pa.Schema, metadata: Mapping[str, str]
) -> Iterator[pq.ParquetWriter]:
    """Open a Parquet file to write table by table; each becomes row groups of its own.

    Args:
        path: the file.
        schema: its columns.
        metadata: goes into the file's own key-value metadata.
    """
    leaves = [leaf for field in schema for leaf in _leaves(field.name, field.type)]
    times = [name for name, kind in leaves if pa.types.is_timestamp(kind)]
    with (
        path.open("wb") as file,  # by itself, Arrow takes only names in UTF-8
        pq.ParquetWriter(
            file,
            schema.with_metadata(dict(metadata)),
            compression="zstd",
            use_dictionary=[name for name, _ in leaves if name not in times],
            column_encoding=dict.fromkeys(times, "DELTA_BINARY_PACKED"),
        ) as writer,
    ):
        yield writer


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


def read_table(
    content: bytes, path: Path, schema: pa.Schema, error: type[BaselineError], way_out: str
) -> pa.Table:
    """Read one Parquet file that must have exactly the columns of ``schema``.

    Args:
        content: the file.
        path: what it is called in messages.
        schema: its columns.
        error: what is raised.
        way_out: what the user can do about it.

    Raises:
        BaselineError: of type ``error`` and with ``way_out``, where the file is damaged, too large
            (``MAX_TABLE_BYTES``) or has other columns.
    """
    try:
        return _read_table(content, schema)
    except _UnfitTableError as cause:
        raise error(f"{path} {cause}", way_out) from cause
    except (pa.ArrowException, OSError, ValueError, LookupError, RecursionError) as cause:
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


def _read_table(content: bytes, schema: pa.Schema) -> pa.Table:
    source = pa.BufferReader(content)
    with pq.ParquetFile(source, pre_buffer=False) as file:
        if not file.schema_arrow.equals(schema, check_metadata=False):
            raise _UnfitTableError("has other columns than this format")
        size = unfolded_bytes(content, file.metadata, MAX_TABLE_BYTES)
        written = file.schema_arrow
        leaves = [file.schema.column(index) for index in range(len(file.schema))]
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
    if size > MAX_TABLE_BYTES:
        raise _UnfitTableError("holds more than this format allows")
    batches: list[Any] = []
    # Texts are left in their dictionaries until it is known how long they are together.  Arrow
    # reads no batch that has several dictionaries below a list, so that groups are read apart.
    with pq.ParquetFile(source, read_dictionary=texts, pre_buffer=False) as file:
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], use_threads=False):
                batch.validate(full=True)  # text that is not UTF-8, lists beyond their values
                size += sum(map(_length_of_texts, batch.columns))
                if size > MAX_TABLE_BYTES:
                    raise _UnfitTableError("holds more than this format allows")
                batches.append(batch.cast(written))
    return pa.Table.from_batches(batches, schema=written).combine_chunks()


def _length_of_texts(column: pa.Array) -> int:
    """Bytes of all texts of a column once each stands for itself."""
    if pa.types.is_dictionary(column.type):
        lengths = pc.binary_length(column.dictionary)
        return int(pc.sum(lengths.take(column.indices).cast(pa.int64())).as_py() or 0)
    if pa.types.is_list(column.type):
        return _length_of_texts(column.values)
    if pa.types.is_struct(column.type):
        return sum(_length_of_texts(part) for part in column.flatten())
    return 0
