"""Whatever a recording consists of: it is refused with one sentence, or it is read as windows."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzzing import (
    DEPTHS,
    changed_bytes,
    changed_document,
    changed_json,
    fuzzed,
    nested,
    refusal_of,
)
from hypothesis import given
from hypothesis import strategies as st
from strategies import numbered_window

import baseline.recordings.reader
from baseline.errors import RecordingError
from baseline.parquet import write_table
from baseline.recordings import Recording, RecordingWriter
from baseline.recordings.format import (
    HEADER_FILE,
    MAX_NAMED,
    MAX_PART_ROWS,
    PARTS_FILE,
    SCHEMAS,
    parts_title,
)
from baseline.recordings.tables import check, to_tables


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of two parts that no test changes."""
    path = tmp_path_factory.mktemp("sound") / "r"
    with RecordingWriter(path, interval=1, node="web1", flush_rows=20) as writer:
        for number in range(5):
            writer.write(numbered_window(number))
    return path


@contextmanager
def copy_of(path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield shutil.copytree(path, Path(folder, "r"))


def parts_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in (path / PARTS_FILE).read_bytes().splitlines()[1:]]


def write_parts(path: Path, parts: list[Any]) -> None:
    """Put other parts in their place, with a first line that fits the header."""
    title = parts_title(sha256((path / HEADER_FILE).read_bytes()).hexdigest())
    lines = [title, *(json.dumps(part).encode() for part in parts)]
    (path / PARTS_FILE).write_bytes(b"".join(line + b"\n" for line in lines))


def forge(path: Path, table: str, content: bytes, rows: int | None = None) -> None:
    """Put another table into the first part, and make what is said of it fit."""
    parts = parts_of(path)
    entry = parts[0]["files"][table]
    (path / entry["path"]).write_bytes(content)
    entry |= {"bytes": len(content), "sha256": sha256(content).hexdigest()}
    if rows is not None:
        entry["rows"] = rows
    write_parts(path, parts)


def read_or_refuse(path: Path) -> str | None:
    def use() -> None:
        recording = Recording(path)
        assert recording.workloads is not None
        for window in recording.windows():
            check(window)

    return refusal_of(use, RecordingError)


def test_it_is_sound(sound: Path) -> None:
    assert read_or_refuse(sound) is None


@given(st.data())
@fuzzed(100)
def test_any_header_is_refused_or_usable(sound: Path, data: st.DataObject) -> None:
    header = json.loads((sound / HEADER_FILE).read_text())
    with copy_of(sound) as path:
        (path / HEADER_FILE).write_bytes(data.draw(changed_document(header)))
        write_parts(path, parts_of(path))
        read_or_refuse(path)


@pytest.mark.parametrize("field", ["format", "version", "node", "interval", "syscalls"])
def test_a_header_of_any_depth_is_refused_or_usable(sound: Path, field: str) -> None:
    header = json.dumps(json.loads((sound / HEADER_FILE).read_text()) | {field: "here"})
    with copy_of(sound) as path:
        for depth in DEPTHS:
            (path / HEADER_FILE).write_text(header.replace('"here"', nested(depth)))
            write_parts(path, parts_of(sound))
            read_or_refuse(path)


@pytest.mark.parametrize("field", ["path", "rows", "bytes", "sha256"])
def test_a_part_of_any_depth_is_refused(sound: Path, field: str) -> None:
    parts = parts_of(sound)
    parts[0]["files"]["ngrams"][field] = "here"
    with copy_of(sound) as path:
        write_parts(path, parts)
        content = (path / PARTS_FILE).read_text()
        for depth in DEPTHS:
            (path / PARTS_FILE).write_text(content.replace('"here"', nested(depth)))
            assert read_or_refuse(path)


@given(st.data())
@fuzzed(80)
def test_any_list_of_parts_is_refused_or_usable(sound: Path, data: st.DataObject) -> None:
    with copy_of(sound) as path:
        parts = data.draw(changed_json(parts_of(path)))
        write_parts(path, parts if isinstance(parts, list) else [parts])
        read_or_refuse(path)


@given(st.data())
@fuzzed(60)
def test_any_bytes_of_a_list_of_parts_are_refused_or_usable(
    sound: Path, data: st.DataObject
) -> None:
    content = (sound / PARTS_FILE).read_bytes()
    with copy_of(sound) as path:
        (path / PARTS_FILE).write_bytes(data.draw(changed_bytes(content)))
        read_or_refuse(path)


@given(st.data())
@fuzzed(100)
def test_any_table_is_refused_or_read_as_windows(sound: Path, data: st.DataObject) -> None:
    table = data.draw(st.sampled_from(list(SCHEMAS)))
    with copy_of(sound) as path:
        content = (path / parts_of(path)[0]["files"][table]["path"]).read_bytes()
        forge(path, table, data.draw(changed_bytes(content) | st.binary(max_size=99)))
        read_or_refuse(path)


VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): st.text() | st.sampled_from(["x" * 5000, "\0", "in", "out"]),
    pa.uint16(): st.integers(0, 2**16 - 1),
    pa.uint32(): st.integers(0, 2**32 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.timestamp("ns", "UTC"): st.integers(-(2**63), 2**63 - 1),
}
images = st.fixed_dictionaries(
    {"path": VALUES[pa.string()], "script": VALUES[pa.string()], "unlinked": st.booleans()}
)


