import os
import sys
from pathlib import Path

import pytest

from baseline.cli.output import RecordingOutput, require_output, writing_to_stdout
from baseline.durable import without
from baseline.errors import OutputError, UsageError
from baseline.recordings import Recording
from baseline.window import Window


def test_a_new_name_is_fine_also_in_a_folder_to_come(tmp_path: Path) -> None:
    require_output(tmp_path / "out", force=False)
    require_output(tmp_path / "deep" / "er" / "out", force=False)
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_replaced_by_force_alone_and_only_if_it_is_ours(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"exists\. .*--force"):
        require_output(tmp_path, force=False, foreign=without("mark"))
    with pytest.raises(UsageError, match="holds no mark"):
        require_output(tmp_path, force=True, foreign=without("mark"))
    (tmp_path / "mark").touch()
    require_output(tmp_path, force=True, foreign=without("mark"))


def test_a_file_is_no_folder_to_write_in(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="parents are folders"):
        require_output(tmp_path / "file" / "out", force=False)


def test_a_file_system_without_writing_is_refused_before_the_work() -> None:
    with pytest.raises(OutputError, match=r"cannot be written"):
        require_output(Path("/proc/self/out"), force=False)


def test_a_recording_begins_with_its_first_window(tmp_path: Path) -> None:
    with RecordingOutput(tmp_path / "none", interval=1.0, say=print):
        pass
    assert list(tmp_path.iterdir()) == []
    with RecordingOutput(tmp_path / "one", interval=1.0, say=print) as recording:
        recording.write(Window("web", "demo/web", 0, 10**9, 10**9))
    assert Recording(tmp_path / "one").workloads == ("web",)


def test_a_full_disk_under_stdout_has_its_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    full = os.fdopen(os.open("/dev/full", os.O_WRONLY), "w")
    monkeypatch.setattr(sys, "stdout", full)
    with (
        pytest.raises(OutputError, match="Standard output cannot be written: No space left"),
        writing_to_stdout(),
    ):
        print("something")
    with pytest.raises(OSError, match="No space left"):
        full.close()


def test_a_pipe_without_reader_is_no_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(BrokenPipeError), writing_to_stdout():
        raise BrokenPipeError
