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
    for source, code in ((tmp_path, 1), (tmp_path / "none", 2)):
        done = run("export", source, "--out", tmp_path / "tables")
        assert done.returncode == code
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
