from pathlib import Path

import pytest
from running import run
from small_service import SHELL, intrude, windows, write_recording

from baseline.cli.learning import HOUR, estimated
from baseline.model.discovery import NewItems
from baseline.model.storage import load_model, load_models
from baseline.window import Histogram


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four minutes of a service, with an intruder in three seconds of them."""
    content = [
        intrude(window) if 100 <= number < 103 else window
        for number, window in enumerate(windows("web", 240, seed=3))
    ]
    return write_recording(tmp_path_factory.mktemp("recordings") / "poisoned", content)


def test_what_three_seconds_alone_showed_is_kept_out_and_listed(
    poisoned: Path, tmp_path: Path
) -> None:
    done = run("learn", "--from", poisoned, "--out", tmp_path / "models")
    assert done.returncode == 0
    assert (
        "Kept out of web: what 2026-11-23 00:01:40 to 00:01:43 UTC alone showed\n"
        "  /usr/sbin/nginx > /usr/bin/dash\n"
        "  tcp out to 203.0.113.9:4444\n"
        "  and 14 n-grams of system calls\n"
    ) in done.stderr
    model = load_model(tmp_path / "models" / "web")
    assert not model.knows(SHELL)
    assert len(model.provenance.quarantined) == 16
    assert "/usr/sbin/nginx > /usr/bin/dash" in run("inspect", tmp_path / "models").stdout
    watched = run("watch", "--from", poisoned, "--models", tmp_path / "models")
    assert "nginx started /usr/bin/dash as uid 33, never seen in learning" in watched.stdout


def test_learning_tells_how_complete_the_model_is_that_it_wrote(
    poisoned: Path, tmp_path: Path
) -> None:
    done = run("learn", "--from", poisoned, "--out", tmp_path / "models")
    completeness = load_model(tmp_path / "models" / "web").provenance.completeness
    assert completeness is not None
    *_, row = (line for line in done.stderr.splitlines() if line.startswith("web"))
    assert row.split() == [
        *("web", completeness.state.value),
        *told(completeness.signals[Histogram.NGRAMS].new_items(HOUR)),
        *completeness.reason.split(),
    ]
    inspected = " ".join(run("inspect", tmp_path / "models").stdout.split())
    assert f"State {completeness.state}: {completeness.reason}" in inspected


def told(coming: NewItems) -> list[str]:
    low, high = estimated(coming.low), estimated(coming.high)
    return [estimated(coming.expected), f"({low}-{high})"]


def test_all_of_it_is_learned_if_asked_for(poisoned: Path, tmp_path: Path) -> None:
    done = run("learn", "--from", poisoned, "--out", tmp_path / "models", "--no-quarantine")
    assert "Kept out" not in done.stderr
    assert load_model(tmp_path / "models" / "web").knows(SHELL)


def test_strict_learning_refuses_it(poisoned: Path, normal: Path, tmp_path: Path) -> None:
    done = run("learn", "--from", poisoned, "--out", tmp_path / "models", "--strict")
    assert done.returncode == 1
    assert "Kept out of web: " in done.stderr
    assert "Error: Nothing was written, because of --strict" in done.stderr
    assert not (tmp_path / "models").exists()
    assert run("learn", "--from", normal, "--out", tmp_path / "models", "--strict").returncode == 0


def test_strict_without_quarantine_is_a_contradiction(poisoned: Path, tmp_path: Path) -> None:
    both = ("--strict", "--no-quarantine")
    done = run("learn", "--from", poisoned, "--out", tmp_path / "models", *both)
    assert done.returncode == 2
    assert "--strict and --no-quarantine exclude each other" in done.stderr


def test_a_new_version_knows_what_the_one_before_did(
    poisoned: Path, models: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    arguments = ("learn", "--from", poisoned, "--no-quarantine", "--out")
    assert run(*arguments, old).returncode == 0
    done = run(
        *("learn", "--from", poisoned, "--inherit", old, "--duration", "90s"),
        *("--out", tmp_path / "new"),
    )
    assert done.returncode == 0, done.stderr
    new = load_models(tmp_path / "new")["web"]
    assert new.knows(SHELL)  # though these ninety seconds did not show it
    assert new.training.windows == 90
    missing = run("learn", "--from", poisoned, "--inherit", tmp_path / "none", "--out", old / "x")
    assert missing.returncode == 1
    assert "There is no model in " in missing.stderr
