"""Recordings that are continued, and what their last writer may have left behind."""

import shutil
from pathlib import Path

import pytest
from full_disk import largest_file
from strategies import numbered_window

from baseline.errors import OutputError, RecordingError, UsageError
from baseline.recordings import Recording, RecordingWriter


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
    for first in (0, 2):
        with RecordingWriter(tmp_path / "r", interval=1, append=True, flush_seconds=0) as writer:
            for number in (first, first + 1):
                assert writer.parts_committed == number
                writer.write(numbered_window(number))
        assert writer.parts_committed == first + 2


def test_parts_that_come_again_are_taken_back(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path / "r", number)
    write(tmp_path / "r", 7, parts=2)
    assert windows(tmp_path / "r") == expected(0, 1, 7)
    assert {name for name in part_files(tmp_path / "r") if name > "part-00003"} == set()
    write(tmp_path / "r", 8, parts=100)  # no more than there are
    assert windows(tmp_path / "r") == expected(0, 1, 7, 8)


def test_windows_that_belong_together_are_committed_together(tmp_path: Path) -> None:
    with RecordingWriter(
        tmp_path / "r", interval=1, flush_seconds=0, flush_rows=1, by_itself=False
    ) as writer:
        assert writer.commit(), "nothing waits"
        writer.write(numbered_window(0))
        writer.write(numbered_window(1))
        assert Recording(tmp_path / "r").window_count == 0
        assert writer.commit()
        assert Recording(tmp_path / "r").window_count == 2
    with RecordingWriter(tmp_path / "s", interval=1, by_itself=False) as writer:
        writer.write(numbered_window(0))
        assert not writer.commit(), "it is not due"
        assert writer.commit(at_once=True)
        assert Recording(tmp_path / "s").window_count == 1


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
        ({"interval": 2.0}, "has the interval 1 s and cannot be continued with 2 s. Use the same"),
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
