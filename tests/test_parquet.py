import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from full_disk import largest_file

import baseline.parquet
from baseline.errors import ModelError
from baseline.parquet import (
    ROW_GROUP_ROWS,
    as_array,
    described,
    read_table,
    table_writer,
    write_table,
)

SCHEMA = pa.schema(
    [
        described("name", pa.string(), "text"),
        described("time", pa.timestamp("ns", tz="UTC"), "a time"),
        described("count", pa.int64(), "a count"),
        described(
            "images",
            pa.list_(pa.field("element", pa.struct([pa.field("path", pa.string(), False)]), False)),
            "a list of structs",
        ),
    ]
)


def some_table(rows: int = 3) -> pa.Table:
    return pa.table(
        {
            "name": ["web"] * rows,
            "time": np.arange(rows) * 10**9,
            "count": np.arange(rows),
            "images": [[{"path": "/bin/sh"}, {"path": "/bin/ls"}]] * rows,
        },
        schema=SCHEMA,
    )


def read(path: Path, schema: pa.Schema = SCHEMA) -> pa.Table:
    return read_table(path.read_bytes(), path, schema, ModelError, "Learn again")


def refusal(path: Path, schema: pa.Schema = SCHEMA) -> str:
    with pytest.raises(ModelError) as refused:
        read(path, schema)
    assert refused.value.way_out == "Learn again"
    return refused.value.problem


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_table(some_table(), tmp_path / "t.parquet", {"version": "7"})
    table = read(tmp_path / "t.parquet")
    assert table.equals(some_table())
    assert table.schema.metadata == {b"version": b"7"}
    assert table.schema.field("count").metadata == {b"description": b"a count"}


def test_an_empty_table_is_read(tmp_path: Path) -> None:
    write_table(some_table(0), tmp_path / "t.parquet", {})
    assert read(tmp_path / "t.parquet").num_rows == 0


def test_compression_encodings_and_row_groups(tmp_path: Path) -> None:
    write_table(some_table(ROW_GROUP_ROWS + 1), tmp_path / "t.parquet", {})
    metadata = pq.ParquetFile(tmp_path / "t.parquet").metadata
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    assert [group.num_rows for group in groups] == [ROW_GROUP_ROWS, 1]
    columns = {c.path_in_schema: c for c in (groups[0].column(i) for i in range(4))}
    assert {column.compression for column in columns.values()} == {"ZSTD"}
    assert "DELTA_BINARY_PACKED" in columns["time"].encodings
    for name in ("name", "count", "images.list.element.path"):
        assert "RLE_DICTIONARY" in columns[name].encodings


def test_tables_can_be_appended(tmp_path: Path) -> None:
    with table_writer(tmp_path / "t.parquet", SCHEMA, {"a": "b"}) as writer:
        writer.write_table(some_table(1))
        writer.write_table(some_table(2))
    table = read(tmp_path / "t.parquet")
    assert table.equals(pa.concat_tables([some_table(1), some_table(2)]))


def test_a_name_need_not_be_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.parquet")
    write_table(some_table(), path, {})
    assert read(path).equals(some_table())


@pytest.mark.parametrize("size", [0, 4, 1000, 20_000])
def test_a_full_disk_is_an_error_of_the_system(tmp_path: Path, size: int) -> None:
    """Wherever in the file it is full: at its end, too, which is written on closing."""
    table = pa.table({"n": np.random.default_rng(1).integers(0, 1 << 60, 10_000)})
    with largest_file(size), pytest.raises(OSError, match="File too large"):
        write_table(table, tmp_path / "t.parquet", {})


def test_a_truncated_file_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(some_table(), path, {})
    path.write_bytes(path.read_bytes()[:-1])
    assert refusal(path) == f"{path} is damaged"


def test_other_columns_are_refused(tmp_path: Path) -> None:
    write_table(some_table().drop_columns("count"), tmp_path / "t.parquet", {})
    assert refusal(tmp_path / "t.parquet").endswith("has other columns than this format")


def test_text_that_is_not_utf8_is_damage(tmp_path: Path) -> None:
    schema = pa.schema([described("name", pa.string(), "text")])
    invalid = pa.array([b"\xff"]).view(pa.string())
    write_table(pa.Table.from_arrays([invalid], schema=schema), tmp_path / "t.parquet", {})
    assert refusal(tmp_path / "t.parquet", schema).endswith("is damaged")


def test_a_small_file_that_unfolds_beyond_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = pa.schema([described("name", pa.string(), "text")])
    path = tmp_path / "t.parquet"
    write_table(pa.table({"name": ["x" * 4096] * 4096}, schema=schema), path, {})
    assert path.stat().st_size < 100_000
    assert read(path, schema).num_rows == 4096
    monkeypatch.setattr(baseline.parquet, "MAX_TABLE_BYTES", 1 << 20)
    assert refusal(path, schema).endswith("holds more than this format allows")


@pytest.mark.parametrize("kind", [pa.uint8(), pa.uint16(), pa.uint64(), pa.int64(), pa.float64()])
@pytest.mark.parametrize("chunks", [[], [[]], [[1, 2]], [[1], [], [200, 3]]])
def test_numbers_are_those_of_the_column(kind: pa.DataType, chunks: list[list[int]]) -> None:
    array = as_array(pa.chunked_array(chunks, kind))
    assert array.tolist() == [number for chunk in chunks for number in chunk]
    assert pa.from_numpy_dtype(array.dtype) == kind
