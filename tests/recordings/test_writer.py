import json
import platform
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from full_disk import largest_file
from strategies import MIDNIGHT, numbered_window

from baseline.durable import sha256
from baseline.errors import OutputError, UsageError
from baseline.recordings import Recording, RecordingWriter
from baseline.recordings.format import SCHEMAS
from baseline.syscalls import ARCHITECTURE
from baseline.window import Window


def record(path: Path, windows: list[Window], **options: object) -> Recording:
    with RecordingWriter(path, interval=1.0, **options) as writer:  # type: ignore[arg-type]  # any
        for window in windows:
            writer.write(window)
    return Recording(path)


def parts(path: Path) -> list[dict[str, dict[str, dict[str, object]]]]:
    return [json.loads(line) for line in (path / "parts.jsonl").read_text().splitlines()[1:]]


def files_below(path: Path) -> set[str]:
    return {str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()}


def test_the_layout_is_hive_folders_by_date_and_node(tmp_path: Path) -> None:
    record(tmp_path / "r", [numbered_window(0)], node="web1")
    assert files_below(tmp_path / "r") == {
        "recording.json",
        "parts.jsonl",
        *(f"{table}/date=2026-11-22/node=web1/part-00000.parquet" for table in SCHEMAS),
    }


def test_a_line_commits_the_files_of_a_part(tmp_path: Path) -> None:
    record(tmp_path / "r", [numbered_window(0), numbered_window(1)])
    (part,) = parts(tmp_path / "r")
    rows = {table: file["rows"] for table, file in part["files"].items()}
    assert rows == {"windows": 2, "ngrams": 10, "executions": 2, "connections": 4}
    for file in part["files"].values():
        path = tmp_path / "r" / str(file["path"])
        assert (file["bytes"], file["sha256"]) == (path.stat().st_size, sha256(path))


def test_files_tell_version_architecture_and_columns(tmp_path: Path) -> None:
    record(tmp_path / "r", [numbered_window(0)], architecture="aarch64")
    for table, schema in SCHEMAS.items():
        (path,) = (tmp_path / "r" / table).rglob("*.parquet")
        read = pq.ParquetFile(path).schema_arrow
        assert read.metadata[b"version"] == b"1"
        assert read.metadata[b"architecture"] == b"aarch64"
        assert read.equals(schema)
        assert all(field.metadata[b"description"] for field in read)


def test_encodings(tmp_path: Path) -> None:
    record(tmp_path / "r", [numbered_window(i) for i in range(20)])
    encodings = {}
    for path in (tmp_path / "r").rglob("*.parquet"):
        group = pq.ParquetFile(path).metadata.row_group(0)
        for column in (group.column(i) for i in range(group.num_columns)):
            assert column.compression == "ZSTD"
            encodings[path.relative_to(tmp_path / "r").parts[0], column.path_in_schema] = (
                column.encodings
            )
    assert "DELTA_BINARY_PACKED" in encodings["ngrams", "end_time"]
    assert "RLE_DICTIONARY" in encodings["ngrams", "ngram"]
    assert "RLE_DICTIONARY" in encodings["ngrams", "workload"]
    assert "RLE_DICTIONARY" in encodings["executions", "lineage.list.element.path"]


def test_what_the_recording_says_of_itself(tmp_path: Path) -> None:
    recording = record(tmp_path / "r", [])
    assert recording.architecture == ARCHITECTURE
    assert recording.node == platform.node()
    assert recording.header.kernel == platform.release()
    assert recording.interval == 1.0


def test_an_interval_or_architecture_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="interval"):
        RecordingWriter(tmp_path / "r", interval=0)
    with pytest.raises(ValueError, match="architecture"):
        RecordingWriter(tmp_path / "r", interval=1, architecture="pdp11")
    assert not list(tmp_path.iterdir())


def test_every_part_is_of_one_date(tmp_path: Path) -> None:
    windows = [numbered_window(i) for i in (97, 98, 100, 99)]
    assert windows[3].end == MIDNIGHT
    recording = record(tmp_path / "r", windows, node="n")
    assert list(recording.windows()) == windows
    assert [part["files"]["windows"]["path"] for part in parts(tmp_path / "r")] == [
        "windows/date=2026-11-22/node=n/part-00000.parquet",
        "windows/date=2026-11-23/node=n/part-00001.parquet",
    ]


def test_parts_are_written_by_rows(tmp_path: Path) -> None:
    windows = [numbered_window(i) for i in range(5)]  # of 9 rows each
    recording = record(tmp_path / "r", windows, flush_rows=10)
    assert list(recording.windows()) == windows
    assert [part["files"]["windows"]["rows"] for part in parts(tmp_path / "r")] == [2, 2, 1]


