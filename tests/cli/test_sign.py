import shutil
import subprocess
from pathlib import Path

import pytest
from running import run

from baseline.model.folders import SIGNATURE


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private and its public key, made as the help says."""
    private = tmp_path_factory.mktemp("keys") / "baseline.key"
    public = private.with_suffix(".pub")
    for arguments in (
        ["genpkey", "-algorithm", "ed25519", "-out", private],
        ["pkey", "-in", private, "-pubout", "-out", public],
    ):
        subprocess.run(["openssl", *arguments], check=True)
    return private, public


@pytest.fixture
def signed(models: Path, keys: tuple[Path, Path], tmp_path: Path) -> Path:
    copy = shutil.copytree(models, tmp_path / "signed")
    done = run("sign", copy, "--key", keys[0])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"Signed 2 models in {copy}.\n")
    return copy


def test_commands_that_verify_use_signed_models(
    signed: Path, keys: tuple[Path, Path], normal: Path, tmp_path: Path
) -> None:
    verify = ("--verify", keys[1])
    for arguments in (
        ["watch", "--from", normal, "--models", signed],
        ["backtest", "--from", normal, "--models", signed],
        ["inspect", signed],
        ["merge", signed, "--out", tmp_path / "merged"],
    ):
        done = run(*arguments, *verify)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["watch", "backtest", "inspect", "merge", "accept"])
def test_commands_that_verify_refuse_models_that_are_not(
    signed: Path, keys: tuple[Path, Path], normal: Path, tmp_path: Path, command: str
) -> None:
    arguments = {
        "watch": ["--from", normal, "--models", signed],
        "backtest": ["--from", normal, "--models", signed],
        "inspect": [signed],
        "merge": [signed, "--out", tmp_path / "merged"],
        "accept": ["0f80b44fc7e3", "--model", signed, "--preview"],
    }[command]
    (signed / "web" / SIGNATURE).unlink()
    done = run(command, *arguments, "--verify", keys[1])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"Error: The model {signed}/web is not signed. Get it signed by whoever learned it, with "
        "`baseline sign`.\n"
    )


def test_settings_can_have_every_watch_verify(
    models: Path, normal: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    settings = tmp_path / "config.toml"
    settings.write_text(f'[watch]\nverify = "{keys[1]}"')
    watch = ["watch", "--from", normal, "--models", models]
    refused = [
        run("--config", settings, *watch),
        run(*watch, BASELINE_WATCH_VERIFY=f"{keys[1]}:{keys[1]}"),
    ]
    for done in refused:
        assert done.returncode == 1
        assert "is not signed" in done.stderr


def test_what_merge_writes_is_not_signed(
    signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    merged = tmp_path / "merged"
    assert run("merge", signed, "--verify", keys[1], "--out", merged).returncode == 0
    assert run("inspect", merged).returncode == 0
    assert "is not signed" in run("inspect", merged, "--verify", keys[1]).stderr


def test_a_public_key_does_not_sign(models: Path, keys: tuple[Path, Path]) -> None:
    """Whoever may read it: it is public."""
    keys[1].chmod(0o644)
    done = run("sign", models, "--key", keys[1])
    assert done.returncode == 2
    assert done.stderr == (
        f"Error: {keys[1]} holds a public key. Give the private one, which it was made from.\n"
    )


def test_nothing_is_signed_with_a_key_that_others_can_read(
    models: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    key = shutil.copy(keys[0], tmp_path / "key")
    key.chmod(0o644)
    done = run("sign", models, "--key", key)
    assert done.returncode == 2
    assert done.stderr == (
        f"Error: The key {key} can be read by others. Keep it to yourself: chmod 600 {key}.\n"
    )
    assert not list(models.rglob(SIGNATURE))
