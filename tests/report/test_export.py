from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from strategies import MIDNIGHT, numbered_window

import baseline.report.export
from baseline.errors import RecordingError, UsageError
from baseline.recordings import Recording, RecordingWriter
from baseline.report.export import (
    README,
    RECORDING_TABLES,
    describe,
    export_recording,
    ngram_arrays,
    tidy_folder,
)
from baseline.syscalls import ngram_names
from baseline.window import (
    Connection,
    Execution,
    Image,
    Ledger,
    NgramCounts,
    Tally,
    Window,
)

OPENAT, READ, CLOSE = 258, 1, 4  # symbols on x86_64: the number plus one
OPEN_READ = OPENAT << 10 | READ
OPEN_READ_CLOSE = OPEN_READ << 10 | CLOSE
SHELL = Execution((Image("/usr/sbin/nginx"), Image("/bin/sh", "run.sh", True)), uid=33)
PEER = Connection("out", "tcp", "2001:db8::1", 443)
WINDOW = Window(
    workload="web",
    replica="/web.service",
    start=MIDNIGHT + 1_999,
    end=MIDNIGHT + 10**9,
    observed=10**9 // 2,
    ngrams=NgramCounts(
        np.array([OPEN_READ, OPEN_READ_CLOSE, 1 << 60 | 19], np.uint64), np.array([5, 3, 2])
    ),
    executions={SHELL: 7},
    connections={PEER: 11},
    ledger=Ledger(ngrams=Tally(10, 8, 2, 0), events=Tally(4, 3, 0, 1)),
)
KEY = {
    "node": "web1",
    "workload": "web",
    "replica": "/web.service",
    "start_time": MIDNIGHT // 1000 + 1,
    "end_time": (MIDNIGHT + 10**9) // 1000,
}


def export(tmp_path: Path, windows: list[Window]) -> Path:
    with RecordingWriter(
        tmp_path / "r", interval=1, node="web1", architecture="x86_64", flush_rows=20
    ) as writer:
        for window in windows:
            writer.write(window)
    export_recording(Recording(tmp_path / "r"), tmp_path / "out")
    return tmp_path / "out"


def rows(out: Path, name: str) -> list[dict[str, Any]]:
    table = pq.ParquetFile(out / f"{name}.parquet").read()
    for i, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(i, field.name, table.column(i).cast(pa.int64()))
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def test_a_window_is_one_row(tmp_path: Path) -> None:
    assert rows(export(tmp_path, [WINDOW]), "windows") == [
        {
            **KEY,
            "seconds": 0.5,
            "calls": 10,
            "distinct_ngrams": 3,
            "executions": 7,
            "connections": 11,
            "adds_up": True,
        }
    ]


def test_calls_have_their_names(tmp_path: Path) -> None:
    out = export(tmp_path, [WINDOW])
    calls = {f"call_{i}": "start" for i in range(1, 7)}
    expected = [
        (OPEN_READ, {"call_5": "openat", "call_6": "read"}, 5),
        (OPEN_READ_CLOSE, {"call_4": "openat", "call_5": "read", "call_6": "close"}, 3),
        (1 << 60 | 19, {"call_6": "io_uring:openat"}, 2),
    ]
    assert rows(out, "ngrams") == [
        {**KEY, "ngram": ngram, **calls, **named, "count": count}
        for ngram, named, count in expected
    ]
    assert rows(out, "syscalls") == [
        {**KEY, "syscall": "read", "count": 5},
        {**KEY, "syscall": "close", "count": 3},
        {**KEY, "syscall": "io_uring:openat", "count": 2},
    ]


def test_lineages_are_text_and_list(tmp_path: Path) -> None:
    assert rows(export(tmp_path, [WINDOW]), "executions") == [
        {
            **KEY,
            "lineage": "/usr/sbin/nginx > /bin/sh[run.sh] (no file)",
            "programs": ["/usr/sbin/nginx", "/bin/sh"],
            "program": "/bin/sh",
            "script": "run.sh",
            "unlinked": True,
            "depth": 2,
            "uid": 33,
            "count": 7,
        }
    ]


