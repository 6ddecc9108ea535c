import os
import shutil
from pathlib import Path

import pytest
from full_disk import largest_file

from baseline.durable import (
    make_directories,
    new_directory,
    new_file,
    output_error,
    require_absent,
    sha256,
    without,
)
from baseline.errors import OutputError, UsageError


def test_a_new_file_is_there_whole(tmp_path: Path) -> None:
    with new_file(tmp_path / "model") as temporary:
        temporary.write_text("whole")
        assert temporary.name == ".model.tmp"
        assert not (tmp_path / "model").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model").read_text() == "whole"


def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("old")

    def interrupted() -> None:
        with new_file(tmp_path / "model") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model").read_text() == "old"


def test_a_disk_that_is_full_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="model cannot be written: File too large"),
        largest_file(1000),
        new_file(tmp_path / "model") as temporary,
    ):
        temporary.write_bytes(bytes(2000))
    assert not list(tmp_path.iterdir())


def test_a_new_directory_is_there_whole(tmp_path: Path) -> None:
    with new_directory(tmp_path / "above" / "models") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text("whole")
        assert not (tmp_path / "above" / "models").exists()
    assert [p.name for p in (tmp_path / "above").iterdir()] == ["models"]
    assert (tmp_path / "above" / "models" / "inner" / "file").read_text() == "whole"


def test_an_existing_directory_is_replaced_only_by_force(tmp_path: Path) -> None:
    out = tmp_path / "models"
    (out / "old").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"exists\..*--force"), new_directory(out):
        pass
    with new_directory(out, force=True) as folder:
        (folder / "new").touch()
        assert (out / "old").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["models"]
    assert [p.name for p in out.iterdir()] == ["new"]


def test_an_interrupted_directory_leaves_the_old_one(tmp_path: Path) -> None:
    out = tmp_path / "models"
    (out / "old").mkdir(parents=True)

    def interrupted() -> None:
        with new_directory(out, force=True) as folder:
            (folder / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [p.name for p in tmp_path.iterdir()] == ["models"]
    assert [p.name for p in out.iterdir()] == ["old"]


def test_force_replaces_only_a_folder_of_the_same_kind(tmp_path: Path) -> None:
    (tmp_path / "home" / "photos").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"holds no manifest\.json"):
        require_absent(tmp_path / "home", force=True, foreign=without("manifest.json"))
    (tmp_path / "home" / "manifest.json").touch()
    require_absent(tmp_path / "home", force=True, foreign=without("manifest.json"))


def test_what_came_while_a_directory_was_written_stays(tmp_path: Path) -> None:
    """Without force whatever it is; with force, what is somebody else's."""

    def written(*, force: bool) -> None:
        foreign = without("manifest.json")
        with new_directory(tmp_path / "models", force=force, foreign=foreign) as folder:
            (folder / "manifest.json").touch()
            (tmp_path / "models").mkdir()
            (tmp_path / "models" / "thesis").write_text("precious")

    for force, message in ((False, r"exists\. Choose"), (True, r"holds no manifest\.json")):
        with pytest.raises(UsageError, match=message):
            written(force=force)
        assert [p.name for p in tmp_path.iterdir()] == ["models"]
        assert [p.name for p in (tmp_path / "models").iterdir()] == ["thesis"]
        shutil.rmtree(tmp_path / "models")


def test_the_current_folder_is_refused_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError), new_directory(Path()):
        pass
    with new_directory(Path(), force=True) as folder:
        (folder / "new").touch()
    assert (tmp_path / "new").exists()


def test_a_folder_left_by_a_killed_process_of_the_same_number_is_no_obstacle(
    tmp_path: Path,
) -> None:
    (tmp_path / f".models.{os.getpid()}.tmp" / "half").mkdir(parents=True)
    with new_directory(tmp_path / "models") as folder:
        assert not list(folder.iterdir())


@pytest.mark.parametrize("output", ["file/models", "file/above/models"])
def test_a_parent_that_is_a_file_is_named(tmp_path: Path, output: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="parents are folders"), new_directory(tmp_path / output):
        pass
    with pytest.raises(OutputError, match="parents are folders"):
        make_directories(tmp_path / output)


def test_an_error_without_a_number_still_says_why() -> None:
    error = output_error(Path("out"), OSError("the pipe is gone"))
    assert error.problem == "out cannot be written: the pipe is gone"


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert sha256(tmp_path / "empty").startswith("e3b0c44298fc1c14")
