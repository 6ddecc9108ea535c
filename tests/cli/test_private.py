"""What is written is for the eyes of whoever ran the command, whatever the umask."""

import os
import stat
import subprocess
from pathlib import Path

import pytest
from running import BASELINE, ENVIRONMENT


def run_with_open_umask(*arguments: object) -> None:
    done = subprocess.run(
        [BASELINE, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
        umask=0,
    )
    assert done.returncode == 0, done.stderr


def modes_below(path: Path) -> dict[str, str]:
    """Path -> permissions of everything there is, the folder itself included."""
    return {
        str(p.relative_to(path.parent)): stat.filemode(p.stat().st_mode)
        for p in (path, *path.rglob("*"))
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that anybody may write to, as a shared disk may be."""
    os.chmod(tmp_path, 0o777)  # noqa: PTH101, S103 - that is the point
    return tmp_path


def test_models_exports_and_pictures_are_private(
    folder: Path, normal: Path, intruded: Path
) -> None:
    models = folder / "models"
    run_with_open_umask("learn", "--from", normal, "--out", models)
    run_with_open_umask("merge", models / "web", models / "api", "--out", folder / "merged")
    run_with_open_umask("export", intruded, "--out", folder / "exported")
    run_with_open_umask("export", models, "--out", folder / "models-exported")
    run_with_open_umask("inspect", models / "web", "--picture", folder / "web.png")
    written = sorted(folder.iterdir())
    assert [p.name for p in written] == [
        "exported", "merged", "models", "models-exported", "web.png"
    ]  # fmt: skip
    for path in written:
        modes = modes_below(path)
        assert set(modes.values()) <= {"drwx------", "-rw-------"}, modes
