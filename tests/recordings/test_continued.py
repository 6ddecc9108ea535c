"""Recordings that are continued, and what their last writer may have left behind."""

import shutil
from pathlib import Path

import pytest
from full_disk import largest_file
from strategies import numbered_window

from baseline.errors import OutputError, RecordingError, UsageError
from baseline.recordings import Recording, RecordingWriter
from baseline.recordings.format import SCHEMAS


def write(path: Path, *numbers: int, **options: object) -> None:
    with RecordingWriter(path, interval=1.0, append=True, **options) as writer:  # type: ignore[arg-type]  # any
        for number in numbers:
            writer.write(numbered_window(number))


def windows(path: Path) -> list[object]:
    return list(Recording(path).windows())


def expected(*numbers: int) -> list[object]:
    return list(map(numbered_window, numbers))


def part_files(path: Path) -> list[str]:
    return sorted(file.name for file in path.rglob("*part-*"))


def test_what_is_not_there_is_begun_and_what_is_there_is_continued(tmp_path: Path) -> None:
    write(tmp_path / "r", 0, 1)
    created = Recording(tmp_path / "r").header
    write(tmp_path / "r", 2)
    write(tmp_path / "r")
    write(tmp_path / "r", 150)  # on another day
    assert windows(tmp_path / "r") == expected(0, 1, 2, 150)
    assert Recording(tmp_path / "r").header == created
    assert Recording(tmp_path / "r").part_count == 3


def test_parts_are_counted_over_all_writers(tmp_path: Path) -> None:
    calls: list[tuple[int, int, int]] = []

    def writing(path: Path) -> RecordingWriter:
        def before_commit(number: int) -> None:
            # Its files are there, and it is not committed yet.
            files = list(path.rglob(f"part-{number:05d}.parquet"))
            calls.append((number, Recording(path).part_count, len(files)))

        return RecordingWriter(
            path, interval=1, append=True, before_commit=before_commit, flush_seconds=0
        )

    with writing(tmp_path / "r") as writer:
        assert writer.parts_committed == 0
        writer.write(numbered_window(0))
        assert writer.parts_committed == 1
        writer.write(numbered_window(1))
    with writing(tmp_path / "r") as writer:
        assert writer.parts_committed == 2
        writer.write(numbered_window(2))
        assert writer.parts_committed == 3
    assert calls == [(number, number, len(SCHEMAS)) for number in range(3)]


def test_what_is_told_before_a_commit_may_prevent_it(tmp_path: Path) -> None:
    broken = True

    def before_commit(_: int) -> None:
        if broken:
            raise RuntimeError("not now")

    with RecordingWriter(
        tmp_path / "r", interval=1, before_commit=before_commit, flush_seconds=0
    ) as writer:
        with pytest.raises(RuntimeError, match="not now"):
            writer.write(numbered_window(0))
        assert Recording(tmp_path / "r").window_count == writer.parts_committed == 0
        broken = False
        writer.write(numbered_window(1))
    assert windows(tmp_path / "r") == expected(0, 1)


@pytest.mark.parametrize("cut", [1, 2, 100])
def test_a_torn_line_is_mended(tmp_path: Path, cut: int) -> None:
    write(tmp_path / "r", 0)
    write(tmp_path / "r", 1)
    lines = tmp_path / "r" / "parts.jsonl"
    lines.write_bytes(lines.read_bytes()[:-cut])
    # A line that lacks nothing but its end is committed.
    left = (0, 1) if cut == 1 else (0,)
    assert windows(tmp_path / "r") == expected(*left)
    write(tmp_path / "r", 2)
    assert windows(tmp_path / "r") == expected(*left, 2)
    assert lines.read_bytes().endswith(b"\n")


def test_a_part_that_was_not_committed_goes(tmp_path: Path) -> None:
    write(tmp_path / "r", 0)
    write(tmp_path / "r", 1)
    lines = tmp_path / "r" / "parts.jsonl"
    lines.write_bytes(b"".join(lines.read_bytes().splitlines(keepends=True)[:-1]))
    (orphan,) = (tmp_path / "r" / "ngrams").rglob("part-00001.parquet")
    shutil.copy(orphan, orphan.with_name(".part-00001.parquet.tmp"))
    write(tmp_path / "r")
    assert part_files(tmp_path / "r") == ["part-00000.parquet"] * 4
    write(tmp_path / "r", 150)  # on another day
    assert windows(tmp_path / "r") == expected(0, 150)
    assert part_files(tmp_path / "r") == ["part-00000.parquet"] * 4 + ["part-00001.parquet"] * 4


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"interval": 2.0}, "has the interval 1.0 and cannot be continued with 2.0. Use the same"),
        ({"node": "other"}, "has the node web1 and cannot be continued with other. Record to"),
        ({"architecture": "aarch64"}, "has the architecture x86_64 and cannot be continued with a"),
    ],
)
def test_only_the_same_is_continued(
    tmp_path: Path, options: dict[str, object], problem: str
) -> None:
    same: dict[str, object] = {"interval": 1.0, "node": "web1", "architecture": "x86_64"}
    RecordingWriter(tmp_path / "r", **same).close()  # type: ignore[arg-type]  # any
    with pytest.raises(UsageError, match=problem):
        RecordingWriter(tmp_path / "r", append=True, **same | options)  # type: ignore[arg-type]  # any
    RecordingWriter(tmp_path / "r", append=True, **same).close()  # type: ignore[arg-type]  # any


def test_what_is_no_recording_or_damaged_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    with pytest.raises(UsageError, match="exists"):
        write(tmp_path / "home")
    write(tmp_path / "r", 0)
    lines = tmp_path / "r" / "parts.jsonl"
    lines.write_bytes(lines.read_bytes().replace(b"rows", b"ruws", 1))
    damaged = lines.read_bytes()
    with pytest.raises(RecordingError):
        write(tmp_path / "r", 1)
    assert lines.read_bytes() == damaged


def test_what_is_being_written_is_not_continued(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r", interval=1.0) as writer:
        with pytest.raises(UsageError, match="being written"):
            write(tmp_path / "r", 1)
        writer.write(numbered_window(0))
    write(tmp_path / "r", 1)
    assert windows(tmp_path / "r") == expected(0, 1)


def test_a_continued_recording_survives_a_full_disk(tmp_path: Path) -> None:
    write(tmp_path / "r", 0)
    with RecordingWriter(tmp_path / "r", interval=1.0, append=True, flush_seconds=0) as writer:
        with pytest.raises(OutputError), largest_file(1000):
            writer.write(numbered_window(1))
        writer.write(numbered_window(2))
    assert windows(tmp_path / "r") == expected(0, 1, 2)