def test_windows_wait_until_they_are_due(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r", interval=1, flush_seconds=0) as writer:
        writer.write(numbered_window(0))
        assert Recording(tmp_path / "r").window_count == 1
    with RecordingWriter(tmp_path / "s", interval=1, flush_seconds=3600) as writer:
        writer.write(numbered_window(0))
        assert Recording(tmp_path / "s").window_count == 0
        writer.flush()
        assert Recording(tmp_path / "s").window_count == 1
        writer.write(numbered_window(1))
    assert Recording(tmp_path / "s").window_count == 2


def test_what_was_taken_is_written_whatever_ends_the_writing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with RecordingWriter(tmp_path / "r", interval=1) as writer:
            writer.write(numbered_window(0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(Recording(tmp_path / "r").windows()) == [numbered_window(0)]


def test_a_window_that_cannot_be_held_does_not_spoil_the_others(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r", interval=1) as writer:
        writer.write(numbered_window(0))
        with pytest.raises(ValueError, match="not Unicode"):
            writer.write(numbered_window(1, workload="\udcff"))
        writer.write(numbered_window(2))
    windows = list(Recording(tmp_path / "r").windows())
    assert windows == [numbered_window(0), numbered_window(2)]


def test_an_existing_path_is_refused(tmp_path: Path) -> None:
    record(tmp_path / "r", [numbered_window(0)])
    with pytest.raises(UsageError, match="exists"):
        record(tmp_path / "r", [])
    assert Recording(tmp_path / "r").window_count == 1


def test_force_replaces_a_recording_and_nothing_else(tmp_path: Path) -> None:
    record(tmp_path / "r", [numbered_window(0), numbered_window(1)])
    windows = [numbered_window(7)]
    assert list(record(tmp_path / "r", windows, force=True).windows()) == windows
    assert [p.name for p in tmp_path.iterdir()] == ["r"]
    with pytest.raises(UsageError, match=r"holds no recording\.json"):
        record(tmp_path, [], force=True)


def test_a_recording_that_is_being_written_is_not_replaced(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r", interval=1) as writer:
        with pytest.raises(UsageError, match="being written"):
            RecordingWriter(tmp_path / "r", interval=1, force=True)
        writer.write(numbered_window(0))
    assert list(Recording(tmp_path / "r").windows()) == [numbered_window(0)]


def test_a_recording_that_is_removed_while_it_is_written_is_not_lost_in_silence(
    tmp_path: Path,
) -> None:
    writer = RecordingWriter(tmp_path / "r", interval=1)
    shutil.rmtree(tmp_path / "r")
    writer.write(numbered_window(0))
    with pytest.raises(OutputError, match="was removed"):
        writer.close()
    assert not (tmp_path / "r").exists()


def test_a_parent_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="parents are folders"):
        RecordingWriter(tmp_path / "file" / "r", interval=1)


@pytest.mark.parametrize("victim", ["part-00020.parquet", "parts.jsonl"])
def test_nothing_is_lost_on_a_disk_that_is_full_for_a_while(tmp_path: Path, victim: str) -> None:
    windows = [numbered_window(i) for i in range(23)]
    lines = tmp_path / "r" / "parts.jsonl"
    with RecordingWriter(tmp_path / "r", interval=1, flush_seconds=3600) as writer:
        for window in windows[:20]:
            writer.write(window)
            writer.flush()
        size = lines.stat().st_size
        # So that it can be the one file that has no room.
        assert size > max(path.stat().st_size for path in (tmp_path / "r").rglob("*.parquet"))
        writer.write(windows[20])
        limit = size + 10 if victim == lines.name else 1000
        with pytest.raises(OutputError, match=f"{victim} cannot be written"), largest_file(limit):
            writer.flush()
        assert lines.stat().st_size == size
        assert list(Recording(tmp_path / "r").windows()) == windows[:20]
        writer.write(windows[21])
        writer.flush()
        assert list(Recording(tmp_path / "r").windows()) == windows[:22]
        writer.write(windows[22])
    assert list(Recording(tmp_path / "r").windows()) == windows
    assert not list((tmp_path / "r").rglob("*.tmp"))


def test_a_window_is_taken_even_if_its_flush_fails(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r", interval=1, flush_seconds=0) as writer:
        with pytest.raises(OutputError), largest_file(1000):
            writer.write(numbered_window(0))
        writer.write(numbered_window(1))
    assert list(Recording(tmp_path / "r").windows()) == [numbered_window(0), numbered_window(1)]
