import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from full_disk import largest_file
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import MIDNIGHT, small_windows
from synthetic_service import (
    ARCHITECTURE,
    INTRUDER,
    SECOND,
    SHELL_STARTED,
    intruded,
    serving,
    window,
)

from baseline.errors import ModelError, OutputError, UsageError
from baseline.model.folders import MANIFEST
from baseline.model.score import Signal
from baseline.model.storage import (
    load_model,
    load_models,
    require_architecture,
    save_model,
    save_models,
)
from baseline.model.workload_model import WorkloadModel
from baseline.window import Window

FORMAT = Path(__file__).parents[2] / "docs" / "model-format.md"
TABLES = (
    "ngrams suffixes contexts calls calls_contexts executions executions_contexts connections_in "
    "connections_in_contexts connections_out connections_out_contexts "
    "volumes volume_pairs volume_windows held_out spans"
).split()


def learned(workload: str = "web") -> WorkloadModel:
    windows = [*islice(serving(5), 30), intruded(window(30))]
    renamed = [Window(**{**vars(w), "workload": workload}) for w in windows]
    return WorkloadModel.fit(renamed, ARCHITECTURE)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model on disk that no test changes."""
    path = tmp_path_factory.mktemp("sound") / "model"
    save_model(learned(), path)
    return path


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A model on disk to change."""
    return shutil.copytree(sound, tmp_path / "model")


def rewrite_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what the manifest says, as somebody does who knows how checksums are made."""
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest["sha256"]
    change(manifest)
    said = json.dumps(manifest, sort_keys=True).encode()
    manifest["sha256"] = hashlib.sha256(said).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest))


def rewrite_table(folder: Path, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a table, likewise."""
    path = folder / f"{name}.parquet"
    pq.write_table(change(pq.read_table(path)), path)
    content = path.read_bytes()
    entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    rewrite_manifest(folder, lambda manifest: manifest["files"].update({path.name: entry}))


def with_column(name: str, value: Callable[[pa.ChunkedArray], Any]) -> Callable[..., pa.Table]:
    """The change of one column, given its old values."""

    def change(table: pa.Table) -> pa.Table:
        index = table.schema.get_field_index(name)
        field = table.schema.field(index)
        return table.set_column(index, field, pa.array(value(table[name]), field.type))

    return change


def first(value: Any) -> Callable[[pa.ChunkedArray], Any]:
    """A column with another first value."""
    return lambda column: [value, *column.to_pylist()[1:]]


@given(windows=st.lists(small_windows, min_size=1, max_size=4), new=small_windows)
@settings(max_examples=15, deadline=None)
def test_what_is_read_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, windows: list[Window], new: Window
) -> None:
    if not any(w.observed for w in windows):
        return
    model = WorkloadModel.fit(windows, ARCHITECTURE)
    path = tmp_path_factory.mktemp("models") / "m"
    save_model(model, path)
    again = load_model(path)
    assert (again.workload, again.architecture) == ("web", ARCHITECTURE)
    assert again.training == model.training
    assert (again.threshold, again.shift_threshold) == (model.threshold, model.shift_threshold)
    assert again.score(new) == model.score(new)
    assert again.explain(new) == model.explain(new)
    for signal in Signal:
        assert again.signals[signal].tables() == model.signals[signal].tables()
    assert again.held_out.table() == model.held_out.table()


def test_the_scores_of_a_busy_service_are_the_same_again(folder: Path) -> None:
    """Its calls have a tree, and it is another with each window more or less."""
    model, again = learned(), load_model(folder)
    for new in [*islice(serving(6), 20), intruded(window(20))]:
        assert again.score(new) == model.score(new)
        assert again.explain(new) == model.explain(new)


def test_a_job_that_runs_every_minute_of_half_a_year(tmp_path: Path) -> None:
    model = learned()
    spans = tuple(
        (MIDNIGHT + i * 60 * SECOND, MIDNIGHT + i * 60 * SECOND + 1) for i in range(2**18)
    )
    training = replace(model.training, spans=spans)
    many = WorkloadModel("web", ARCHITECTURE, training, model.signals, model.held_out)
    save_model(many, tmp_path / "m")
    assert load_model(tmp_path / "m").training == training


