import json
import signal
from pathlib import Path

import pytest
from interrupting import interrupt_replay
from running import run

from baseline.cli.main import exit_code
from baseline.model.poisson import poisson_interval
from baseline.model.storage import save_models
from baseline.model.workload_model import WorkloadModel
from baseline.recordings import Recording, RecordingWriter


def test_alerts_against_the_budget(models: Path, intruded: Path) -> None:
    done = run("backtest", "--models", models, "--from", intruded)
    assert done.returncode == 0
    head, web, row, empty, number, also_web, alert, *more = done.stdout.splitlines()
    assert head.split() == ["budget", "time", "alerts", "expected", "ratio", "95", "%", "interval"]
    assert (web, empty, number, also_web) == ("web", "", "1 alert", "web")
    assert row.split()[:5] == ["1/week", "30", "s", "1", "4.96e-05"]
    assert "nginx started /usr/bin/dash as uid 33" in alert
    assert alert.startswith("  2026-11-23T00:00:11Z ")
    assert more[-1].endswith("sequences")  # nothing is cut
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert done.stderr.endswith("Judged 30 windows; nothing lost.\n")


def test_several_budgets_in_a_table(models: Path, intruded: Path) -> None:
    budgets = [part for text in ("1/week", "1/hour", "40/minute") for part in ("--budget", text)]
    done = run("backtest", "--models", models, "--from", intruded, *budgets)
    table, listing = done.stdout.split("\n\n")
    assert [line.split()[0] for line in table.splitlines()[2:]] == ["40/minute", "1/hour", "1/week"]
    assert " 1/week nginx started /usr/bin/dash as uid 33" in " ".join(listing.split())
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_the_same_for_machines(models: Path, intruded: Path) -> None:
    arguments = ("backtest", "--models", models, "--from", intruded, "--budget", "2/minute")
    document = json.loads(run(*arguments, "--format", "json").stdout)
    (outcome,) = document["outcomes"]
    assert (outcome["workload"], outcome["budget"], outcome["seconds"]) == ("web", "2/minute", 30)
    assert outcome["expected"] == 1
    assert outcome["ratio"] == outcome["alerts"] == len(document["alerts"])
    assert outcome["interval"] == pytest.approx(poisson_interval(outcome["alerts"]), rel=1e-4)
    assert {alert["budget"] for alert in document["alerts"]} == {"2/minute"}
    watched = run(
        "watch", "--from", intruded, "--models", models, "--budget", "2/minute", "--format", "json"
    )
    ids = [json.loads(line)["id"] for line in watched.stdout.splitlines()]
    assert [alert["id"] for alert in document["alerts"]] == ids


def test_quiet_time_that_was_learned_is_said_to_prove_nothing(models: Path, normal: Path) -> None:
    done = run("backtest", "--models", models, "--from", normal)
    assert done.returncode == 0
    assert done.stdout.endswith("\nNo alerts.\n")
    assert done.stdout.count(" 0.00 ") == 4  # ratio and lower end, of two workloads
    api, web, judged = done.stderr.splitlines()
    assert api.startswith("api was learned while 240 of these 240 windows were recorded: ")
    assert web.startswith("web was learned while 240 ")
    assert judged == "Judged 480 windows; nothing lost."


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_one_is_no_verdict_on_all_of_it(
    number: signal.Signals,
    models: Path,
    intruded: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for after, judged in ((5, "5 windows"), (0, "0 windows")):
        interrupt_replay(monkeypatch, number, after)
        code = exit_code(["backtest", "--models", str(models), "--from", str(intruded)])
        assert code == 128 + number
        shown = capfd.readouterr()
        assert shown.out.endswith("\nNo alerts.\n")
        assert shown.err.endswith(
            f"Interrupted: judged the first {judged} alone.\nJudged {judged}; nothing lost.\n"
        )


def test_workloads_without_a_model_are_named(
    models: Path, normal: Path, intruded: Path, tmp_path: Path
) -> None:
    windows = list(Recording(intruded).windows())
    save_models([WorkloadModel.fit(windows, "x86_64")], tmp_path / "web")
    done = run("backtest", "--models", tmp_path / "web", "--from", normal)
    assert f"There is no model of api in {tmp_path / 'web'}: its windows were not judged." in (
        done.stderr
    )
    assert done.stderr.endswith("Judged 240 windows; nothing lost.\n")


def test_nothing_to_judge(models: Path, intruded: Path, tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "empty", interval=1.0, architecture="x86_64"):
        pass
    empty = run("backtest", "--models", models, "--from", tmp_path / "empty")
    assert empty.returncode == 1
    assert empty.stderr == (
        f"Error: Nothing was judged: {models} has models of api, web, the recording has "
        "no windows. Give a recording of a workload that was learned.\n"
    )
    for arguments, message in [
        (("--models", models), "Missing option '--from'"),
        (("--from", intruded), "Missing option '--models'"),
        (("--models", models, "--from", intruded, "--budget", "often"), "is no alert budget"),
    ]:
        done = run("backtest", *arguments)
        assert done.returncode == 2
        assert message in done.stderr
    missing = run("backtest", "--models", models, "--from", tmp_path / "nothing")
    assert missing.returncode == 1
    assert missing.stderr.count("\n") == 1
