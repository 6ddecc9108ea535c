import json
import os
import pty
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from interrupting import interrupt_replay
from running import BASELINE, ENVIRONMENT, run
from small_service import SECOND, windows

from baseline.cli.main import exit_code
from baseline.cli.watch import say_what_length_hides
from baseline.model.storage import load_models, save_models
from baseline.model.workload_model import WorkloadModel
from baseline.recordings import Recording
from baseline.window import Window, total

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(autouse=True)
def _a_budget_that_four_minutes_support(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASELINE_WATCH_BUDGET", "2/hour")
    monkeypatch.setitem(ENVIRONMENT, "BASELINE_WATCH_BUDGET", "2/hour")


def test_normal_behaviour_raises_no_alert(models: Path, normal: Path) -> None:
    done = run("watch", "--from", normal, "--models", models, "--fail-on", "anomaly")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "Watched 480 windows: 0 alerts; nothing lost.\n"


def test_a_shell_is_named_once(models: Path, intruded: Path) -> None:
    done = run("watch", "--from", intruded, "--models", models)
    assert done.returncode == 0
    assert done.stdout.count("nginx started /usr/bin/dash as uid 33, never seen in learning") == 1
    assert max(map(len, done.stdout.splitlines())) <= 80
    watched, still_open = done.stderr.splitlines()
    assert watched == (
        "Watched 30 windows: 1 alert in 1 incident (19 anomalous windows of nothing but what was "
        "reported); nothing lost."
    )
    (incident,) = re.findall(r"^web  \S+  alert (\w+) -", done.stdout, re.M)
    assert still_open == f"Incidents still open: web {incident}."


def test_alerts_for_machines(models: Path, intruded: Path) -> None:
    done = run("watch", "--from", intruded, "--models", models, "--format", "json")
    (alert,) = map(json.loads, done.stdout.splitlines())
    assert (alert["node"], alert["workload"], alert["replica"]) == ("test", "web", "demo/web")
    assert alert["time"] == "2026-11-23T00:00:11.000000Z"
    assert alert["bits"] >= alert["threshold"]
    assert (alert["event"], alert["incident"]) == ("opened", alert["id"])
    assert alert["severity"] == alert["bits"]
    items = [e["item"] for e in alert["evidence"]]
    assert any(i.get("peer") == "203.0.113.9" for i in items)
    assert any(i.get("lineage", [{}])[-1].get("path") == "/usr/bin/dash" for i in items)
    assert alert["unseen"]["ngrams"] == 14
    assert (alert["unseen"]["executions"], alert["unseen"]["connections_out"]) == (1, 1)


def test_an_incident_opens_goes_on_and_closes(
    models: Path, attacked_twice: Path, tmp_path: Path
) -> None:
    """Somebody comes twice within ten minutes, and never again."""
    arguments = ("watch", "--from", attacked_twice, "--models", models)
    lines = run(*arguments, "--format", "json").stdout.splitlines()
    opened, updated, closed = map(json.loads, lines)
    assert [line["event"] for line in (opened, updated, closed)] == ["opened", "updated", "closed"]
    assert {line["incident"] for line in (opened, updated, closed)} == {opened["id"]}
    assert {s: n for s, n in updated["unseen"].items() if n} == {"connections_out": 1}
    assert closed["headline"] == opened["headline"]
    assert closed["counts"]["alerts"] == 2
    assert (closed["start"], closed["end"]) == (opened["start"], updated["end"])

    text = run(*arguments)
    shown = text.stdout.splitlines()
    assert max(map(len, shown)) <= 80
    (first,) = (n for n, line in enumerate(shown) if f"more of {opened['id']}" in line)
    assert shown[first:] == [
        f"web  2026-11-23T00:05:01.000Z  alert {updated['id']}, more of {opened['id']}",
        "  new peer: tcp out to 203.0.113.9:8443",
        f"  {updated['bits']:.1f} bits, threshold {updated['threshold']:.1f}; 2 alerts of at most "
        f"{opened['bits']:.1f} bits",
        "",
        f"web  2026-11-23T00:15:01.000Z  closed: {opened['id']}, quiet for 10 min",
        *shown[first + 5 : -2],
        f"  in 5 min 2 alerts of at most {opened['bits']:.1f} bits",
        "",
    ]
    assert opened["headline"] in " ".join(line.strip() for line in shown[first + 5 : -2])
    assert text.stderr == "Watched 1,000 windows: 2 alerts in 1 incident; nothing lost.\n"

    (tmp_path / "alerts").write_text("\n".join(lines))
    accepted = run(
        *("accept", updated["id"], "--model", models, "--alerts", tmp_path / "alerts", "--preview")
    )
    assert accepted.returncode == 0, accepted.stderr
    assert (
        "Become normal: 1 peer\n"
        "Not taken: 1 other alert of its incident; add --incident.\n"
        "Hidden by that, of 1 other alert: 0\n"
    ) in accepted.stdout
    ended = run(
        *("accept", closed["id"], "--model", models, "--alerts", tmp_path / "alerts", "--preview")
    )
    assert ended.returncode == 2


def test_a_width_that_is_not_known_is_none(models: Path, intruded: Path) -> None:
    for arguments in (
        ("watch", "--from", intruded, "--models", models),
        ("top", "--from", intruded, "--models", models, "--once"),
    ):
        usual = run(*arguments)
        assert usual.stdout
        assert run(*arguments, COLUMNS="0", LINES="0").stdout == usual.stdout


def test_watching_twice_gives_the_same_alerts(models: Path, intruded: Path) -> None:
    arguments = ("watch", "--from", intruded, "--models", models, "--format", "json")
    assert run(*arguments).stdout == run(*arguments).stdout


def test_anomalies_as_exit_code(models: Path, intruded: Path) -> None:
    arguments = ("watch", "--from", intruded, "--models", models)
    assert run(*arguments, "--fail-on", "anomaly").returncode == 3
    assert run(*arguments, BASELINE_WATCH_FAIL_ON="anomaly").returncode == 3
    assert run(*arguments, "--duration", "9s", "--fail-on", "anomaly").returncode == 0


def test_options_by_environment_and_file(models: Path, intruded: Path, tmp_path: Path) -> None:
    environment = {
        "BASELINE_WATCH_FROM": str(intruded),
        "BASELINE_WATCH_MODELS": str(models),
        "BASELINE_WATCH_FORMAT": "json",
    }
    by_environment = run("watch", **environment)
    (tmp_path / "settings.toml").write_text(
        f'[watch]\nfrom = "{intruded}"\nmodels = "{models}"\nformat = "json"\n'
    )
    twice = run("watch", **environment | {"BASELINE_WATCH_FROM": f"{intruded}:{intruded}"})
    assert "Watched 60 windows" in twice.stderr
    by_file = run("--config", tmp_path / "settings.toml", "watch")
    assert by_environment.stdout == by_file.stdout
    assert by_file.stdout.startswith('{"id"')


def test_a_workload_without_a_model_is_said_once(
    models: Path, normal: Path, intruded: Path, tmp_path: Path
) -> None:
    assert run("learn", "--from", intruded, "--out", tmp_path / "web").returncode == 0
    done = run("watch", "--from", normal, "--models", tmp_path / "web")
    assert done.stderr.count("There is no model of api in ") == 1


@pytest.mark.parametrize("missing", ["nothing", "file"])
def test_models_that_are_none(missing: str, normal: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("watch", "--from", normal, "--models", tmp_path / missing)
    assert done.returncode == 1
    assert str(tmp_path / missing) in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_model_of_another_architecture_is_refused(
    models: Path, normal: Path, tmp_path: Path
) -> None:
    windows = [w for w in Recording(normal).windows() if w.workload == "web"]
    save_models([WorkloadModel.fit(windows, "aarch64")], tmp_path / "arm")
    assert load_models(tmp_path / "arm")["web"].architecture == "aarch64"
    done = run("watch", "--from", normal, "--models", tmp_path / "arm")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: The model of web is of aarch64, ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_a_watch_in_order(number: signal.Signals, models: Path, intruded: Path) -> None:
    process = subprocess.Popen(
        [
            *(BASELINE, "watch", "--from", intruded, "--models", models),
            *("--pace", "10", "--format", "json"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    line = process.stdout.readline()  # after one of three seconds
    process.send_signal(number)
    _, talk = process.communicate()
    assert json.loads(line)["workload"] == "web"
    assert process.returncode == 0
    assert talk.startswith("Watched ")
    assert " 1 alert" in talk
    assert re.search(r"^Interrupted: judged the first \d+ windows alone\.$", talk, re.M)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_replay_is_no_verdict_on_all_of_it(
    number: signal.Signals,
    models: Path,
    intruded: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    arguments = ["watch", "--from", str(intruded), "--models", str(models)]
    for after, more, code in (
        (5, ["--fail-on", "anomaly"], 128 + number),
        (20, ["--fail-on", "anomaly"], 3),  # there was an alert
        (5, [], 0),
    ):
        interrupt_replay(monkeypatch, number, after)
        assert exit_code([*arguments, *more]) == code
        said = capfd.readouterr().err
        assert f"\nInterrupted: judged the first {after} windows alone.\n" in said


def test_progress_is_shown_on_a_terminal_alone(models: Path, intruded: Path) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [BASELINE, "watch", "--from", intruded, "--models", models, "--format", "json"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        check=True,
        env=ENVIRONMENT,
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 1 << 16):
            shown += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert b"Watching" in shown
    assert b"Watched 30 windows" in shown
    (alert,) = map(json.loads, done.stdout.splitlines())
    assert alert["workload"] == "web"


def test_watching_imports_what_it_needs_alone(models: Path, intruded: Path) -> None:
    script = f"""
import sys
from baseline.cli.main import exit_code
assert exit_code(["watch", "--from", {str(intruded)!r}, "--models", {str(models)!r}]) == 0
needless = {{"pandas", "sklearn", "matplotlib", "bcc", "pyarrow.dataset"}}
sys.exit(",".join(needless & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[2:] == [""], done.stderr


def test_watching_what_has_no_model_is_an_error(models: Path, tmp_path: Path) -> None:
    only = load_models(models)
    name = next(iter(only))
    save_models([model for model in only.values() if model.workload == name], tmp_path / "one")
    other = DATA / ("redis" if name != "redis" else "nginx") / "intruded"
    done = run("watch", "--from", other, "--models", tmp_path / "one", "--fail-on", "anomaly")
    assert done.returncode == 1
    alone = f"{tmp_path / 'one'} has models of {name} alone"
    assert done.stderr.splitlines()[-1] == (
        f"Error: Nothing was judged: {alone}. Give a recording of a workload that was learned."
    )
    assert "--cgroup" not in done.stderr  # which excludes --from


def test_closed_streams_are_ones_that_nobody_reads(models: Path, intruded: Path) -> None:
    command = f'"{BASELINE}" watch --from "{intruded}" --models "{models}" --fail-on anomaly >&-'
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 3
    assert "Traceback" not in done.stderr


def test_a_budget_that_learning_cannot_support_is_said_once(models: Path, normal: Path) -> None:
    done = run("watch", "--from", normal, "--models", models, "--budget", "1/week")
    said = "Learning was too short to vouch for 1/week (it supports api 1.5/hour, web 1.5/hour)"
    assert done.stderr.count(said) == 1
    assert "too short" not in run("watch", "--from", normal, "--models", models).stderr


@pytest.mark.parametrize("budget", ["often", "0/week", "1/fortnight", "-1/day", "/day"])
def test_a_budget_that_is_none(budget: str, models: Path, normal: Path) -> None:
    done = run("watch", "--from", normal, "--models", models, f"--budget={budget}")
    assert done.returncode == 2
    assert "Write a number above zero and a time: 1/week, 2/month" in " ".join(done.stderr.split())


def test_a_larger_budget_has_lower_thresholds(models: Path, intruded: Path) -> None:
    thresholds = [
        json.loads(
            run(
                *("watch", "--from", intruded, "--models", models, "--format", "json"),
                *("--budget", budget),
            ).stdout.splitlines()[0]
        )["threshold"]
        for budget in ("1/year", "2/month", "1/week", "3/day", "10/hour")
    ]
    assert thresholds == sorted(thresholds, reverse=True)
    assert len(set(thresholds)) == len(thresholds)


def test_windows_of_another_length_are_said(normal: Path, intruded: Path, tmp_path: Path) -> None:
    by_workload: dict[str, list[Window]] = {}
    for window in Recording(normal).windows():
        by_workload.setdefault(window.workload, []).append(window)
    longer = [
        [total(windows[n : n + 10]) for n in range(0, len(windows), 10)]
        for windows in by_workload.values()
    ]
    save_models([WorkloadModel.fit(windows) for windows in longer], tmp_path / "longer")
    done = run("watch", "--from", intruded, "--models", tmp_path / "longer")
    assert "web was learned in windows of 10 s, these are of 1 s: " in done.stderr
    assert "Learn from a recording with such windows." in done.stderr
    assert "--interval" not in done.stderr  # which means nothing without --cgroup


def test_a_long_length_is_said_as_the_option_takes_it() -> None:
    length = 1800 * SECOND
    long = [
        replace(window, start=n * length, end=(n + 1) * length, observed=length)
        for n, window in enumerate(windows("web", 60, 5))
    ]
    said: list[str] = []
    say_what_length_hides({"web": WorkloadModel.fit(long)}, 0.1, said.append, live=True)
    assert said == [
        "web was learned in windows of 1800 s, these are of 0.1 s: the budget does not hold and "
        "volumes of calls are not judged. Use --interval 1800s."
    ]


@pytest.mark.parametrize("pace", ["nan", "inf", "-1", "0", "fast", "1e999"])
def test_a_pace_that_is_none(pace: str, models: Path, normal: Path) -> None:
    for command in ("watch", "top"):
        done = run(command, "--from", normal, "--models", models, f"--pace={pace}")
        assert done.returncode == 2
        said = " ".join(done.stderr.split())
        assert f"'{pace}' is no pace. Write a number above zero" in said