@given(st.data())
@fuzzed(80)
def test_any_cell_is_refused_or_read_as_windows(sound: Path, data: st.DataObject) -> None:
    table = data.draw(st.sampled_from(list(SCHEMAS)))
    with copy_of(sound) as path:
        file = path / parts_of(path)[0]["files"][table]["path"]
        written = pq.read_table(file, partitioning=None)
        column = data.draw(st.integers(0, written.num_columns - 1))
        field = written.schema.field(column)
        values = written.column(column).to_pylist()
        value = data.draw(VALUES.get(field.type, st.lists(images, max_size=20)))
        values[data.draw(st.integers(0, len(values) - 1))] = value
        write_table(written.set_column(column, field, pa.array(values, field.type)), file, {})
        forge(path, table, file.read_bytes())
        read_or_refuse(path)


def test_a_table_with_other_rows_than_committed_is_refused(sound: Path) -> None:
    with copy_of(sound) as path:
        rows = parts_of(path)[0]["files"]["windows"]["rows"]
        file = path / parts_of(path)[0]["files"]["windows"]["path"]
        forge(path, "windows", file.read_bytes(), rows + 1)
        assert read_or_refuse(path) == f"{file} has other rows than were committed"


def test_windows_of_other_numbers_are_refused(sound: Path) -> None:
    with copy_of(sound) as path:
        file = path / parts_of(path)[0]["files"]["windows"]["path"]
        rows = parts_of(path)[0]["files"]["windows"]["rows"]
        windows = [numbered_window(number) for number in range(rows)]
        write_table(to_tables(windows, 7)["windows"], file, {})
        forge(path, "windows", file.read_bytes())
        assert str(read_or_refuse(path)).startswith(f"{path} holds in part 0 windows that are not")


@pytest.mark.parametrize("relative", ["/etc/passwd", "../r/recording.json", "windows/../../x"])
@pytest.mark.parametrize("table", SCHEMAS)
def test_paths_of_parts_lead_nowhere(sound: Path, table: str, relative: str) -> None:
    with copy_of(sound) as path:
        parts = parts_of(path)
        parts[0]["files"][table]["path"] = relative
        write_parts(path, parts)
        assert read_or_refuse(path) == f"{path}/{PARTS_FILE} is not as it was written in line 2"


def test_more_parts_than_fit_in_memory_are_refused(
    sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baseline.recordings.reader, "MAX_PARTS", 1)
    assert read_or_refuse(sound) == f"{sound}/{PARTS_FILE} has more than 1 parts"


def test_a_header_that_is_too_large_is_refused(sound: Path) -> None:
    with copy_of(sound) as path:
        with (path / HEADER_FILE).open("ab") as file:
            file.write(b" " * (1 << 20))
        write_parts(path, parts_of(path))
        assert read_or_refuse(path) == f"{path}/{HEADER_FILE} cannot be read: File too large"


READER = """
import re, sys
from pathlib import Path
from baseline.errors import RecordingError
from baseline.recordings import Recording
try:
    for window in Recording(Path(sys.argv[1])).windows():
        pass
except RecordingError as error:
    print(error.problem)
# Not ru_maxrss, which a process has from the one that started it (fs/exec.c).
print(int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10)
"""


def reading(path: Path) -> tuple[str, int]:
    """What reading it in a process of its own says, and the MiB that it took."""
    done = subprocess.run(
        [sys.executable, "-c", READER, path], capture_output=True, text=True, check=True
    )
    *problems, memory = done.stdout.splitlines()
    return "".join(problems), int(memory)


@pytest.mark.parametrize("table", ["windows", "executions", "connections"])
def test_rows_that_would_become_too_many_objects_are_refused(sound: Path, table: str) -> None:
    """The same row over and over takes no place on disk."""
    rows = MAX_PART_ROWS[table] + 1
    with copy_of(sound) as path:
        file = path / parts_of(path)[0]["files"][table]["path"]
        again = pa.array(np.zeros(rows, np.int64))
        write_table(pq.read_table(file, partitioning=None).take(again), file, {})
        assert file.stat().st_size < 200_000
        forge(path, table, file.read_bytes(), rows)
        problem, memory = reading(path)
        assert problem == f"{path}/{PARTS_FILE} is not as it was written in line 2"
        assert memory < 500
        forge(path, table, file.read_bytes(), 1)
        problem, memory = reading(path)
        assert problem == f"{path}/{file.relative_to(path)} has other rows than were committed"
        assert memory < 1000


def test_lineages_without_an_end_are_refused(sound: Path) -> None:
    with copy_of(sound) as path:
        file = path / parts_of(path)[0]["files"]["executions"]["path"]
        written = pq.read_table(file, partitioning=None)
        field = written.schema.field("lineage")
        image = {"path": "", "script": "", "unlinked": False}
        lineages = [[image] * 1_000_000, *written["lineage"].to_pylist()[1:]]
        at = written.schema.get_field_index("lineage")
        write_table(written.set_column(at, field, pa.array(lineages, field.type)), file, {})
        forge(path, "executions", file.read_bytes())
        problem, memory = reading(path)
        assert problem == f"{path} holds in part 0 lineages that are too long"
        assert memory < 500


def test_a_window_of_too_many_names_is_not_written(tmp_path: Path) -> None:
    window = numbered_window(1)
    (connection,) = list(window.connections)[:1]
    many = {connection._replace(peer=str(n)): 1 for n in range(MAX_NAMED + 1)}
    window.connections.update(many)  # type: ignore[attr-defined]  # a dictionary there
    with (
        RecordingWriter(tmp_path / "r", interval=1) as writer,
        pytest.raises(ValueError, match="more than 250000 executions and connections"),
    ):
        writer.write(window)
