"""Parquet that is small on disk and large in memory, or none at all."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzzing import changed_bytes, fuzzed, refusal_of
from hypothesis import given
from hypothesis import strategies as st

from baseline.errors import ModelError
from baseline.parquet import MAX_TABLE_BYTES, described, read_table, write_table
from baseline.parquet_pages import unfolded_bytes

IMAGE = pa.struct([described("path", pa.string(), "a path"), described("gone", pa.bool_(), "is")])
SCHEMA = pa.schema(
    [
        described("text", pa.string(), "text"),
        described("number", pa.int64(), "a number"),
        described("images", pa.list_(pa.field("element", IMAGE, nullable=False)), "a list"),
    ]
)
LIMIT = 64 << 20

READER = f"""
import resource, sys
from pathlib import Path
import pyarrow as pa
import baseline.parquet
from baseline.errors import ModelError

baseline.parquet.MAX_TABLE_BYTES = {LIMIT}
path = Path(sys.argv[1])
schema = pa.ipc.read_schema(pa.BufferReader(Path(sys.argv[2]).read_bytes()))
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + {LIMIT * 6},) * 2)
try:
    print(baseline.parquet.read_table(path.read_bytes(), path, schema, ModelError, "").num_rows)
except ModelError as error:
    print(error.problem)
"""


def reading(path: Path, schema: pa.Schema = SCHEMA) -> str:
    """What a process says to a file that has memory for it and a little more."""
    (path.parent / "schema").write_bytes(schema.serialize().to_pybytes())
    done = subprocess.run(
        [sys.executable, "-c", READER, path, path.parent / "schema"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def table(text: str = "", images: int = 1, rows: int = 1) -> pa.Table:
    image = {"path": text, "gone": True}
    return pa.table(
        {
            "text": pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), [text]),
            "number": np.zeros(rows, np.int64),
            "images": pa.array([[image] * images] * rows, SCHEMA.field("images").type),
        }
    )


def write(path: Path, table: pa.Table, times: int = 1, **options: object) -> None:
    """Write with none of the care that our own writer takes."""
    fields = [
        pa.field(field.name, table.schema.field(field.name).type, nullable=False)
        for field in SCHEMA
    ]
    schema = pa.schema(fields)
    chosen = {"compression": "zstd", "store_schema": False, "dictionary_pagesize_limit": 1 << 30}
    with pq.ParquetWriter(path, schema, **(chosen | options)) as writer:
        for _ in range(times):
            writer.write_table(table.cast(schema))


BOMBS: dict[str, Callable[[Path], None]] = {
    "one long text, many times": lambda path: write(path, table("x" * (1 << 20), 0, 1 << 14)),
    "a long text in a list": lambda path: write(path, table("x" * (1 << 16), 2000)),
    "many numbers": lambda path: write(path, table(rows=1 << 20, images=0), times=8),
    "a long list": lambda path: write(path, table(images=1 << 22)),
    "long pages": lambda path: write(path, table("x" * (30 << 20)), 3, use_dictionary=False),
    "many pages": lambda path: write(
        path, table(rows=1 << 13), data_page_size=1, write_batch_size=1, use_dictionary=False
    ),
    "many groups of rows": lambda path: write(path, table(), times=1 << 12),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_is_small_and_unfolds_into_too_much_is_refused(tmp_path: Path, bomb: str) -> None:
    path = tmp_path / "t.parquet"
    BOMBS[bomb](path)
    assert path.stat().st_size < LIMIT / 16
    assert reading(path) == f"{path} holds more than this format allows"


def test_what_unfolds_into_just_enough_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write(path, table("x" * (1 << 20), 0, 50))
    assert path.stat().st_size < 10_000
    assert reading(path) == "50"


columns = st.lists(
    st.tuples(
        st.text(max_size=9),
        st.integers(-(2**63), 2**63 - 1),
        st.lists(st.fixed_dictionaries({"path": st.text(max_size=9), "gone": st.booleans()})),
    ),
    max_size=20,
)


@given(columns)
@fuzzed(100)
def test_pages_claim_what_the_footer_of_an_honest_file_says(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, list[object]]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "honest.parquet"
    names = SCHEMA.names
    written = pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], SCHEMA)
    write_table(written, path, {})
    content = path.read_bytes()
    metadata = pq.ParquetFile(path).metadata
    chunks = [metadata.row_group(0).column(i) for i in range(metadata.num_columns)]
    claimed = unfolded_bytes(content, metadata, MAX_TABLE_BYTES)
    said = sum(c.total_uncompressed_size + 8 * c.num_values for c in chunks if c.num_values)
    values = sum(chunk.num_values for chunk in chunks)
    assert said <= claimed <= said + 8 * values + 2 * len(chunks) * 4096
    assert read_table(content, path, SCHEMA, ModelError, "").equals(written)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "t.parquet"
    write_table(table("text", 3, 9).cast(SCHEMA), path, {})
    return path.read_bytes()


@given(st.data())
@fuzzed(300)
def test_any_pages_have_a_size_or_are_refused(sound: bytes, data: st.DataObject) -> None:
    metadata = pq.ParquetFile(pa.BufferReader(sound)).metadata
    content = data.draw(changed_bytes(sound) | st.binary(min_size=len(sound), max_size=2000))
    try:
        assert unfolded_bytes(content, metadata, LIMIT) >= 0
    except ValueError:
        return


def test_what_is_inside_of_a_list_may_have_another_name(sound: bytes) -> None:
    """Parquet names the group between a list and its elements; Arrow does not look at it."""
    other = sound.replace(b"\x04list", b"\x04lisu")
    assert other != sound
    assert read_table(other, Path("t"), SCHEMA, ModelError, "").num_rows == 9


@given(st.data())
@fuzzed(300)
def test_any_file_is_a_table_or_refused(sound: bytes, data: st.DataObject) -> None:
    content = data.draw(changed_bytes(sound) | st.binary(max_size=99))
    path = Path("t.parquet")

    def use() -> None:
        read = read_table(content, path, SCHEMA, ModelError, "Learn again")
        assert read.schema.equals(SCHEMA)
        assert len(read.to_pylist()) == read.num_rows

    refusal_of(use, ModelError)
