"""What is a model's, and is replaced as one; what is not stays."""

import json
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
from synthetic_service import ARCHITECTURE, serving

from baseline.errors import UsageError
from baseline.model.folders import MANIFEST
from baseline.model.storage import load_model, load_models, save_model, save_models
from baseline.model.workload_model import WorkloadModel


@pytest.fixture(scope="module")
def model() -> WorkloadModel:
    return WorkloadModel.fit(list(islice(serving(5), 5)), ARCHITECTURE)


def write(path: Path, content: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)


FOREIGN: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a web application": ("app", lambda out: write(out / "app" / MANIFEST, '{"name": "pwa"}')),
    "a manifest of none": ("app", lambda out: write(out / "app" / MANIFEST, "[7]")),
    "a manifest that is no JSON": ("app", lambda out: write(out / "app" / MANIFEST, "\x00")),
    "a manifest that is no file": ("app", lambda out: (out / "app" / MANIFEST).mkdir(parents=True)),
    "a folder": ("thesis", lambda out: write(out / "thesis" / "thesis.txt", "precious")),
    "a hidden folder": (".git", lambda out: write(out / ".git" / "HEAD", "ref")),
    "a file": ("thesis.txt", lambda out: write(out / "thesis.txt", "precious")),
    "a file that nobody reads": ("pipe", lambda out: os.mkfifo(out / "pipe")),
    "a file in a model": ("web/thesis", lambda out: write(out / "web" / "thesis", "precious")),
    "a folder in a model": ("web/r", lambda out: write(out / "web" / "r" / "recording.json", "{}")),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_force_replaces_models_and_nothing_else(
    model: WorkloadModel, tmp_path: Path, what: str
) -> None:
    name, put = FOREIGN[what]
    out = tmp_path / "out"
    save_models([model], out)
    put(out)
    before = sorted(out.rglob("*"))
    with pytest.raises(UsageError) as refused:
        save_models([model], out, force=True)
    assert refused.value.problem in {
        f"{out} exists and --force does not replace it, because {out / name} is no {thing}"
        for thing in ("model", "part of a model")
    }
    assert sorted(out.rglob("*")) == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_force_replaces_one_model_and_nothing_else(model: WorkloadModel, tmp_path: Path) -> None:
    out = tmp_path / "app"
    write(out / MANIFEST, '{"name": "pwa"}')
    with pytest.raises(UsageError, match=f"because {out} is no model"):
        save_model(model, out, force=True)
    (out / MANIFEST).unlink()
    out.rmdir()
    save_model(model, out)
    write(out / "thesis.txt", "precious")
    with pytest.raises(UsageError, match=f"because {out / 'thesis.txt'} is no part of a model"):
        save_model(model, out, force=True)
    (out / "thesis.txt").unlink()
    save_model(model, out, force=True)


def test_a_model_that_this_version_cannot_read_is_replaced(
    model: WorkloadModel, tmp_path: Path
) -> None:
    """That is the way out when a model is of another version or was changed."""
    out = tmp_path / "models"
    save_models([model], out)
    manifest = json.loads((out / "web" / MANIFEST).read_text()) | {"version": 1}
    write(out / "web" / MANIFEST, json.dumps(manifest))
    (out / "web" / "ngrams.parquet").unlink()
    save_model(model, out / "web", force=True)
    assert load_model(out / "web").workload == "web"
    write(out / "web" / MANIFEST, json.dumps(manifest))
    save_models([model], out, force=True)
    assert list(load_models(out)) == ["web"]


def test_what_comes_into_the_folder_meanwhile_stays(model: WorkloadModel, tmp_path: Path) -> None:
    out = tmp_path / "models"
    save_models([model], out)

    def slowly() -> Iterator[WorkloadModel]:
        write(out / "thesis.txt", "precious")
        yield model

    with pytest.raises(UsageError, match=r"thesis\.txt is no model"):
        save_models(slowly(), out, force=True)
    assert (out / "thesis.txt").read_text() == "precious"
