"""What this user may not read is told with the way out, and never passed over."""

import os
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from restricted import ROOT, baseline, run_restricted

from baseline.cli.main import COMMANDS, main

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


@pytest.mark.parametrize("name", ["", "web/manifest.json", "web/ngrams.parquet"])
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


def test_folders_and_files_that_may_not_be_read_are_no_wrong_options(
    folder: Path, normal: Path, tmp_path: Path
) -> None:
    for name in ("recording", "key", "settings"):
        (tmp_path / name).mkdir()
    for name in ("models", "recording", "key", "settings"):
        (tmp_path / name).chmod(0)
    recording, out = tmp_path / "recording", tmp_path / "out"
    for arguments, code, message in (
        (("learn", "--from", recording, "--out", out), 1, f"Error: {recording}/recording.json"),
        (("learn", "--from", normal, "--out", folder), 2, f"Error: {folder} exists. Choose"),
        (("learn", "--from", normal, "--out", folder, "--force"), 1, f"Error: {folder} cannot be"),
        (("inspect", folder, "--verify", tmp_path / "key"), 2, "Error: The key"),
        (("--config", tmp_path / "settings", "inspect", folder), 2, "Error: The settings file"),
    ):
        done = run_without_rights(*arguments)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith(message)
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_has_click_ask_what_may_be_read(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command
    paths = [
        parameter.type
        for parameter in (*main.params, *command.params)
        if isinstance(parameter.type, click.Path)
    ]
    assert paths
    assert not any(path.readable for path in paths)
