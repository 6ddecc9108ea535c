import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow.dataset as ds
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import numbered_window, windows

from baseline.errors import RecordingError
from baseline.recordings import Recording, RecordingWriter
from baseline.recordings.format import HEADER_FILE, PARTS_FILE, SCHEMAS
from baseline.window import Window

WINDOWS = [numbered_window(i, workload) for i in range(98, 102) for workload in ("web", "db")]


def record(path: Path, written: list[Window], flush_rows: int = 20) -> Path:
    with RecordingWriter(path, interval=1, node="web1", flush_rows=flush_rows) as writer:
        for window in written:
            writer.write(window)
    return path


def read(path: Path) -> list[Window]:
    return list(Recording(path).windows())


def read_or_refusal(path: Path) -> list[Window] | RecordingError:
    try:
        return read(path)
    except RecordingError as refused:
        return refused


def refusal(path: Path) -> str:
    with pytest.raises(RecordingError) as refused:
        read(path)
    assert refused.value.way_out
    return refused.value.problem


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return record(tmp_path / "r", WINDOWS)


PARTS_END = (0, 2, 5)
"""Windows of ``sound`` that there are before, between and after its two parts."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of two parts, one for each date, that no test changes."""
    return record(tmp_path_factory.mktemp("sound") / "r", WINDOWS[:5], flush_rows=40)


