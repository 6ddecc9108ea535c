"""What this user may not read is told with the way out, and never passed over."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from restricted import ROOT, baseline, run_restricted

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give up its rights")


def run_without_rights(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command as the owner of all files here, for whom modes count nevertheless."""
    return run_restricted(baseline(*arguments), ROOT, ())


def refusal_of(path: Path) -> str:
    return f"Error: {path} may not be read by this user. Change its owner or its mode.\n"


@pytest.fixture
def folder(models: Path, tmp_path: Path) -> Path:
    """Models of which one may be made unreadable."""
    return shutil.copytree(models, tmp_path / "models")


def test_a_model_that_may_not_be_read_is_not_left_out(
    folder: Path, models: Path, normal: Path, tmp_path: Path
) -> None:
    (folder / "api").chmod(0)
    out = tmp_path / "out"
    for arguments in (
        ("inspect", folder),
        ("merge", folder, "--out", out),
        ("diff", folder, models),
        ("watch", "--from", normal, "--models", folder),
        ("export", folder, "--out", out),
    ):
        done = run_without_rights(*arguments)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", refusal_of(folder / "api"))
    assert not out.exists()


@pytest.mark.parametrize("name", ["web/manifest.json", "web/ngrams.parquet"])
def test_a_part_of_models_that_may_not_be_read(folder: Path, name: str) -> None:
    (folder / name).chmod(0)
    done = run_without_rights("inspect", folder)
    assert (done.returncode, done.stderr) == (1, refusal_of(folder / name))


def test_a_part_of_a_recording_that_may_not_be_read(normal: Path, tmp_path: Path) -> None:
    recording = shutil.copytree(normal, tmp_path / "recording")
    part = next(recording.glob("windows/**/*.parquet"))
    part.chmod(0)
    done = run_without_rights("export", recording, "--out", tmp_path / "out")
    assert (done.returncode, done.stderr) == (1, refusal_of(part))
