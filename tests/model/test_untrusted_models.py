"""Whatever bytes a model consists of: it is refused with one sentence, or it can be used."""

import json
import shutil
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
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_service import ARCHITECTURE, intruded, serving

import baseline.model.hierarchy
import baseline.parquet
from baseline.errors import ModelError
from baseline.model.inspection import describe
from baseline.model.storage import MANIFEST, load_model, save_model
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
    if keys != ("sha256",):
        del manifest["sha256"]
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
@settings(max_examples=40, deadline=None)
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


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(2**64),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.data(), json_values)
@settings(max_examples=40, deadline=None)
def test_any_manifest_is_refused_or_usable(sound: Path, data: st.DataObject, value: object) -> None:
    place: Any = json.loads((sound / MANIFEST).read_text())
    keys: list[str] = []
    while isinstance(place, dict) and (not keys or data.draw(st.booleans())):
        keys.append(data.draw(st.sampled_from(sorted(place))))
        place = place[keys[-1]]
    with copy_of(sound) as path:
        edit_manifest(path, *keys, value=value)
        use_or_refuse(path)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_parquet_is_refused_or_usable(sound: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(TABLES)) + ".parquet"
    content = bytearray((sound / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with copy_of(sound) as path:
        replace_file(path, name, bytes(content))
        use_or_refuse(path)


@given(st.data())
@settings(max_examples=40, deadline=None)
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
        ("connections_contexts", lambda rows: rows.pop(0)),
        ("executions", with_first(first_seen=2**62)),
        ("held_out", with_first(ngrams_count=2**63 - 1)),
        ("held_out", with_first(calls=1e19)),
        ("held_out", with_first(calls=float("nan"))),
        ("held_out", with_first(replica=1)),
        ("held_out", lambda rows: rows.pop()),
        ("spans", lambda rows: rows.clear()),
        ("spans", with_row(start=0, end=1)),
        ("calls", with_first(symbol=2**16 - 1)),
        ("calls", with_first(usual_bits=float("inf"))),
        ("call_pairs", with_row(level=48, other_level=48)),
        ("call_pairs", with_first(windows=0.0)),
        ("call_pairs", with_first(windows=float("nan"))),
        ("call_pairs", with_first(windows=1e300)),
        ("call_pairs", lambda rows: rows.clear()),
        ("call_pairs", without_other_calls),
        ("call_pairs", without_a_pair),
        ("call_windows", lambda rows: rows.clear()),
        ("call_windows", with_row()),
        ("call_windows", with_first(windows=31)),
        ("call_windows", with_first(length=-1)),
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
    monkeypatch.setattr(baseline.model.hierarchy, "MAX_ITEMS", 1)
    assert refusal(saved) == f"{saved} contradicts itself (more than 1 items)"