@given(st.lists(windows(), max_size=6), st.integers(1, 30))
@settings(max_examples=40)
def test_what_is_read_is_what_was_written(written: list[Window], flush_rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = record(Path(folder, "r"), written, flush_rows)
        assert read(path) == written
        recording = Recording(path)
        assert recording.window_count == len(written)
        assert recording.workloads == tuple(sorted({w.workload for w in written}))


def test_an_empty_recording_is_a_recording(tmp_path: Path) -> None:
    recording = Recording(record(tmp_path / "r", []))
    assert list(recording.windows()) == []
    assert recording.workloads == ()
    assert recording.window_count == 0


def test_a_recording_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r", interval=1, flush_rows=1) as writer:
        for i, window in enumerate(WINDOWS):
            assert read(tmp_path / "r") == WINDOWS[:i]
            writer.write(window)


def test_other_tools_read_the_folders_as_hive_partitions(recording: Path) -> None:
    (recording / "ngrams/date=2026-11-22/node=web1/.part-00009.parquet.tmp").write_text("half")
    table = ds.dataset(recording / "ngrams", format="parquet", partitioning="hive").to_table()
    assert set(table["date"].to_pylist()) == {"2026-11-22", "2026-11-23"}
    assert set(table["node"].to_pylist()) == {"web1"}
    assert sum(table["count"].to_pylist()) == sum(w.ngrams.total for w in WINDOWS)


def test_files_without_a_line_do_not_exist(recording: Path) -> None:
    lines = (recording / PARTS_FILE).read_bytes().splitlines(keepends=True)
    (recording / PARTS_FILE).write_bytes(b"".join(lines[:-1]))
    rows = json.loads(lines[-1])["files"]["windows"]["rows"]
    assert read(recording) == WINDOWS[:-rows]


def test_a_torn_last_line_is_not_committed(recording: Path) -> None:
    content = (recording / PARTS_FILE).read_bytes()
    last = len(content.splitlines(keepends=True)[-1])
    rows = json.loads(content.splitlines()[-1])["files"]["windows"]["rows"]
    for kept in (0, 1, 8, 100, last - 3, last - 2):
        (recording / PARTS_FILE).write_bytes(content[: len(content) - last + kept])
        assert read(recording) == WINDOWS[:-rows]
    (recording / PARTS_FILE).write_bytes(content[:-last] + bytes(50))  # as some disks leave it
    assert read(recording) == WINDOWS[:-rows]


def test_a_whole_last_line_without_its_end_is_committed(recording: Path) -> None:
    content = (recording / PARTS_FILE).read_bytes()
    (recording / PARTS_FILE).write_bytes(content[:-1])
    assert read(recording) == WINDOWS


def test_a_changed_line_is_refused_and_named(recording: Path) -> None:
    lines = (recording / PARTS_FILE).read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"rows"', b'"lines"')
    (recording / PARTS_FILE).write_bytes(b"".join(lines))
    assert refusal(recording) == f"{recording}/{PARTS_FILE} is damaged in line 2"


@pytest.mark.parametrize("change", [lambda lines: lines[1:], lambda lines: lines[::-1]])
def test_lines_that_are_missing_or_in_another_order_are_refused(
    recording: Path, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    title, *lines = (recording / PARTS_FILE).read_bytes().splitlines(keepends=True)
    assert len(lines) > 2
    (recording / PARTS_FILE).write_bytes(title + b"".join(change(lines)))
    assert "line 2" in refusal(recording)


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nothing") == f"{tmp_path}/nothing does not exist"
    assert "is not a recording" in refusal(tmp_path)
    (tmp_path / "file").touch()
    assert "is not a recording" in refusal(tmp_path / "file")


def test_another_version_is_refused_with_the_way_out(recording: Path) -> None:
    header = recording / HEADER_FILE
    header.write_bytes(header.read_bytes().replace(b'"version": 1', b'"version": 99'))
    with pytest.raises(RecordingError, match=r"format version 99.*version of baseline that wrote"):
        Recording(recording)


def test_a_changed_header_is_refused(recording: Path) -> None:
    header = recording / HEADER_FILE
    header.write_bytes(header.read_bytes().replace(b'"interval": 1.0', b'"interval": 9.0'))
    assert refusal(recording).endswith("does not belong to its recording.json")


def a_table(recording: Path, name: str) -> Path:
    return min((recording / name).rglob("*.parquet"))


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_missing_file_is_named(recording: Path, name: str) -> None:
    path = a_table(recording, name)
    path.unlink()
    assert refusal(recording) == f"{path} is missing"


def test_a_missing_list_of_parts_is_named(recording: Path) -> None:
    (recording / PARTS_FILE).unlink()
    assert refusal(recording) == f"{recording}/{PARTS_FILE} is missing"


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(recording: Path) -> None:
    for path in (a_table(recording, "ngrams"), recording / PARTS_FILE, recording / HEADER_FILE):
        path.unlink()
        os.mkfifo(path)
        assert refusal(recording) == f"{path} cannot be read: Not a regular file"


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_truncated_file_is_named(recording: Path, name: str) -> None:
    path = a_table(recording, name)
    path.write_bytes(path.read_bytes()[:-1])
    assert refusal(recording) == f"{path} is not what was written: its checksum differs"


def test_workloads_are_checked_too(recording: Path) -> None:
    path = a_table(recording, "windows")
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(RecordingError, match="is not what was written"):
        Recording(recording).workloads  # noqa: B018 - it reads


def changed_copy(sound: Path, folder: str, relative: str, content: bytes) -> Path:
    copy = Path(folder, "r")
    shutil.copytree(sound, copy)
    (copy / relative).write_bytes(content)
    return copy


@given(st.data())
@settings(max_examples=300)
def test_a_flipped_bit_is_never_read_as_other_windows(sound: Path, data: st.DataObject) -> None:
    files = sorted(str(p.relative_to(sound)) for p in sound.rglob("*") if p.is_file())
    relative = data.draw(st.sampled_from(files))
    content = bytearray((sound / relative).read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    with tempfile.TemporaryDirectory() as folder:
        copy = changed_copy(sound, folder, relative, bytes(content))
        found = read_or_refusal(copy)
        if isinstance(found, RecordingError):
            assert str(copy) in found.problem
        else:
            assert found == WINDOWS[:5]
            assert Recording(copy).header == Recording(sound).header


@given(st.data())
@settings(max_examples=100)
def test_a_cut_file_is_refused_or_ends_after_a_part(sound: Path, data: st.DataObject) -> None:
    files = sorted(str(p.relative_to(sound)) for p in sound.rglob("*") if p.is_file())
    relative = data.draw(st.sampled_from(files))
    content = (sound / relative).read_bytes()
    content = content[: data.draw(st.integers(0, len(content) - 1))]
    with tempfile.TemporaryDirectory() as folder:
        copy = changed_copy(sound, folder, relative, content)
        found = read_or_refusal(copy)
        if isinstance(found, RecordingError):
            assert str(copy) in found.problem
        else:
            assert relative == PARTS_FILE
            assert len(found) in PARTS_END
            assert found == WINDOWS[: len(found)]
