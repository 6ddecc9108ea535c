"""What docs/alert-format.md says of alerts is what is written, and its joins work as they stand."""

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
from alert_page import PAGE, documented, section
from running import run

ROOT = Path(__file__).parents[2]
NGINX = ROOT / "data" / "nginx"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alerts of a replay, and the export of what was replayed."""
    folder = tmp_path_factory.mktemp("joined")
    models, recording = folder / "models", NGINX / "intruded"
    assert run("learn", "--from", NGINX / "normal", "--out", models).returncode == 0
    watched = run(
        *("watch", "--from", recording, "--models", models),
        *("--format", "json", "--alerts", folder / "alerts.jsonl"),
    )
    assert watched.returncode == 0
    assert run("export", recording, "--out", folder / "tables").returncode == 0
    return folder


@pytest.fixture(scope="module")
def lines(folder: Path) -> list[dict[str, Any]]:
    """The lines, alerts and the end of an incident."""
    return [json.loads(line) for line in (folder / "alerts.jsonl").read_text().splitlines()]


def query(number: int, folder: Path, *changes: tuple[str, str]) -> list[tuple[Any, ...]]:
    """What a query of the page finds, with this for that in it."""
    text = re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)[number]
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    for name in ("alerts.jsonl", "tables"):
        text = text.replace(f"'{name}", f"'{folder}/{name}")
    return duckdb.execute(text).fetchall()


def test_the_example_is_a_line_of_the_demonstration(lines: list[dict[str, Any]]) -> None:
    (text,) = re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)
    example = json.loads(text)
    (line,) = (line for line in lines if line["id"] == example["id"])
    assert example.keys() == line.keys()
    for key, value in example.items():
        if isinstance(value, list):
            assert [one for one in line[key] if one in value] == value, key
        else:
            assert value == line[key], key


def test_every_key_of_backtest_and_diff_is_documented(models: Path, intruded: Path) -> None:
    arguments = ("--models", models, "--from", intruded, "--format", "json")
    document = json.loads(run("backtest", *arguments).stdout)
    assert document.keys() == {"outcomes", "alerts"}
    assert documented("JSON of backtest") == document["outcomes"][0].keys()
    assert document["alerts"][0].keys() == (
        documented("Alerts") - {"incident", "event", "severity", "counts"} | {"budget"}
    )
    document = json.loads(run("diff", models, models, "--format", "json").stdout)
    workload = document["workloads"][0]
    assert documented("JSON of diff") == workload.keys()
    named = set(re.findall(r"`(\w+)`", section("JSON of diff")))
    shifted = workload["shifted"]["volumes"]
    for part in (document, workload["before"], shifted, shifted["items"][0]):
        assert part.keys() <= named


def test_an_alert_finds_the_window_that_was_judged(
    folder: Path, lines: list[dict[str, Any]]
) -> None:
    """Where it comes of a replay; to the microsecond, and with all its calls."""
    overlap = 'w.start_time < a."end" AND w.end_time > a.start'
    within = 'w.start_time >= a.start AND w.end_time <= a."end"'
    assert within in PAGE
    judged = query(0, folder, (overlap, within))
    alerts = [line for line in lines if line["event"] != "closed"]
    assert [(id_, calls) for id_, *_, calls in judged] == [(a["id"], a["load"]) for a in alerts]
    whole = query(0, folder)
    assert set(judged) < set(whole)


def test_an_alert_finds_its_windows(folder: Path, lines: list[dict[str, Any]]) -> None:
    """Among them the one in which the intruder's program was started."""
    joined = query(0, folder)
    alerts = [line for line in lines if line["event"] != "closed"]
    assert {id_ for id_, *_ in joined} == {alert["id"] for alert in alerts}
    started = duckdb.execute(
        f"SELECT start_time FROM '{folder}/tables/executions.parquet'"  # noqa: S608 - our own
    ).fetchall()
    first = [start for id_, start, *_ in joined if id_ == alerts[0]["id"]]
    assert {start for (start,) in started} & set(first)


def test_an_alert_finds_all_its_new_ngrams(folder: Path, lines: list[dict[str, Any]]) -> None:
    found = [id_ for id_, *_ in query(1, folder)]
    for alert in lines:
        if alert["event"] == "opened":
            assert found.count(alert["id"]) == alert["unseen"]["ngrams"] > len(alert["evidence"])
