import json
from pathlib import Path

import pytest
from running import run

from baseline.model.storage import load_models, save_models
from baseline.model.workload_model import WorkloadModel
from baseline.recordings import Recording


@pytest.fixture(scope="session")
def candidate(tmp_path_factory: pytest.TempPathFactory, intruded: Path) -> Path:
    """A model of the workload that started a shell."""
    path = tmp_path_factory.mktemp("models") / "candidate"
    save_models([WorkloadModel.fit(list(Recording(intruded).windows()), "x86_64")], path)
    return path


def test_a_page_says_what_is_new_gone_and_shifted(models: Path, candidate: Path) -> None:
    done = run("diff", models, candidate, "--workload", "web")
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    new, gone = done.stdout.split("Gone from A")
    assert "/usr/sbin/nginx > /usr/bin/dash (uid 33)" in new
    assert "tcp out to 203.0.113.9:4444" in new
    assert "/usr/bin/dash" not in gone.split("New in B, and an alert")[0]
    assert "New in B, and an alert for A at 1/week: once" in gone
    assert "Shifted, of what both know" in gone


def test_the_same_for_machines(models: Path, candidate: Path) -> None:
    done = run("diff", models, candidate, "--workload", "web", "--format", "json")
    document = json.loads(done.stdout)
    (web,) = document["workloads"]
    assert web["workload"] == "web"
    assert web["before"]["windows"] == 240
    assert [d["description"] for d in web["new"]["executions"]] == [
        "/usr/sbin/nginx > /usr/bin/dash (uid 33)"
    ]
    assert len(web["new"]["ngrams"]) == 14
    assert web["gone"] == {
        s: [] for s in ("ngrams", "calls", "executions", "connections_in", "connections_out")
    }
    assert web["shifted"]["volumes"]["bits"] >= 0
    assert [alert["start"] for alert in web["alerts"]] == ["2026-11-23T00:00:10.000000Z"]
    assert web["before"]["end"] == "2026-11-23T00:04:00.000000Z"
    assert len(web["alerts"][0]["items"]) == 16 + len(web["new"]["calls"])
    assert "execve" in {d["description"] for d in web["new"]["calls"]}
    assert (document["only_in_a"], document["only_in_b"]) == ([], [])


def test_the_same_models_differ_in_nothing(models: Path) -> None:
    done = run("diff", models, models, "--fail-on", "change")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("Nothing new in B would have been an alert for A at 1/week.") == 2


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("new", "web: what is new would have been 1 alert.\n"),
        ("change", "web changed.\n"),
        ("20", " bits, the limit is 20.\n"),
    ],
)
def test_a_gate_in_ci(models: Path, candidate: Path, limit: str, reason: str) -> None:
    done = run("diff", models, candidate, "--workload", "web", "--fail-on", limit)
    assert done.returncode == 3
    assert done.stderr.endswith(reason)
    back = run("diff", candidate, models, "--workload", "web", "--fail-on", limit)
    assert back.returncode == (3 if limit == "change" else 0)
    much = run("diff", models, candidate, "--workload", "web", "--fail-on", "500")
    assert (much.returncode, much.stderr) == (0, "")


def test_a_workload_that_the_other_lacks_is_a_change(
    models: Path, candidate: Path, tmp_path: Path
) -> None:
    both = load_models(models)
    save_models(both.values(), tmp_path / "two")
    api = both["api"]
    db = WorkloadModel("db", api.architecture, api.training, api.signals, api.held_out)
    save_models([*both.values(), db], tmp_path / "three")
    grown = run("diff", tmp_path / "two", tmp_path / "three", "--fail-on", "new")
    assert grown.returncode == 3
    assert grown.stderr == "db is new as a whole: A has no model of it.\n"
    assert grown.stdout.endswith("Only in B: db\n")
    shrunk = run("diff", tmp_path / "three", tmp_path / "two", "--fail-on", "new")
    assert (shrunk.returncode, shrunk.stderr) == (0, "")
    assert shrunk.stdout.endswith("Only in A: db\n")
    gone = run("diff", tmp_path / "three", tmp_path / "two", "--fail-on", "change")
    assert gone.returncode == 3
    assert gone.stderr == "db is gone: B has no model of it.\n"
    # A single model each is compared whatever its name.
    alone = run("diff", tmp_path / "three" / "db", candidate)
    assert alone.stdout.startswith("db (A), web (B)\n")


def test_what_cannot_be_compared(models: Path, candidate: Path, tmp_path: Path) -> None:
    none = run("diff", models, candidate, "--workload", "db")
    assert none.returncode == 2
    assert none.stderr == f"Error: There is no model of db in {models}. Choose of api, web.\n"
    missing = run("diff", models, tmp_path / "nothing")
    assert missing.returncode == 1
    assert missing.stderr.count("\n") == 1
    for limit in ("soon", "-1", "nan", "inf", "0"):
        done = run("diff", models, candidate, "--fail-on", limit)
        assert done.returncode == 2
        assert "Write new, change or a number of bits." in done.stderr


def test_other_architectures_and_other_workloads(
    models: Path, candidate: Path, intruded: Path, tmp_path: Path
) -> None:
    first, *_ = load_models(models).values()
    others = [
        WorkloadModel(name, first.architecture, first.training, first.signals, first.held_out)
        for name in ("cache", "db")
    ]
    save_models(others, tmp_path / "others")
    strangers = run("diff", models, tmp_path / "others")
    assert strangers.returncode == 2
    assert "have no workload in common: api, web; cache, db." in strangers.stderr
    windows = list(Recording(intruded).windows())
    save_models([WorkloadModel.fit(windows, "aarch64")], tmp_path / "arm")
    done = run("diff", candidate, tmp_path / "arm")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: The model of web is of x86_64 in ")
    assert done.stderr.count("\n") == 1
