import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from asked import asked
from running import BASELINE, ENVIRONMENT, run
from small_service import NGINX, write_recording

from baseline.model.storage import load_models, save_model
from baseline.recordings import Recording
from baseline.window import Execution, Image

SHELL = Execution((Image("/usr/sbin/nginx"), Image("/usr/bin/dash")), 33)


@pytest.fixture(scope="session")
def alerts(tmp_path_factory: pytest.TempPathFactory, models: Path, intruded: Path) -> Path:
    """Alerts of the intruded recording as JSON lines."""
    path = tmp_path_factory.mktemp("alerts") / "alerts.jsonl"
    path.write_text(run("watch", "--from", intruded, "--models", models, "--format", "json").stdout)
    return path


@pytest.fixture(scope="session")
def alert(alerts: Path) -> str:
    """Id of the alert that names the shell."""
    first, *_ = map(json.loads, alerts.read_text().splitlines())
    assert "/usr/bin/dash" in first["headline"]
    return str(first["id"])


def contents(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_preview_writes_nothing_and_asks_nothing(
    models: Path, alerts: Path, alert: str, intruded: Path
) -> None:
    before = contents(models)
    done = run(
        *("accept", alert, "--model", models, "--alerts", alerts),
        *("--intrusion", intruded, "--preview"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "web: what 1 alert told of"
    told = f"  {alert}  2026-11-23T00:00:11Z  nginx started /usr/bin/dash as uid 33,"
    assert lines[1] == told
    (normal,) = [number for number, line in enumerate(lines) if line.startswith("Become normal")]
    assert lines[normal] == "Become normal: 1 program, 1 peer, 10 system calls, 14 sequences"
    assert lines[normal + 1].startswith("Who does the same again may still be an alert")
    assert "Hidden by that, of 0 other alerts: 0" in lines
    assert any(line.startswith("Attack: 1 alert before, 0 after, 1 lost:") for line in lines)
    assert lines[-1] == "  THIS ATTACK WOULD NO LONGER BE FOUND."
    assert max(map(len, lines)) <= 80
    assert contents(models) == before


def test_a_program_whose_name_was_redacted_is_not_accepted(
    models: Path, intruded: Path, tmp_path: Path
) -> None:
    secret = Image("/tmp/ghp_abcdefghijklmnopqrstuvwxyz0123456789")  # noqa: S108 - as intruders do
    content = [
        replace(window, executions={Execution((NGINX, secret), 33): 1} if window.executions else {})
        for window in Recording(intruded).windows()
    ]
    recording = write_recording(tmp_path / "recording", content)
    alerts = tmp_path / "alerts.jsonl"
    run("watch", "--from", recording, "--models", models, "--alerts", alerts)
    first, *_ = map(json.loads, alerts.read_text().splitlines())
    assert first["headline"].startswith("nginx started /tmp/[redacted] as uid 33")
    assert "ghp_" not in alerts.read_text()
    done = run(
        *("accept", first["id"], "--model", models, "--alerts", alerts),
        *("--out", tmp_path / "out", "--yes"),
    )
    assert done.returncode == 2
    assert "is about a program whose name holds a secret" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_new_folder_takes_it_for_normal_and_the_old_one_stays(
    models: Path, alerts: Path, alert: str, intruded: Path, tmp_path: Path
) -> None:
    before, out = contents(models), tmp_path / "accepted"
    done = run("accept", alert, "--model", models, "--alerts", alerts, "--out", out, "--yes")
    assert done.returncode == 0
    assert done.stderr == f"Wrote {out}.\n"
    assert contents(models) == before
    accepted = load_models(out)
    assert sorted(accepted) == ["api", "web"]
    assert accepted["web"].knows(SHELL)
    assert not accepted["api"].knows(SHELL)
    assert accepted["web"].provenance.notes[0].startswith(f"Accepted alert {alert}: nginx started")
    again = run("watch", "--from", intruded, "--models", out, "--fail-on", "anomaly")
    assert (again.returncode, again.stdout) == (0, "")


def test_in_place_only_the_model_of_the_workload_changes(
    models: Path, alerts: Path, alert: str, tmp_path: Path
) -> None:
    folder = shutil.copytree(models, tmp_path / "models")
    (folder / "NOTES").write_text("mine")
    before = contents(folder)
    arguments = ("accept", alert, "--model", folder, "--alerts", alerts, "--force", "--yes")
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, f"Wrote {folder / 'web'}.\n")
    changed = {p for p, content in contents(folder).items() if before.get(p) != content}
    assert {p.parts[0] for p in changed} == {"web"}
    assert (folder / "NOTES").read_text() == "mine"
    assert load_models(folder)["web"].knows(SHELL)
    assert list(tmp_path.rglob(".*")) == []  # nothing half-written is left
    again = run(*arguments)
    assert again.returncode == 0
    assert again.stderr.endswith("Nothing was written.\n")


def test_a_single_model_is_replaced_in_place(
    models: Path, alerts: Path, alert: str, tmp_path: Path
) -> None:
    folder = shutil.copytree(models / "web", tmp_path / "web")
    done = run("accept", alert, "--model", folder, "--alerts", alerts, "--force", "--yes")
    assert (done.returncode, done.stderr) == (0, f"Wrote {folder}.\n")
    assert load_models(folder)["web"].knows(SHELL)


def test_a_single_model_becomes_a_single_model(
    models: Path, alerts: Path, alert: str, tmp_path: Path
) -> None:
    out = tmp_path / "web"
    done = run(
        *("accept", alert, "--model", models / "web", "--alerts", alerts, "--out", out, "--yes")
    )
    assert done.returncode == 0
    assert (out / "manifest.json").is_file()


def test_force_replaces_models_alone(
    models: Path, alerts: Path, alert: str, tmp_path: Path
) -> None:
    app = tmp_path / "home" / "app"
    app.mkdir(parents=True)
    (app / "manifest.json").write_text('{"name": "pwa"}')
    for model, out in ((models, app.parent), (models / "web", app)):
        done = run(
            *("accept", alert, "--model", model, "--alerts", alerts),
            *("--out", out, "--force", "--yes"),
        )
        assert (done.returncode, done.stderr) == (
            2,
            f"Error: {out} exists and --force does not replace it, because {app} is no model. "
            "Choose another name, or remove it yourself.\n",
        )
    assert (app / "manifest.json").exists()


def test_alerts_may_come_through_a_pipe(
    models: Path, alerts: Path, alert: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [BASELINE, "accept", alert, "--model", models, "--out", tmp_path / "out", "--yes"],
        stdin=alerts.open("rb"),
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
    )
    assert (done.returncode, done.stderr) == (0, f"Wrote {tmp_path / 'out'}.\n")


def test_a_recording_tells_what_the_alert_does_not_list(
    models: Path, alerts: Path, alert: str, intruded: Path, normal: Path
) -> None:
    arguments = ("accept", alert, "--model", models, "--alerts", alerts, "--preview")
    done = run(*arguments, "--from", intruded)
    assert done.returncode == 0
    assert "\nBecome normal: 1 program, 1 peer, 10 system calls, 14 sequences\n" in done.stdout
    assert "stay new" not in done.stdout
    assert done.stdout.endswith("\nHidden by that, of 0 other alerts: 0\n")
    other = run(*arguments, "--from", normal)
    assert other.returncode == 2
    assert f"Replaying the recording does not raise alert {alert}." in other.stderr


def test_other_alerts_that_it_hides_are_listed(
    models: Path, alerts: Path, alert: str, tmp_path: Path
) -> None:
    """The same alert, told again an hour later; one of another peer; one of another workload."""
    first = json.loads(alerts.read_text())
    later = first | {"id": "0" * 12, "headline": "the same again"}
    peer = json.loads(json.dumps(first | {"id": "1" * 12, "headline": "somebody else"}))
    for evidence in peer["evidence"]:
        if "peer" in evidence["item"]:
            evidence["item"] |= {"peer": "198.51.100.7", "protocol": "udp"}
    other = first | {"id": "2" * 12, "workload": "api"}
    file = tmp_path / "alerts.jsonl"
    file.write_text("".join(json.dumps(a) + "\n" for a in (first, later, peer, other, first)))
    done = run("accept", alert, "--model", models, "--alerts", file, "--preview")
    assert done.returncode == 0
    *_, count, hidden = done.stdout.splitlines()
    assert count == "Hidden by that, of 2 other alerts: 1"
    assert hidden == f"  {'0' * 12}  2026-11-23T00:00:11Z  the same again"


def test_the_rest_of_an_incident_is_told_and_can_be_taken(
    models: Path, alerts: Path, alert: str, tmp_path: Path
) -> None:
    """The same alert once more, of another program; two alerts of the incident had no line."""
    first = json.loads(alerts.read_text())
    assert first["incident"] == alert
    second = json.loads(json.dumps(first | {"id": "0" * 12, "event": "updated"}))
    second["counts"]["held_back"] = 2
    for evidence in second["evidence"]:
        if "lineage" in evidence["item"]:
            evidence["item"]["lineage"][-1]["path"] = "/usr/bin/other"
    file = tmp_path / "alerts.jsonl"
    file.write_text("".join(json.dumps(a) + "\n" for a in (first, second)))
    begin = ("accept", alert, "--model", models, "--alerts", file)
    alone = run(*begin, "--preview").stdout.splitlines()
    assert "Become normal: 1 program, 1 peer, 10 system calls, 14 sequences" in alone
    assert "Not taken: 1 other alert of its incident; add --incident." in alone
    not_known = "Not known: what was new in 2 alerts of its incident that had no line; add --from."
    assert not_known in " ".join(line.strip() for line in alone)
    whole = run(*begin, "--incident", "--preview").stdout
    assert whole.startswith("web: what 2 alerts told of\n")
    assert "Become normal: 2 programs, 1 peer, 10 system calls, 14 sequences" in whole
    assert "Not taken" not in whole
    assert "Not known: what was new in 2 alerts" in whole


def test_nothing_is_learned_without_a_persons_word(
    models: Path, alerts: Path, alert: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ("accept", alert, "--model", models, "--alerts", alerts, "--out", out)
    alone = subprocess.run(
        [BASELINE, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
    )
    assert alone.returncode == 2
    assert alone.stderr == (
        "Error: Nothing is learned without a person's word, and there is no terminal to ask on. "
        "Look at it with --preview, then add --yes.\n"
    )
    with asked(*arguments) as person:
        code, said = person.answer(b"n\n")
    assert (code, said.endswith("Nothing was written.\n")) == (0, True)
    assert not out.exists()
    with asked(*arguments) as person:
        code, said = person.answer(b"y\n")
    assert (code, said.endswith(f"Wrote {out}.\n")) == (0, True)
    assert "Take this for normal? [y/N]" in said


@pytest.mark.parametrize("how", ["in place", "to the same folder"])
def test_what_was_made_of_a_model_meanwhile_is_not_undone(
    models: Path, alerts: Path, alert: str, tmp_path: Path, how: str
) -> None:
    """Of two people who look at the preview of the same model, the second has to look again."""
    folder = shutil.copytree(models, tmp_path / "models")
    also = ("--out", folder) if how == "to the same folder" else ()
    arguments = ("accept", alert, "--model", folder, "--alerts", alerts, "--force", *also)
    with asked(*arguments) as second:
        assert run(*arguments, "--yes").returncode == 0
        before = contents(folder)
        code, said = second.answer(b"y\n")
    assert code == 1
    assert said.endswith(
        f"Error: The model {folder / 'web'} changed meanwhile, and nothing was written. "
        "Accept again, on top of what it is now.\n"
    )
    assert contents(folder) == before


def test_what_was_made_of_other_models_meanwhile_is_kept(
    models: Path, alerts: Path, alert: str, tmp_path: Path
) -> None:
    folder = shutil.copytree(models, tmp_path / "models")
    arguments = ("accept", alert, "--model", folder, "--alerts", alerts, "--force")
    with asked(*arguments) as person:
        save_model(load_models(folder)["api"].with_provenance(notes=("Mine.",)), folder / "new")
        shutil.rmtree(folder / "api")
        assert person.answer(b"y\n")[0] == 0
    assert load_models(folder)["web"].knows(SHELL)
    assert load_models(folder)["api"].provenance.notes == ("Mine.",)


def test_what_is_replaced_in_place_is_looked_at_first(
    models: Path, alerts: Path, alert: str, tmp_path: Path
) -> None:
    folder = shutil.copytree(models, tmp_path / "models")
    (folder / "web" / "thesis").write_text("precious")
    done = run("accept", alert, "--model", folder, "--alerts", alerts, "--force", "--yes")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"because {folder / 'web' / 'thesis'} is no part of a model" in done.stderr
    assert (folder / "web" / "thesis").exists()


def test_what_cannot_be_accepted(
    models: Path, alerts: Path, alert: str, normal: Path, tmp_path: Path
) -> None:
    good = ("accept", alert, "--model", models, "--alerts", alerts)
    (tmp_path / "broken.jsonl").write_text('{"id": "x"}\n')
    (tmp_path / "stranger.jsonl").write_text(
        json.dumps(json.loads(alerts.read_text()) | {"workload": "db"})
    )
    other_calls = json.loads(alerts.read_text())
    for evidence in other_calls["evidence"]:
        evidence["description"] = evidence["description"].replace("execve", "io_setup")
    (tmp_path / "arm.jsonl").write_text(json.dumps(other_calls))
    for code, arguments, message in [
        (2, (*good, "--yes"), "Nothing says where the new model goes."),
        (2, good, "Nothing says where the new model goes."),
        (2, ("accept", "abc", *good[2:]), "There is no alert abc in "),
        (2, ("accept", "abc", *good[2:], "--preview"), "There is no alert abc in "),
        (2, ("accept", alert, "--model", models, "--alerts", tmp_path / "no", "--preview"), "no"),
        (
            1,
            (*good[:4], "--alerts", tmp_path / "broken.jsonl", "--preview"),
            f"Line 1 of {tmp_path / 'broken.jsonl'} is no alert",
        ),
        (
            2,
            (*good[:4], "--alerts", tmp_path / "stranger.jsonl", "--preview"),
            f"There is no model of db in {models}",
        ),
        (
            1,
            (*good[:4], "--alerts", tmp_path / "arm.jsonl", "--preview"),
            "was raised by a model of another architecture than x86_64",
        ),
        (1, (*good, "--intrusion", tmp_path / "no", "--preview"), str(tmp_path / "no")),
        (2, (*good, "--out", models, "--yes"), f"{models} exists"),
    ]:
        done = run(*arguments)
        assert done.returncode == code, done.stderr
        assert message in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith(("Error: ", "Usage: "))


def test_a_line_without_an_end_is_no_alert(models: Path) -> None:
    done = run("accept", "0f80b44fc7e3", "--model", models, "--alerts", "/dev/zero", "--preview")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: Line 1 of /dev/zero is no alert")