def test_connections_and_the_ledger(tmp_path: Path) -> None:
    out = export(tmp_path, [WINDOW])
    assert rows(out, "connections") == [
        {
            **KEY,
            "direction": "out",
            "protocol": "tcp",
            "peer": "2001:db8::1",
            "port": 443,
            "count": 11,
        }
    ]
    tallies = {row["signal"]: row for row in rows(out, "ledger")}
    assert list(tallies) == ["ngrams", "executions", "connections", "events"]
    ngrams = {"counted": 10, "recorded": 8, "overflowed": 2, "lost": 0}
    assert tallies["ngrams"] == {**KEY, "signal": "ngrams", **ngrams}
    assert tallies["events"]["lost"] == 1


def test_syscalls_are_the_sum_over_ngrams_of_each_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baseline.report.export, "ROW_GROUP_ROWS", 50)  # several batches
    windows = [numbered_window(i, w, ngrams=i) for i in range(20) for w in ("web", "db")]
    out = export(tmp_path, windows)
    expected: Counter[tuple[object, ...]] = Counter()
    for window in windows:
        for ngram, count in zip(window.ngrams.ngrams, window.ngrams.counts, strict=True):
            last = ngram_names(int(ngram), "x86_64")[-1]
            expected[window.workload, window.start // 1000, last] += int(count)
    found = {
        (r["workload"], r["start_time"], r["syscall"]): r["count"] for r in rows(out, "syscalls")
    }
    assert found == expected
    assert len(rows(out, "windows")) == len(windows)
    assert sum(r["count"] for r in rows(out, "ngrams")) == sum(w.ngrams.total for w in windows)


def test_an_ngram_is_named_as_one_alone_would_be() -> None:
    values = np.random.default_rng(0).integers(0, 2**61, 200, np.uint64)
    packed, *columns = (column.to_pylist() for column in ngram_arrays(values, "x86_64"))
    assert packed == values.tolist()
    for value, names in zip(values, zip(*columns, strict=True), strict=True):
        found = tuple(name for name in names if name != "start")
        assert found == tuple(n for n in ngram_names(int(value), "x86_64") if n != "start")


def test_an_empty_recording_makes_empty_tables(tmp_path: Path) -> None:
    out = export(tmp_path, [])
    assert not any(rows(out, name) for name in RECORDING_TABLES)


def test_the_files_written_are_named(tmp_path: Path) -> None:
    export(tmp_path, [WINDOW])
    written = export_recording(Recording(tmp_path / "r"), tmp_path / "again")
    assert sorted(written) == sorted((tmp_path / "again").iterdir())


def test_every_column_is_described_in_its_file_and_in_the_readme(tmp_path: Path) -> None:
    out = export(tmp_path, [WINDOW])
    text = (out / README).read_text()
    assert "Recorded on web1 (x86_64) in windows of 1 s." in text
    for name, schema in RECORDING_TABLES.items():
        assert f"\n{name}.parquet\n" in text
        assert pq.ParquetFile(out / f"{name}.parquet").schema_arrow.equals(schema)
        for field in pq.ParquetFile(out / f"{name}.parquet").schema_arrow:
            assert field.metadata[b"description"]
            assert f"\n{field.name} " in text
    assert max(map(len, describe(RECORDING_TABLES, about="x").splitlines())) < 80


def test_an_existing_folder_is_replaced_only_by_force_and_only_if_it_is_an_export(
    tmp_path: Path,
) -> None:
    out = export(tmp_path, [WINDOW])
    recording = Recording(tmp_path / "r")
    with pytest.raises(UsageError, match="exists"):
        export_recording(recording, out)
    export_recording(recording, out, force=True)
    with pytest.raises(UsageError, match=r"holds no windows\.parquet"):
        export_recording(recording, tmp_path, force=True)


def test_a_damaged_recording_leaves_nothing_behind(tmp_path: Path) -> None:
    export(tmp_path, [WINDOW])
    recording = Recording(tmp_path / "r")
    min((tmp_path / "r" / "ngrams").rglob("*.parquet")).unlink()
    with pytest.raises(RecordingError, match="is missing"):
        export_recording(recording, tmp_path / "again")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "r"]


def test_other_tables_can_be_written_the_same_way(tmp_path: Path) -> None:
    schema = pa.schema([baseline.report.export.CONNECTION_COLUMNS[3]])
    with tidy_folder(tmp_path / "out", {"ports": schema}, about="Ports.") as writers:
        for port in (80, 443):
            writers["ports"].write_table(pa.table({"port": [port]}, schema=schema))
    assert rows(tmp_path / "out", "ports") == [{"port": 80}, {"port": 443}]
    assert "Ports.\n\nports.parquet\n" in (tmp_path / "out" / README).read_text()