def test_what_was_quarantined_and_done_since_is_kept(tmp_path: Path) -> None:
    lines = tuple(f"{n}: {'read > ' * 30}" for n in range(9999))
    model = learned().with_provenance(quarantined=lines, notes=("Merged.", "\u202eé"))
    save_model(model, tmp_path / "m")
    assert load_model(tmp_path / "m").provenance == model.provenance


def test_the_same_model_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    save_model(learned(), tmp_path / "again")
    save_model(load_model(folder), tmp_path / "read")
    for path in folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
        assert (tmp_path / "read" / path.name).read_bytes() == path.read_bytes()


def test_the_format_is_described(folder: Path) -> None:
    """Every file, field and column has its line in docs/model-format.md."""
    text = FORMAT.read_text()
    assert {path.name for path in folder.iterdir()} == {MANIFEST} | {
        f"{name}.parquet" for name in TABLES
    }
    manifest = json.loads((folder / MANIFEST).read_text())
    names = [*manifest, *manifest["training"], *manifest["training"]["ledger"], *TABLES]
    completeness = manifest["provenance"]["completeness"]
    names += [*manifest["provenance"], *completeness, *completeness["signals"]["ngrams"]]
    for name in TABLES:
        names += pq.read_schema(folder / f"{name}.parquet").names
    assert [name for name in names if f"`{name}`" not in text] == []
    assert f"version {manifest['version']}" in text.splitlines()[0]


