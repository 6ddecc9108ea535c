from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from strategies import MIDNIGHT

from baseline.errors import UsageError
from baseline.model.acceptance import accept
from baseline.model.merging import merge
from baseline.model.workload_model import WorkloadModel
from baseline.report.export import README
from baseline.report.export_models import MODEL_TABLES, export_models
from baseline.syscalls import KIND_FOLDED, KIND_SHIFT
from baseline.window import Connection, Execution, Image, NgramCounts, Window

SECOND = 10**9
OPENAT, READ, CLOSE = 258, 1, 4  # symbols on x86_64: the number plus one
OPEN_READ = OPENAT << 10 | READ
OPEN_READ_CLOSE = OPEN_READ << 10 | CLOSE
SHELL = Execution((Image("/usr/sbin/cron"), Image("/bin/sh", "run.sh", True)), uid=33)
PEER = Connection("out", "tcp", "2001:db8::1", 443)


def second(number: int, seconds: int = 1) -> Window:
    start = MIDNIGHT + number * SECOND
    return Window(
        "web",
        f"/web-{number % 2}",
        start,
        start + seconds * SECOND,
        seconds * SECOND,
        NgramCounts(np.array([OPEN_READ, OPEN_READ_CLOSE], np.uint64), np.array([100, 2])),
        {SHELL: 3} if number in (7, 9) else {},
        {PEER: 1},
    )


MODEL = WorkloadModel.fit([second(number) for number in range(100)], "x86_64")
COMPLETENESS = MODEL.provenance.completeness
assert COMPLETENESS is not None


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "out"
    export_models([MODEL], path)
    return path


def rows(out: Path, name: str) -> list[dict[str, Any]]:
    table = pq.ParquetFile(out / f"{name}.parquet").read()
    for i, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):  # in seconds since midnight
            times = table.column(i).cast(pa.int64()).to_numpy() / 1e6 - MIDNIGHT / 1e9
            table = table.set_column(i, field.name, pa.array(times))
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def test_a_model_is_one_row(out: Path) -> None:
    assert rows(out, "models") == [
        {
            "workload": "web",
            "architecture": "x86_64",
            "start_time": 0.0,
            "end_time": 100.0,
            "windows": 100,
            "replicas": 2,
            "seconds": 100.0,
            "budget": "1/week",
            "supported_budget": "3.6/hour",
            "false_alarms_per_week": MODEL.false_alarms_per_week,
            "threshold": MODEL.threshold,
            "shift_threshold": MODEL.shift_threshold,
            "state": "partial",
            "reason": COMPLETENESS.reason,
            "quarantined": [],
            "notes": [],
        }
    ]


def test_held_out_windows_have_bits_and_counts_of_each_signal(out: Path) -> None:
    held_out = rows(out, "held_out")
    assert [row["window"] for row in held_out] == list(range(100))
    assert [row["replica_number"] for row in held_out] == [0, 1] * 50
    assert [row["bits"] for row in held_out] == MODEL.combination.held_out_bits.tolist()
    surprised = [row["window"] for row in held_out if row["executions_bits"] > 0]
    assert surprised == [7, 9]
    assert [row["executions_count"] for row in held_out if row["window"] in surprised] == [3, 3]
    assert {(row["ngrams_count"], row["connections_out_count"]) for row in held_out} == {(102, 1)}
    assert {row["volumes_bits"] for row in held_out} == {0.0}


def test_items_have_names_and_times(out: Path) -> None:
    assert [
        tuple(row[name] for name in ("ngram", "call_4", "call_5", "call_6", "count", "first_seen"))
        for row in rows(out, "ngrams")
    ] == [
        (OPEN_READ, "start", "openat", "read", 10_000, 0.0),
        (OPEN_READ_CLOSE, "openat", "read", "close", 200, 0.0),
    ]
    (shell,) = rows(out, "executions")
    assert shell["lineage"] == "/usr/sbin/cron > /bin/sh[run.sh] (no file)"
    assert (shell["windows"], shell["count"]) == (2, 6)
    assert (shell["first_seen"], shell["last_seen"]) == (7.0, 10.0)
    (peer,) = rows(out, "connections")
    assert (peer["peer"], peer["port"], peer["windows"]) == ("2001:db8::1", 443, 100)
    assert (peer["first_seen"], peer["last_seen"]) == (0.0, 100.0)


