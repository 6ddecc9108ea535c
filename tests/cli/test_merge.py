import shutil
from pathlib import Path

import pytest
from running import run

from baseline.model.storage import load_model, load_models, save_models
from baseline.model.workload_model import WorkloadModel
from baseline.recordings import Recording


@pytest.fixture(scope="session")
def halves(tmp_path_factory: pytest.TempPathFactory, normal: Path) -> tuple[Path, Path]:
    """Models of the first and of the second two minutes of ``web``."""
    windows = [w for w in Recording(normal).windows() if w.workload == "web"]
    folder = tmp_path_factory.mktemp("halves")
    for name, part in (("first", windows[:120]), ("second", windows[120:])):
        save_models([WorkloadModel.fit(part, "x86_64")], folder / name)
    return folder / "first", folder / "second"


def test_models_of_a_workload_add_up(halves: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "merged"
    done = run("merge", *halves, "--out", out)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (f"web: 2 models, 240 windows of 2 replicas\nWrote {out}: 1 model.\n")
    merged = load_model(out / "web")
    assert merged.training.windows == 240
    assert merged.provenance.notes == ("Merged of 2 models.",)


def test_the_order_of_folders_does_not_matter(halves: tuple[Path, Path], tmp_path: Path) -> None:
    for name, folders in (("a", halves), ("b", halves[::-1])):
        assert run("merge", *folders, "--out", tmp_path / name).returncode == 0
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert files
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_models_of_different_workloads_are_put_side_by_side(
    models: Path, halves: tuple[Path, Path], tmp_path: Path
) -> None:
    api = tmp_path / "api-alone"
    shutil.copytree(models / "api", api)
    done = run("merge", api, halves[0], "--out", tmp_path / "both")
    assert done.returncode == 0
    assert sorted(load_models(tmp_path / "both")) == ["api", "web"]
    # What is alone stays what it was.
    before, after = (
        (folder / "manifest.json").read_bytes() for folder in (api, tmp_path / "both" / "api")
    )
    assert before == after


def test_the_same_model_twice_would_count_double(
    models: Path, halves: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(halves[0], tmp_path / "copy")
    done = run("merge", *halves, tmp_path / "copy", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr == (
        f"Error: {halves[0]} and {tmp_path / 'copy'} hold the same model of web. "
        "Give it once: it would count double.\n"
    )
    assert run("merge", models, models, "--out", tmp_path / "out").returncode == 2
    assert not (tmp_path / "out").exists()


def test_the_same_time_twice_would_count_double(
    halves: tuple[Path, Path], normal: Path, tmp_path: Path
) -> None:
    """A copy that was changed is another model, and so is one of a part of that time."""
    model = load_model(halves[0] / "web")
    save_models([model.with_provenance(notes=("Accepted alert 0: x",))], tmp_path / "copy")
    whole = [w for w in Recording(normal).windows() if w.workload == "web"]
    save_models([WorkloadModel.fit(whole, "x86_64")], tmp_path / "whole")
    for folder in ("copy", "whole"):
        done = run("merge", *halves, tmp_path / folder, "--out", tmp_path / "out")
        assert (done.returncode, done.stderr) == (
            2,
            f"Error: {halves[0]} and {tmp_path / folder} hold models of web that were learned from "
            "the same time: watching began at 2026-11-23T00:00:00.000000Z in both. "
            "Give one of them: that time would count double.\n",
        )
    done = run("merge", halves[1], tmp_path / "whole", "--out", tmp_path / "out")
    assert "watching ended at 2026-11-23T00:04:00.000000Z in both" in done.stderr
    assert not (tmp_path / "out").exists()


def test_other_architectures_are_refused(models: Path, normal: Path, tmp_path: Path) -> None:
    windows = [w for w in Recording(normal).windows() if w.workload == "api"]
    save_models([WorkloadModel.fit(windows, "aarch64")], tmp_path / "arm")
    done = run("merge", models, tmp_path / "arm", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: The models are of different architectures, {models} of x86_64 and "
        f"{tmp_path / 'arm'} of aarch64, whose system calls differ. "
        "Merge the models of each architecture on their own.\n"
    )
    assert not (tmp_path / "out").exists()


def test_outputs_that_exist_and_inputs_that_do_not(
    models: Path, halves: tuple[Path, Path], tmp_path: Path
) -> None:
    out = shutil.copytree(halves[0], tmp_path / "out")
    exists = run("merge", *halves, "--out", out)
    assert exists.returncode == 2
    assert "Choose another name or add --force" in exists.stderr
    assert load_model(out / "web").training.windows == 120
    # In place: the folder may be one of those that are merged.
    assert run("merge", out, halves[1], "--out", out, "--force").returncode == 0
    assert load_model(out / "web").training.windows == 240
    (tmp_path / "home" / "app").mkdir(parents=True)
    (tmp_path / "home" / "app" / "manifest.json").write_text('{"name": "pwa"}')
    home = run("merge", *halves, "--out", tmp_path / "home", "--force")
    assert home.returncode == 2
    assert f"does not replace it, because {tmp_path / 'home' / 'app'} is no model" in home.stderr
    missing = run("merge", halves[0], tmp_path / "nothing", "--out", tmp_path / "new")
    assert missing.returncode == 1
    assert missing.stderr == (
        f"Error: There is no model in {tmp_path / 'nothing'}. "
        "Give the folder that `baseline learn` wrote.\n"
    )
    assert not (tmp_path / "new").exists()
