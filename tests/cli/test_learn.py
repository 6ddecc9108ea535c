import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from interrupting import interrupt_replay
from running import BASELINE, ENVIRONMENT, run
from small_service import windows, write_recording
from unread import stuck_pipe

from baseline.cli.main import exit_code
from baseline.model.storage import load_models
from baseline.recordings import Recording, RecordingWriter
from baseline.window import Window


def test_learning_from_a_recording(models: Path, normal: Path, tmp_path: Path) -> None:
    assert sorted(load_models(models)) == ["api", "web"]
    done = run("learn", "--from", normal, "--out", tmp_path / "again")
    assert (done.returncode, done.stdout) == (0, "")
    header, api, web, header_of_states, *states, advice, wrote = done.stderr.splitlines()
    assert header.split() == (
        "workload windows calls n-grams programs peers lost alarms/week".split()
    )
    assert api.split()[:2] == ["api", "240"]
    assert web.split()[:2] == ["web", "240"]
    assert web.split()[3:7] == ["5", "0", "1", "0"]
    assert header_of_states.split() == "workload state new n-grams/h (90%) because".split()
    assert [line.split()[:4] for line in states] == [
        [name, "partial", "0", "(0-30)"] for name in ("api", "web")
    ]
    assert advice.startswith("Too short to vouch for 1/week: it supports ")
    assert wrote == f"Wrote {tmp_path / 'again'}: 2 models; nothing lost."
    assert max(map(len, done.stderr.splitlines()[:-1])) <= 80
    assert not any(line != line.rstrip() for line in done.stderr.splitlines())


def test_the_same_recording_makes_the_same_model(
    models: Path, normal: Path, tmp_path: Path
) -> None:
    run("learn", "--from", normal, "--out", tmp_path / "again")
    files = sorted(p.relative_to(models) for p in models.rglob("*") if p.is_file())
    assert files
    for file in files:
        assert (models / file).read_bytes() == (tmp_path / "again" / file).read_bytes()


def test_the_names_of_folders_need_not_be_text(normal: Path, tmp_path: Path) -> None:
    out = tmp_path / os.fsdecode(b"\xffmodels")
    done = run("learn", "--from", normal, "--out", out)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.endswith(f"Wrote {tmp_path}/\\udcffmodels: 2 models; nothing lost.\n")
    assert sorted(load_models(out)) == ["api", "web"]


def test_only_the_beginning(normal: Path, tmp_path: Path) -> None:
    done = run("learn", "--from", normal, "--duration", "2m", "--out", tmp_path / "models")
    assert done.returncode == 0
    assert [line.split()[1] for line in done.stderr.splitlines()[1:3]] == ["120", "120"]


