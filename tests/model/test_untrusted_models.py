"""Whatever bytes a model consists of: it is refused with one sentence, or it can be used."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzzing import DEPTHS, changed_bytes, changed_json, fuzzed, json_values, nested
from hypothesis import given
from hypothesis import strategies as st
from synthetic_service import ARCHITECTURE, intruded, serving

import baseline.model.folders
import baseline.model.hierarchy_model
import baseline.parquet
from baseline.errors import ModelError
from baseline.model.folders import MANIFEST
from baseline.model.inspection import describe
from baseline.model.storage import load_model, load_models, save_model
from baseline.model.workload_model import SIGNAL_MODELS, WorkloadModel
from baseline.parquet import write_table

WINDOWS = list(islice(serving(1), 30))
MODEL = WorkloadModel.fit([*WINDOWS[:-1], intruded(WINDOWS[-1])], ARCHITECTURE)
TABLES = [name for kind in SIGNAL_MODELS.values() for name in kind.schemas] + ["held_out", "spans"]

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model on disk that no test changes."""
    path = tmp_path_factory.mktemp("sound") / "web"
    save_model(MODEL, path)
    return path


@pytest.fixture
def saved(sound: Path, tmp_path: Path) -> Path:
    """A model on disk to change."""
    return shutil.copytree(sound, tmp_path / "web")