def test_columns_and_names_explain_themselves(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["syscalls"]["native"]["59"] == "execve"
    for name in TABLES:
        schema = pq.read_schema(folder / f"{name}.parquet")
        assert all(field.metadata[b"description"] for field in schema)
        assert schema.metadata[b"architecture"] == ARCHITECTURE.encode()


NAMES = ["web", "shop/web/nginx", "..", ".hidden", "a b%2F", "ünï", "長" * 99, "x" * 999, "x" * 998]


def test_a_folder_of_models(tmp_path: Path) -> None:
    save_models(map(learned, NAMES), tmp_path / "models")
    assert sorted(load_models(tmp_path / "models")) == sorted(NAMES)
    assert list(load_models(tmp_path / "models" / "web")) == ["web"]
    assert len(list((tmp_path / "models").iterdir())) == len(NAMES)


def test_folders_that_are_no_models_are_left_alone(folder: Path) -> None:
    (folder.parent / "notes").mkdir()
    shutil.copytree(folder, folder.parent / ".half-written.tmp")
    assert list(load_models(folder.parent)) == ["web"]


def test_two_models_of_one_workload(folder: Path) -> None:
    shutil.copytree(folder, folder.with_name("copy"))
    with pytest.raises(ModelError, match="holds two models of web"):
        load_models(folder.parent)


@pytest.mark.parametrize("save", [save_model, lambda m, path, **o: save_models([m], path, **o)])
def test_what_exists_stays(save: Callable[..., None], tmp_path: Path) -> None:
    path, home = tmp_path / "out", tmp_path / "home"
    save(learned("old"), path)
    with pytest.raises(UsageError, match="exists"):
        save(learned("new"), path)
    assert list(load_models(path)) == ["old"]
    save(learned("new"), path, force=True)
    assert list(load_models(path)) == ["new"]
    home.mkdir()
    (home / "thesis.txt").touch()
    with pytest.raises(UsageError, match="does not replace it"):
        save(learned("new"), home, force=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "out"]


def test_a_full_disk_leaves_nothing_and_an_old_model_stays(tmp_path: Path) -> None:
    save_models([learned("old")], tmp_path / "models")
    with pytest.raises(OutputError, match="cannot be written"), largest_file(2000):
        save_models([learned("new")], tmp_path / "models", force=True)
    assert list(load_models(tmp_path / "models")) == ["old"]
    assert [p.name for p in tmp_path.iterdir()] == ["models"]


@pytest.mark.parametrize("name", [MANIFEST, *(f"{name}.parquet" for name in TABLES)])
@pytest.mark.parametrize("damage", ["missing", "truncated", "changed", "no file"])
def test_damage_is_noticed_in_every_file(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "changed":
        where = content.rindex(b"1") if name == MANIFEST else len(content) // 2
        content[where] ^= 3  # a digit stays a digit
        path.write_bytes(content)
    elif damage == "no file":
        os.mkfifo(path)
    with pytest.raises(ModelError) as raised:
        load_model(folder)
    assert str(folder) in raised.value.problem
    assert raised.value.way_out


def test_no_model(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing", Path("/proc/self/exe")):
        with pytest.raises(ModelError, match="There is no model in"):
            load_models(path)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become somebody else")
def test_a_model_that_may_not_be_read(folder: Path) -> None:
    folder.chmod(0o700)
    program = (
        "import os, sys, pathlib; from baseline.errors import ModelError;"
        "from baseline.model.storage import load_models; os.setuid(65534)\n"
        "try: load_models(pathlib.Path(sys.argv[1]))\n"
        "except ModelError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, folder], capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        f"{folder} may not be read by this user. Change its owner or its mode.\n"
    )


def test_another_architecture_is_read_but_does_not_judge(tmp_path: Path) -> None:
    foreign = WorkloadModel.fit(list(islice(serving(5), 3)), "aarch64")
    save_model(foreign, tmp_path / "m")
    model = load_model(tmp_path / "m")
    require_architecture(model, "aarch64")
    with pytest.raises(ModelError, match="web is of aarch64, this is x86_64") as raised:
        require_architecture(model, "x86_64")
    assert "Learn on x86_64" in raised.value.way_out


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


EVIL_MANIFESTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another version": lambda m: m.update(version=1),
    "another format": lambda m: m.update(format="baseline recording"),
    "no files": lambda m: m.update(files=[]),
    "an unknown architecture": lambda m: m.update(architecture="vax"),
    "a workload that is no text": lambda m: m.update(workload=["web"]),
    "no training": lambda m: m.pop("training"),
    "fewer windows": lambda m: m["training"].update(windows=7),
    "no replicas": lambda m: m["training"].update(replicas=0),
    "no time": lambda m: m["training"].update(observed=0),
    "no provenance": lambda m: m.pop("provenance"),
    "completeness that is none": lambda m: m["provenance"].update(completeness={}),
    "quarantined that is no text": lambda m: m["provenance"].update(quarantined=[7]),
    "spans of its own": lambda m: m["training"].update(spans=[[0, 1]]),
    "a number that is text": lambda m: m["training"].update(observed="all day"),
    "a number that is too large": lambda m: m["training"].update(observed=10**30),
    "a number that is none": lambda m: m["training"].update(observed=float("nan")),
    "a ledger without lines": lambda m: m["training"].update(ledger={"ngrams": 3}),
    "a field too many": lambda m: m["training"].update(path="/etc/passwd"),
}


@pytest.mark.parametrize("evil", EVIL_MANIFESTS)
def test_a_manifest_that_cannot_be(folder: Path, evil: str) -> None:
    rewrite_manifest(folder, EVIL_MANIFESTS[evil])
    with pytest.raises(ModelError):
        load_model(folder)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", deep(10**5).encode(), b" " * (1 << 25), b'"\xff"']
)
def test_a_manifest_that_is_none(folder: Path, content: bytes) -> None:
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(ModelError, match=r"manifest\.json (is|cannot be read: File too large)"):
        load_model(folder)


EVIL_TABLES: dict[str, tuple[str, Callable[[pa.Table], pa.Table]]] = {
    "no rows": ("contexts", lambda t: t.slice(0, 0)),
    "a row less": ("ngrams", lambda t: t.slice(1)),
    "rows in another order": ("suffixes", lambda t: t.take(list(reversed(range(len(t)))))),
    "a row twice": ("connections_in", lambda t: pa.concat_tables([t, t])),
    "a context twice": ("executions_contexts", lambda t: pa.concat_tables([t, t])),
    "another column": ("executions", lambda t: t.append_column("x", [[1] * len(t)])),
    "no call": ("ngrams", with_column("calls", first(0))),
    "a number below zero": ("suffixes", with_column("windows", first(-5))),
    "more windows than there are": ("suffixes", with_column("windows", first(10**12))),
    "a part in more windows": ("connections_in_contexts", with_column("windows", first(10**12))),
    "an item in more windows": ("executions", with_column("windows", first(10**12))),
    "surprise that is no number": ("held_out", with_column("ngrams", first(float("nan")))),
    "surprise below zero": ("held_out", with_column("executions", first(-1.0))),
    "surprise without end": ("held_out", with_column("volumes", first(float("inf")))),
    "surprise that does not add": ("held_out", with_column("volumes", first(1e300))),
    "counts that do not add": ("held_out", with_column("ngrams_count", first(2**63 - 1))),
    "a replica too many": ("held_out", with_column("replica", first(1))),
    "a replica below zero": ("held_out", with_column("replica", first(-1))),
    "a window less": ("held_out", lambda t: t.slice(1)),
    "a time before all time": ("ngrams", with_column("first_seen", first(-1))),
    "last seen before first": ("connections_in", with_column("last_seen", first(1))),
    "no spans": ("spans", lambda t: t.slice(0, 0)),
    "a span that ends before it begins": ("spans", with_column("end", first(1))),
    "spans that overlap": ("spans", lambda t: pa.concat_tables([t, t])),
    "a call twice": ("volumes", lambda t: pa.concat_tables([t, t])),
    "a call less": ("volumes", lambda t: t.slice(1)),
    "a call never made": ("volumes", with_column("count", first(0))),
    "a pair twice": ("volume_pairs", lambda t: pa.concat_tables([t, t])),
    "a pair less": ("volume_pairs", lambda t: t.slice(1)),
    "no pairs": ("volume_pairs", lambda t: t.slice(0, 0)),
    "a level too high": ("volume_pairs", with_column("level", first(200))),
    "a pair of another call": ("volume_pairs", with_column("other_symbol", first(9999))),
    "a pair in more windows": ("volume_pairs", with_column("windows", first(1e6))),
    "windows of no number": ("volume_windows", with_column("windows", first(0))),
    "windows of no length": ("volume_windows", with_column("length", first(0))),
    "two lengths": ("volume_windows", lambda t: pa.concat_tables([t, t])),
    "no JSON": ("executions", with_column("item", first("import os"))),
    "an object": ("executions_contexts", with_column("part", first('{"a": 1}'))),
    "deep JSON": ("executions", with_column("item", first(deep(10**5)))),
    "deep JSON in a context": (
        "connections_in_contexts",
        with_column("context", first(deep(10**5))),
    ),
    "an item that is none": ("executions", with_column("item", first("[[], 0]"))),
    "a user that is none": ("executions", with_column("item", first('[[["/a","",false]],-1]'))),
    "a path that is none": ("executions", with_column("item", first('[[[7,"",false]],0]'))),
    "another direction": ("connections_in", with_column("item", first('["up","tcp","1.1.1.1",1]'))),
    "another port": ("connections_in", with_column("item", first('["in","tcp","1.1.1.1",70000]'))),
    "a peer that is none": ("connections_in", with_column("item", first('["in","tcp",1,1]'))),
}


@pytest.mark.parametrize("evil", EVIL_TABLES)
def test_tables_that_cannot_be(folder: Path, evil: str) -> None:
    name, change = EVIL_TABLES[evil]
    rewrite_table(folder, name, change)
    with pytest.raises(ModelError, match=f"{folder}.*(contradicts itself|other columns)"):
        load_model(folder)


def test_reading_does_not_depend_on_where_the_model_is(folder: Path, tmp_path: Path) -> None:
    folder.rename(tmp_path / "moved")
    model = load_model(tmp_path / "moved")
    assert model.knows(INTRUDER)
    assert model.knows(SHELL_STARTED)
