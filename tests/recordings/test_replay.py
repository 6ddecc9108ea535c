import threading
from dataclasses import replace
from pathlib import Path

import pytest
from strategies import numbered_window

from baseline.errors import RecordingError
from baseline.recordings import Recording, RecordingWriter, replay
from baseline.window import Window

HOUR = 3600


def record(
    path: Path, windows: list[Window], architecture: str = "x86_64", node: str | None = None
) -> Recording:
    with RecordingWriter(
        path, interval=1, node=node, architecture=architecture, flush_rows=20
    ) as writer:
        for window in windows:
            writer.write(window)
    return Recording(path)


def test_recordings_are_merged_by_time(tmp_path: Path) -> None:
    web = record(tmp_path / "web", [numbered_window(i, "web") for i in (0, 1, 2, 4)])
    db = record(tmp_path / "db", [numbered_window(i, "db") for i in (1, 3, 4, 5)])
    merged = [(w.workload, w.start // 10**9 % 100) for w in replay([web, db])]
    expected = [("web", 0), ("web", 1), ("db", 1), ("web", 2), ("db", 3), ("web", 4), ("db", 4)]
    assert merged == [*expected, ("db", 5)]


def test_one_recording_keeps_its_order_even_where_the_clock_was_set_back(tmp_path: Path) -> None:
    windows = [numbered_window(i) for i in (5, 6, 2, 3)]
    assert list(replay([record(tmp_path / "r", windows)])) == windows


def test_windows_say_on_which_machine_they_were_recorded(tmp_path: Path) -> None:
    nodes = {name: record(tmp_path / name, [numbered_window(0)], node=name) for name in "ab"}
    assert [w.node for w in replay(list(nodes.values()))] == ["a", "b"]
    (unnamed,) = replay([record(tmp_path / "c", [numbered_window(0)])])
    assert unnamed.node == numbered_window(0).node != ""


def test_nothing_has_no_windows(tmp_path: Path) -> None:
    assert list(replay([])) == []
    assert list(replay([record(tmp_path / "r", [])], pace=1.0)) == []


@pytest.mark.parametrize("pace", [1.0, 10.0])
def test_the_recorded_pace_is_kept(tmp_path: Path, pace: float) -> None:
    windows = [numbered_window(minute * 60) for minute in (0, 1, 1, 2)]
    slept: list[float] = []
    paced = replay([record(tmp_path / "r", windows)], pace=pace, sleep=slept.append)
    assert list(paced) == windows
    # Nobody really slept, so that each waits for its time since the first.
    assert [round(s * pace / 60, 1) for s in slept] == [1, 1, 2]


@pytest.mark.parametrize("step", [-2 * HOUR, -30, 30, 2 * HOUR])
def test_a_clock_that_is_set_does_not_change_the_pace(tmp_path: Path, step: int) -> None:
    times = [0, 1, 2, 3, *(3 + step + n for n in range(1, 4))]
    windows = [numbered_window(3 * HOUR + time) for time in times]
    slept: list[float] = []
    paced = replay([record(tmp_path / "r", windows)], pace=1.0, sleep=slept.append)
    assert list(paced) == windows
    # What is as short as a pause of the workload is taken for one.
    at_step = {30: [34]}.get(step, [3])
    after = [at_step[0] + n for n in (1, 2)] if step != 30 else [35, 36]
    assert [round(s) for s in slept] == [1, 2, 3, *at_step, *after]


def test_waiting_ends_when_the_program_does(tmp_path: Path) -> None:
    windows = [numbered_window(0), numbered_window(50)]
    end = threading.Event()
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        assert end.wait(seconds)

    paced = replay([record(tmp_path / "r", windows)], pace=1.0, sleep=wait)
    next(paced)
    end.set()
    assert next(paced) == windows[1]
    assert [round(seconds) for seconds in waits] == [50]


def test_a_pace_must_be_above_zero(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pace"):
        replay([], pace=0)


def test_architectures_do_not_mix(tmp_path: Path) -> None:
    here = record(tmp_path / "here", [], "x86_64")
    there = record(tmp_path / "there", [], "aarch64")
    with pytest.raises(RecordingError, match=r"x86_64 and .*there of aarch64"):
        replay([here, there])


def test_windows_are_read_again_on_each_replay(tmp_path: Path) -> None:
    window = replace(numbered_window(0), workload="only")
    recording = record(tmp_path / "r", [window])
    assert list(replay([recording])) == list(replay([recording])) == [window]
