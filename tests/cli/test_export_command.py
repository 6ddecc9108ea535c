from pathlib import Path

import pyarrow.parquet as pq
from running import run


def test_a_recording_as_tables_with_names(intruded: Path, tmp_path: Path) -> None:
    done = run("export", intruded, "--out", tmp_path / "tables")
    assert (done.returncode, done.stdout) == (0, "")
    written = [Path(line.removeprefix("Wrote ")) for line in done.stderr.splitlines()]
    assert sorted(written) == sorted((tmp_path / "tables").iterdir())
    calls = pq.read_table(tmp_path / "tables" / "syscalls.parquet")
    assert {"epoll_wait", "execve"} <= set(calls["syscall"].to_pylist())


def test_models_as_tables_with_names(models: Path, tmp_path: Path) -> None:
    done = run("export", models, "--out", tmp_path / "tables")
    assert (done.returncode, done.stdout) == (0, "")
    tables = pq.read_table(tmp_path / "tables" / "models.parquet")
    assert sorted(tables["workload"].to_pylist()) == ["api", "web"]


def test_an_export_that_exists_stays_without_force(intruded: Path, tmp_path: Path) -> None:
    arguments = ("export", intruded, "--out", tmp_path / "tables")
    assert [run(*arguments).returncode for _ in range(2)] == [0, 2]
    assert run(*arguments, "--force").returncode == 0


def test_what_is_neither_recording_nor_models(tmp_path: Path) -> None:
    alerts = tmp_path / "alerts.jsonl"
    alerts.write_text("{}\n")
    neither = "is neither a recording nor models"
    for source, what in (
        (tmp_path, neither),
        (alerts, neither),
        (tmp_path / "none", "does not exist"),
    ):
        done = run("export", source, "--out", tmp_path / "tables")
        assert (done.returncode, done.stderr) == (
            2,
            f"Error: {source} {what}. "
            "Give the folder that `baseline record` or `baseline learn` wrote.\n",
        )
    assert list(tmp_path.iterdir()) == [alerts]