def test_an_output_that_exists_stays_without_force(
    models: Path, normal: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(models, tmp_path / "models")
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    done = run("learn", "--from", normal, "--out", out)
    assert done.returncode == 2
    assert done.stderr == (
        f"Error: {out} exists. Choose another name or add --force to replace it.\n"
    )
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*")} == before
    assert run("learn", "--from", normal, "--out", out, "--force").returncode == 0


def test_force_replaces_models_alone(normal: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    done = run("learn", "--from", normal, "--out", tmp_path / "home", "--force")
    assert done.returncode == 2
    assert "--force does not replace it, because it holds no models" in done.stderr
    app = tmp_path / "home" / "app"
    app.mkdir()
    (app / "manifest.json").write_text('{"name": "pwa"}')
    done = run("learn", "--from", normal, "--out", tmp_path / "home", "--force")
    assert (done.returncode, done.stderr) == (
        2,
        f"Error: {tmp_path / 'home'} exists and --force does not replace it, because {app} is no "
        "model. Choose another name, or remove it yourself.\n",
    )
    assert (app / "manifest.json").exists()


def test_a_recording_beside_models_is_not_replaced_with_them(
    models: Path, normal: Path, tmp_path: Path
) -> None:
    for name in ("recording", "web/recording"):
        out = shutil.copytree(models, tmp_path / name.partition("/")[0])
        recording = shutil.copytree(normal, out / name)
        done = run("learn", "--from", recording, "--out", out, "--force")
        assert done.returncode == 2
        assert f"--force does not replace it, because {recording} is no " in done.stderr
        assert Recording(recording).window_count == 480


def test_nothing_is_made_of_nothing(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "empty", interval=1.0):
        pass
    done = run("learn", "--from", tmp_path / "empty", "--out", tmp_path / "models")
    assert done.returncode == 1
    assert done.stderr == (
        "Error: Nothing was seen of the recordings, and nothing was written. "
        "Give recordings that hold windows.\n"
    )
    assert not (tmp_path / "models").exists()


def idle(workload: str) -> Iterator[Window]:
    """A service of which nothing was counted."""
    for window in windows(workload, 30, 1):
        yield Window(workload, window.replica, window.start, window.end, window.observed)


def test_a_model_of_nothing_is_not_written(models: Path, tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "idle", list(idle("web")))
    out = shutil.copytree(models, tmp_path / "models")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    done = run("learn", "--from", recording, "--out", out, "--force")
    assert done.returncode == 1
    assert done.stderr == (
        "Error: Nothing was counted of web, and no model was written. "
        "Learn while the service is at work, or give it more time.\n"
    )
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_workloads_of_which_nothing_was_counted_are_named(tmp_path: Path) -> None:
    content = [w for pair in zip(windows("web", 30, 1), idle("api"), strict=True) for w in pair]
    recording = write_recording(tmp_path / "recording", content)
    done = run("learn", "--from", recording, "--out", tmp_path / "models")
    assert done.returncode == 0
    assert "Nothing was counted of api: no model of it is written.\n" in done.stderr
    assert done.stderr.endswith("models: 1 model; nothing lost.\n")
    assert list(load_models(tmp_path / "models")) == ["web"]


def test_a_replay_that_was_interrupted_says_so(
    normal: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    interrupt_replay(monkeypatch, signal.SIGINT, after=100)
    out = str(tmp_path / "models")
    assert exit_code(["learn", "--from", str(normal), "--out", out]) == 0
    said = capsys.readouterr().err
    assert "Interrupted: learned from the first 100 windows alone.\n" in said
    assert sum(model.training.windows for model in load_models(tmp_path / "models").values()) == 100


def test_talk_that_nobody_reads_does_not_hold_up_learning(normal: Path, tmp_path: Path) -> None:
    ours, theirs = stuck_pipe()
    full = os.open("/dev/full", os.O_WRONLY)
    for number, stderr in enumerate((theirs, full)):
        for more, code in (((), 0), (("--fail-on", "incomplete"), 3)):
            out = tmp_path / f"{number}-{code}"
            done = subprocess.run(
                [BASELINE, "learn", "--from", normal, "--duration", "30s", "--out", out, *more],
                stderr=stderr,
                check=False,
                env=ENVIRONMENT,
            )
            assert done.returncode == code
            assert set(load_models(out)) == {"api", "web"}
    for descriptor in (ours, theirs, full):
        os.close(descriptor)


def test_a_recording_that_is_none(tmp_path: Path) -> None:
    done = run("learn", "--from", tmp_path, "--out", tmp_path / "models")
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {tmp_path}")
    assert done.stderr.count("\n") == 1


def test_options_that_cannot_be_meant(normal: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "models")
    for arguments, message in [
        ((), "There is nothing to look at. Add --cgroup or --from."),
        (("--from", normal, "--cgroup", "demo/*"), "--cgroup and --from exclude each other"),
        (("--from", normal, "--interval", "5s"), "--interval means nothing without --cgroup"),
        (("--from", normal, "--keep"), "--keep means nothing without --cgroup"),
        (("--from", normal, "--recording", "r"), "--recording means nothing without --cgroup"),
        (("--from", normal, "--duration", "soon"), "'soon' is no length of time"),
        (("--cgroup", "demo/**"), "--cgroup 'demo/**' has '**'"),
        (("--cgroup", "my name=demo"), "is no name for a workload"),
    ]:
        done = run("learn", *arguments, *out)
        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("out", "recording"),
    [
        ("run", "run"),
        ("run", "run/recording"),
        ("recording/models", "recording"),
        ("models", "models/recording"),
        ("run", "elsewhere/../run/recording"),
        ("link", "models/recording"),
        ("models", "link/recording"),
    ],
)
def test_a_recording_and_models_that_would_replace_each_other(
    models: Path, tmp_path: Path, out: str, recording: str
) -> None:
    shutil.copytree(models, tmp_path / "models")
    (tmp_path / "link").symlink_to("models")
    before = sorted(tmp_path.rglob("*"))
    for option in ("--out", "--inherit"):
        folders = {"--out": tmp_path / "other"} | {option: tmp_path / out}
        done = run(
            *("learn", "--cgroup", "no/such", "--recording", tmp_path / recording, "--force"),
            *(word for pair in folders.items() for word in pair),
        )
        assert (done.returncode, done.stderr) == (
            2,
            f"Error: --recording and {option} are the same folder, or one lies in the other. "
            "Give them names side by side.\n",
        )
    assert sorted(tmp_path.rglob("*")) == before


def test_a_new_version_may_replace_what_it_inherits(
    models: Path, normal: Path, tmp_path: Path
) -> None:
    """All models, or one of them; but not what lies in one, which would be lost with it."""
    folder = shutil.copytree(models, tmp_path / "models")
    for times, predecessor in enumerate((folder, folder / "web"), 1):
        done = run("learn", "--from", normal, "--inherit", predecessor, "--out", folder, "--force")
        assert done.returncode == 0, done.stderr
        notes = load_models(folder)["web"].provenance.notes
        assert [note.startswith("Inherits from web ") for note in notes] == [True] * times
    old = shutil.copytree(models / "web", folder / "web" / "old")
    done = run("learn", "--from", normal, "--inherit", old, "--out", folder, "--force")
    assert done.returncode == 2
    assert f"does not replace it, because {old} is no part of a model" in done.stderr


def test_outputs_and_inputs_that_cannot_be_meant(normal: Path, tmp_path: Path) -> None:
    twice = run("learn", "--from", normal, "--from", normal, "--out", tmp_path / "models")
    assert twice.returncode == 2
    assert twice.stderr.startswith("Error: A recording is given twice.")
    assert list(tmp_path.iterdir()) == []
