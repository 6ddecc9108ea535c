"""The house's way with Parquet, for recordings, models and exports alike.

zstd, row groups of about 120 thousand rows, dictionaries for text, delta encoding for times and
counts, a description on every column, and nothing read that does not have the expected columns.
"""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from baseline.errors import BaselineError

ROW_GROUP_ROWS = 120_000


def described(name: str, kind: pa.DataType, description: str) -> pa.Field:
    """A column with its description in the field's metadata; it is never null."""
    return pa.field(name, kind, nullable=False, metadata={"description": description})


def write_table(table: pa.Table, path: Path, metadata: Mapping[str, str]) -> None:
    """Write one Parquet file; ``metadata`` goes into the file's own key-value metadata."""
    has_dictionary = [f.name for f in table.schema if _holds_text(f.type)]
    integers = [f.name for f in table.schema if pa.types.is_integer(f.type)]
    pq.write_table(
        table.replace_schema_metadata(dict(metadata)),
        path,
        compression="zstd",
        row_group_size=ROW_GROUP_ROWS,
        use_dictionary=has_dictionary,
        column_encoding=dict.fromkeys(integers, "DELTA_BINARY_PACKED"),
    )


def _holds_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or (pa.types.is_list(kind) and _holds_text(kind.value_type))


def read_table(path: Path, schema: pa.Schema, error: type[BaselineError], way_out: str) -> pa.Table:
    """Read one Parquet file that must have exactly the columns of ``schema``.

    Raises:
        BaselineError: of type ``error`` and with ``way_out``, where the file is missing, damaged
            or has other columns.
    """
    try:
        table = pq.ParquetFile(path, memory_map=False).read()
    except FileNotFoundError as cause:
        raise error(f"{path} is missing", way_out) from cause
    except (pa.ArrowException, OSError, ValueError) as cause:
        raise error(f"{path} is damaged", way_out) from cause
    if not table.schema.equals(schema, check_metadata=False):
        raise error(f"{path} has other columns than this format", way_out)
    return table