@contextmanager
def copy_of(path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield shutil.copytree(path, Path(folder, "web"))


def edit_manifest(path: Path, *keys: str, value: object) -> None:
    """Put another value in the manifest, and make its checksum fit."""
    manifest = json.loads((path / MANIFEST).read_text())
    place = manifest
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    write_manifest(path, manifest)


def write_manifest(path: Path, manifest: Any) -> None:
    """Put another manifest in its place, with the checksum that fits."""
    if isinstance(manifest, dict):
        manifest.pop("sha256", None)
        said = json.dumps(manifest, sort_keys=True)
        manifest["sha256"] = sha256(said.encode()).hexdigest()
    (path / MANIFEST).write_text(json.dumps(manifest))


def replace_file(path: Path, name: str, content: bytes) -> None:
    """Put another file in its place, and make the checksums fit."""
    (path / name).write_bytes(content)
    entry = {"bytes": len(content), "sha256": sha256(content).hexdigest()}
    edit_manifest(path, "files", name, value=entry)


def edit_rows(path: Path, table: str, edit: Callable[[Rows], object]) -> None:
    """Change the rows of a table, and make the checksums fit."""
    file = path / f"{table}.parquet"
    written = pq.read_table(file)
    rows = written.to_pylist()
    edit(rows)
    write_table(pa.Table.from_pylist(rows, written.schema), file, {})
    replace_file(path, file.name, file.read_bytes())


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as refused:
        load_model(path)
    assert refused.value.way_out
    assert len(refused.value.problem) < len(str(path)) + 300
    return refused.value.problem


def use_or_refuse(path: Path) -> WorkloadModel | None:
    try:
        model = load_model(path)
    except ModelError:
        return None
    assert describe(model)
    for window in (WINDOWS[0], intruded(WINDOWS[0])):
        assert model.score(window).bits >= 0
        assert all(evidence.bits >= 0 for evidence in model.explain(window))
    return model


@given(st.data())
@fuzzed(40)
def test_a_flipped_bit_is_refused_or_means_nothing(sound: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([MANIFEST] * 3 + [f"{table}.parquet" for table in TABLES]))
    content = bytearray((sound / name).read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with copy_of(sound) as path:
        (path / name).write_bytes(content)
        model = use_or_refuse(path)
    if model:
        assert (model.workload, model.training) == (MODEL.workload, MODEL.training)
        assert (model.threshold, model.shift_threshold) == (MODEL.threshold, MODEL.shift_threshold)


@given(st.data())
@fuzzed(100)
def test_any_manifest_is_refused_or_usable(sound: Path, data: st.DataObject) -> None:
    manifest = data.draw(changed_json(json.loads((sound / MANIFEST).read_text())))
    with copy_of(sound) as path:
        write_manifest(path, manifest)
        use_or_refuse(path)


@pytest.mark.parametrize("field", ["format", "version", "workload", "files", "sha256", "other"])
def test_a_manifest_of_any_depth_is_refused(saved: Path, field: str) -> None:
    manifest = json.dumps(json.loads((saved / MANIFEST).read_text()) | {field: "here"})
    for depth in DEPTHS:
        (saved / MANIFEST).write_text(manifest.replace('"here"', nested(depth)))
        assert refusal(saved)


def test_another_version_is_told_in_a_few_characters(saved: Path) -> None:
    edit_manifest(saved, "version", value="9" * 10**6)
    assert len(refusal(saved)) < len(str(saved)) + 99


@given(st.data())
@fuzzed(40)
def test_any_bytes_of_a_manifest_are_refused_or_usable(sound: Path, data: st.DataObject) -> None:
    content = (sound / MANIFEST).read_bytes()
    with copy_of(sound) as path:
        (path / MANIFEST).write_bytes(data.draw(changed_bytes(content) | st.binary(max_size=99)))
        use_or_refuse(path)


@given(st.data())
@fuzzed(40)
def test_any_parquet_is_refused_or_usable(sound: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(TABLES)) + ".parquet"
    content = data.draw(changed_bytes((sound / name).read_bytes()) | st.binary(max_size=99))
    with copy_of(sound) as path:
        replace_file(path, name, content)
        use_or_refuse(path)


@given(st.data())
@fuzzed(40)
def test_any_cell_is_refused_or_usable(sound: Path, data: st.DataObject) -> None:
    table = data.draw(st.sampled_from(TABLES))
    written = pq.read_table(sound / f"{table}.parquet")
    row = data.draw(st.integers(0, len(written) - 1))
    field = written.schema.field(data.draw(st.integers(0, written.num_columns - 1)))
    values = {
        pa.string(): st.one_of(st.text(), json_values.map(json.dumps)),
        pa.uint8(): st.integers(0, 2**8 - 1),
        pa.uint16(): st.integers(0, 2**16 - 1),
        pa.uint64(): st.integers(0, 2**64 - 1),
        pa.int32(): st.integers(-(2**31), 2**31 - 1),
        pa.int64(): st.integers(-(2**63), 2**63 - 1),
        pa.float64(): st.floats(),
    }
    value = data.draw(values[field.type])
    with copy_of(sound) as path:
        edit_rows(path, table, lambda rows: rows[row].update({field.name: value}))
        use_or_refuse(path)


def with_row(**values: object) -> Callable[[Rows], object]:
    return lambda rows: rows.append(rows[-1] | values)


def with_first(**values: object) -> Callable[[Rows], object]:
    return lambda rows: rows[0].update(values)


def without_other_calls(rows: Rows) -> None:
    rows[:] = [row for row in rows if row["symbol"] == row["other_symbol"]]


def without_a_pair(rows: Rows) -> None:
    rows.remove(next(row for row in rows if row["symbol"] != row["other_symbol"]))


def execution(*image: object, uid: object = 0) -> str:
    return json.dumps([[image], uid])


@pytest.mark.parametrize(
    ("table", "edit"),
    [
        ("suffixes", lambda rows: rows.pop(0)),
        ("suffixes", with_row(context_length=6)),
        ("contexts", with_row(context_length=6)),
        ("contexts", with_row(context=2**64 - 1)),
        ("contexts", with_first(context=7)),
        ("contexts", lambda rows: rows[-1].update(windows=2**62)),
        ("executions_contexts", with_row(part='"never seen"')),
        ("executions_contexts", with_row(context='["never seen"]', part="null")),
        ("executions_contexts", lambda rows: rows.pop(1)),
        ("connections_in_contexts", lambda rows: rows.pop(0)),
        ("executions", with_first(first_seen=2**62)),
        ("held_out", with_first(ngrams_count=2**63 - 1)),
        ("held_out", with_first(volumes=1e19)),
        ("held_out", with_first(volumes=float("nan"))),
        ("held_out", with_first(replica=1)),
        ("held_out", lambda rows: rows.pop()),
        ("spans", lambda rows: rows.clear()),
        ("spans", with_row(start=0, end=1)),
        ("volumes", with_first(symbol=2**16 - 1)),
        ("volumes", with_first(usual_bits=float("inf"))),
        ("volume_pairs", with_row(level=48, other_level=48)),
        ("volume_pairs", with_first(windows=0.0)),
        ("volume_pairs", with_first(windows=float("nan"))),
        ("volume_pairs", with_first(windows=1e300)),
        ("volume_pairs", lambda rows: rows.clear()),
        ("volume_pairs", without_other_calls),
        ("volume_pairs", without_a_pair),
        ("volume_windows", lambda rows: rows.clear()),
        ("volume_windows", with_row()),
        ("volume_windows", with_first(windows=31)),
        ("volume_windows", with_first(length=-1)),
        ("executions", with_first(item="9" * 5000)),
        ("executions", with_first(item=execution("/bin/sh", ""))),
        ("executions", with_first(item=execution("/bin/sh", "", 0))),
        ("executions", with_first(item=execution("\ud800", "", False))),
        ("executions", with_first(item=execution("/bin/sh", "", False, uid=True))),
        ("executions", with_first(item=execution("/bin/sh", "", False, uid=33.0))),
        ("executions", with_first(item=execution("x" * 2**20, "", False))),
    ],
)
def test_tables_must_agree(saved: Path, table: str, edit: Callable[[Rows], object]) -> None:
    edit_rows(saved, table, edit)
    assert "contradicts itself" in refusal(saved)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (["workload"], "\ud800"),
        (["workload"], "x" * 5000),
        (["training", "replicas"], -1),
        (["training", "replicas"], True),
        (["training", "observed"], 10**400),
        (["training", "ledger", "ngrams", "lost"], -1),
        (["training", "x" * 5000], 1),
    ],
)
def test_the_manifest_must_make_sense(saved: Path, keys: list[str], value: object) -> None:
    edit_manifest(saved, *keys, value=value)
    assert "contradicts itself" in refusal(saved)


