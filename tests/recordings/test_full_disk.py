"""What a writer does while its disk is full or read-only, on real disks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from full_disk import largest_file, small_disk
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import numbered_window, windows

from baseline.errors import OutputError
from baseline.recordings import Recording, RecordingWriter
from baseline.window import Window, total

WORKLOADS = ["web", "api"]


def busy_window(number: int, replicas: int = 2) -> Window:
    """The next window of one of two workloads with so many replicas each."""
    window = numbered_window(number // (2 * replicas) % 50, workload=WORKLOADS[number % 2])
    return replace(window, replica=f"{window.workload}-{number // 2 % replicas}")


def sums(seen: list[Window]) -> dict[str, Window]:
    return {name: total(window for window in seen if window.workload == name) for name in WORKLOADS}


def refuses(write: Callable[[], None], reason: str) -> None:
    with pytest.raises(OutputError, match=reason):
        write()


def test_no_count_is_lost_while_a_disk_is_full_for_long(tmp_path: Path) -> None:
    seen = [busy_window(number) for number in range(260)]
    with small_disk(tmp_path, 4 << 20) as disk:
        writer = RecordingWriter(
            disk.folder / "r", interval=1, flush_rows=50, flush_seconds=0, most_rows=500
        )
        with writer:
            for window in seen[:4]:
                writer.write(window)
            disk.fill()
            for window in seen[4:200]:
                refuses(lambda w=window: writer.write(w), "No space left")  # type: ignore[misc]  # bound now
            assert writer.is_behind
            assert list(Recording(disk.folder / "r").windows()) == seen[:4]
            disk.free()
            for window in seen[200:]:
                writer.write(window)
            assert not writer.is_behind
        written = list(Recording(disk.folder / "r").windows())
    assert sums(written) == sums(seen)
    # Far fewer windows, and still of a replica each; before and after it they are as they were.
    assert written[:4] == seen[:4]
    assert written[-59:] == seen[-59:]
    assert len(written) < 150
    assert {window.replica for window in written} == {window.replica for window in seen}


def test_replicas_are_added_up_where_there_are_too_many(tmp_path: Path) -> None:
    seen = [busy_window(number, replicas=50) for number in range(300)]
    with RecordingWriter(tmp_path / "r", interval=1, flush_seconds=0, most_rows=100) as writer:
        with largest_file(100):
            for window in seen:
                refuses(lambda w=window: writer.write(w), "File too large")  # type: ignore[misc]  # bound now
        writer.flush()
    written = list(Recording(tmp_path / "r").windows())
    assert sums(written) == sums(seen)
    assert len(written) < 100
    assert "" in {window.replica for window in written}


@settings(max_examples=25)
@given(st.lists(windows(st.sampled_from(WORKLOADS), st.integers(1, 9), 9), min_size=1, max_size=9))
def test_windows_of_any_kind_add_up(
    tmp_path_factory: pytest.TempPathFactory, seen: list[Window]
) -> None:
    path = tmp_path_factory.mktemp("any") / "r"
    with RecordingWriter(path, interval=1, flush_seconds=0, most_rows=3) as writer:
        with largest_file(100):
            for window in seen:
                refuses(lambda w=window: writer.write(w), "File too large")  # type: ignore[misc]  # bound now
        writer.flush()
    written = list(Recording(path).windows())
    assert len(written) <= len(seen)
    for name in {window.workload for window in seen}:
        before, after = (total(w for w in of if w.workload == name) for of in (seen, written))
        assert replace(after, replica="") == replace(before, replica="")


def test_a_disk_that_is_read_only_for_a_while(tmp_path: Path) -> None:
    seen = [numbered_window(number) for number in range(4)]
    with small_disk(tmp_path, 4 << 20) as disk:
        # The kernel refuses to make a disk read-only on which a file is open for writing, unless
        # the disk itself asks for it (errors=remount-ro); a mount on top of it does as well.
        with RecordingWriter(disk.folder / "r", interval=1, flush_seconds=0) as writer:
            writer.write(seen[0])
            with disk.read_only_below("r/windows"):
                refuses(lambda: writer.write(seen[1]), "Read-only file system")
                refuses(lambda: writer.write(seen[2]), "Read-only file system")
            writer.write(seen[3])
        assert list(Recording(disk.folder / "r").windows()) == seen


def test_the_end_says_what_could_not_be_written(tmp_path: Path) -> None:
    with small_disk(tmp_path, 4 << 20) as disk:
        writer = RecordingWriter(disk.folder / "r", interval=1)
        writer.write(numbered_window(0))
        writer.write(numbered_window(1))
        disk.fill()
        refuses(writer.close, f"No space left on device; 2 windows of {disk.folder}/r could not be")
        assert Recording(disk.folder / "r").window_count == 0