def test_calls_have_their_usual_volume(out: Path) -> None:
    read, close = rows(out, "calls")
    assert (read["syscall"], read["windows"], read["count"]) == ("read", 100, 10_000)
    assert read["usual_low"] <= 100 <= read["usual_high"] < 200
    assert (close["syscall"], close["usual_low"], close["usual_high"]) == ("close", 2, 2)
    assert close["usual_bits"] > 0
    assert (close["first_seen"], close["last_seen"]) == (0.0, 100.0)


def test_what_was_accepted_is_said_as_the_columns_have_it(tmp_path: Path) -> None:
    """A call that training never made; nobody knows how many of it are usual."""
    ptrace = NgramCounts(np.array([102], np.uint64), np.array([1]))
    accepted = accept(MODEL, [replace(second(1000), connections={}, ngrams=ptrace)], {})
    more = WorkloadModel.fit([second(number) for number in range(200, 210)], "x86_64")
    merged = merge([accepted, more])
    noted = merged.with_provenance(notes=("Accepted alert 0: x",), quarantined=("/bin/sh",))
    export_models([noted], tmp_path / "out")
    call, *_ = (r for r in rows(tmp_path / "out", "calls") if r["syscall"] == "ptrace")
    assert call == {
        "workload": "web",
        "syscall": "ptrace",
        "windows": 2,
        "count": 2,
        "usual_low": None,
        "usual_high": None,
        "usual_bits": None,
        "first_seen": 1000.0,
        "last_seen": 1001.0,
    }
    (model,) = rows(tmp_path / "out", "models")
    names = ("state", "reason", "quarantined", "notes")
    assert [model[name] for name in names] == [None, None, ["/bin/sh"], ["Accepted alert 0: x"]]


def test_folded_calls_are_counted_apart(tmp_path: Path) -> None:
    folded = np.array([READ, KIND_FOLDED << KIND_SHIFT | READ], np.uint64)
    windows = [
        replace(second(number), ngrams=NgramCounts(folded, np.array([5, 3])))
        for number in range(100)
    ]
    export_models([WorkloadModel.fit(windows, "x86_64")], tmp_path / "out")
    found = rows(tmp_path / "out", "calls")
    assert [(row["syscall"], row["windows"], row["count"]) for row in found] == [
        ("read", 100, 500),
        ("folded:read", None, 300),
    ]


def test_windows_of_all_lengths_have_no_usual_volume(tmp_path: Path) -> None:
    uneven = [second(number, seconds=9 ** (number % 5)) for number in range(20)]
    export_models([WorkloadModel.fit(uneven, "x86_64")], tmp_path / "out")
    for row in rows(tmp_path / "out", "calls"):
        assert (row["usual_low"], row["usual_high"], row["usual_bits"]) == (None, None, 0.0)


def test_several_models_and_one_that_saw_nothing(tmp_path: Path) -> None:
    idle = WorkloadModel.fit([Window("idle", "", MIDNIGHT, MIDNIGHT + SECOND, SECOND)], "x86_64")
    export_models([MODEL, idle], tmp_path / "out")
    assert [row["workload"] for row in rows(tmp_path / "out", "models")] == ["web", "idle"]
    assert {row["workload"] for row in rows(tmp_path / "out", "ngrams")} == {"web"}


def test_every_column_is_described_in_its_file_and_in_the_readme(out: Path) -> None:
    text = (out / README).read_text()
    for name, schema in MODEL_TABLES.items():
        assert f"\n{name}.parquet\n" in text
        assert pq.ParquetFile(out / f"{name}.parquet").schema_arrow.equals(schema)
        for field in schema:
            assert field.metadata[b"description"]
            assert f"\n{field.name} " in text
    assert max(map(len, text.splitlines())) < 80


def test_the_files_written_are_named(tmp_path: Path) -> None:
    written = export_models([MODEL], tmp_path / "out")
    assert sorted(written) == sorted((tmp_path / "out").iterdir())
    with pytest.raises(UsageError, match="exists"):
        export_models([MODEL], tmp_path / "out")
    assert export_models([MODEL], tmp_path / "out", force=True) == written