@pytest.mark.parametrize("table", TABLES)
def test_columns_must_be_those_of_the_format(saved: Path, table: str) -> None:
    file = saved / f"{table}.parquet"
    written = pq.read_table(file)
    for other in (
        written.drop_columns(written.column_names[0]),
        written.cast(pa.schema([(name, pa.string()) for name in written.column_names])),
        pa.table(dict(zip(written.column_names, written.columns, strict=True))),  # may be null
    ):
        pq.write_table(other, file)
        replace_file(saved, file.name, file.read_bytes())
        assert refusal(saved) == f"{file} has other columns than this format"


def test_tables_that_unfold_into_too_much_are_refused(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_rows(
        saved, "executions", lambda rows: rows.extend([{**rows[0], "item": "x" * 999}] * 9999)
    )
    assert (saved / "executions.parquet").stat().st_size < 10_000
    monkeypatch.setattr(baseline.parquet, "MAX_TABLE_BYTES", 1 << 20)
    assert refusal(saved) == f"{saved}/executions.parquet holds more than this format allows"


def test_more_items_than_fit_in_memory_are_refused(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baseline.model.hierarchy_model, "MAX_ITEMS", 1)
    assert refusal(saved) == f"{saved} contradicts itself (more than 1 items)"


@pytest.mark.parametrize("name", [MANIFEST, "ngrams.parquet"])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
def test_what_is_no_file_is_neither_waited_for_nor_read(
    saved: Path, name: str, make: Callable[[Path], object]
) -> None:
    (saved / name).unlink()
    make(saved / name)
    assert refusal(saved) == f"{saved / name} cannot be read: Not a regular file"


def test_links_are_followed_and_what_they_lead_to_is_checked(saved: Path, tmp_path: Path) -> None:
    for file in sorted(saved.iterdir()):
        file.symlink_to(file.rename(tmp_path / file.name))
    assert load_model(saved).workload == MODEL.workload
    (tmp_path / "other").write_text("root:x:0:0::/root:/bin/sh\n")
    (saved / "ngrams.parquet").unlink()
    (saved / "ngrams.parquet").symlink_to(tmp_path / "other")
    assert refusal(saved) == f"{saved}/ngrams.parquet is not what was written: its checksum differs"


def test_a_link_to_itself_is_refused(saved: Path) -> None:
    (saved / MANIFEST).unlink()
    (saved / MANIFEST).symlink_to(MANIFEST)
    assert MANIFEST in refusal(saved) or "There is no model" in refusal(saved)


@pytest.mark.parametrize("name", ["../web/ngrams.parquet", "/etc/passwd", "ngrams.parquet/"])
def test_names_in_the_manifest_lead_nowhere(saved: Path, name: str) -> None:
    manifest = json.loads((saved / MANIFEST).read_text())
    manifest["files"][name] = manifest["files"].pop("ngrams.parquet")
    write_manifest(saved, manifest)
    assert refusal(saved) == f"{saved}/ngrams.parquet is not what was written: its checksum differs"


FORBIDDEN = ("compile", "exec", "import", "marshal.loads", "os.exec", "os.fork", "os.posix_spawn")
FORBIDDEN += ("os.system", "pickle.find_class", "socket.connect", "subprocess.Popen")

WATCHER = f"""
import sys
from pathlib import Path
from baseline.errors import ModelError
from baseline.model.storage import load_model
load_model(Path(sys.argv[1]))  # all that has to be imported is

def forbid(event, arguments):
    if event in {FORBIDDEN!r} or (event == "open" and "w" in str(arguments[1])):
        print(event, arguments, flush=True)

sys.addaudithook(forbid)
for path in sys.argv[1:]:
    try:
        load_model(Path(path))
    except ModelError as error:
        print(error)
"""


def events_of_loading(*paths: Path) -> list[str]:
    """What a fresh process prints: what loading did but read, and what was refused."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHER, *paths], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_loading_a_model_executes_nothing(saved: Path) -> None:
    assert events_of_loading(saved) == []


def test_a_type_that_unpickles_is_refused_unread(saved: Path, tmp_path: Path) -> None:
    """pyarrow before 14.0.1 unpickled what a file named as the type of a column: CVE-2023-47248."""
    evil = shutil.copytree(saved, tmp_path / "evil")
    proof = tmp_path / "proof"
    metadata = {
        "ARROW:extension:name": "arrow.py_extension_type",
        "ARROW:extension:metadata": f"cposix\nsystem\n(S'touch {proof}'\ntR.",
    }
    written = pq.read_table(evil / "spans.parquet")
    fields = [field.with_metadata(metadata) for field in written.schema]
    pq.write_table(written.cast(pa.schema(fields)), evil / "spans.parquet")
    replace_file(evil, "spans.parquet", (evil / "spans.parquet").read_bytes())
    for line in events_of_loading(saved, evil):
        assert line.startswith(f"{evil}/spans.parquet")
    assert not proof.exists()


def test_more_models_than_a_folder_may_hold_are_refused(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (saved.parent / "api").mkdir()
    (saved.parent / "api" / MANIFEST).touch()
    monkeypatch.setattr(baseline.model.folders, "MAX_MODELS", 1)
    with pytest.raises(ModelError, match="holds more than 1 models"):
        load_models(saved.parent)
