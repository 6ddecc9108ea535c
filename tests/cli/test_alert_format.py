"""What docs/alert-format.md says of alerts is what is written, and its joins work as they stand."""

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
from running import run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "alert-format.md").read_text()
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


def documented(section: str) -> set[str]:
    """The keys in the table of a section of the page."""
    text = re.split(rf"^#+ {section}$", PAGE, flags=re.MULTILINE)[1].split("\n#")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", text, flags=re.MULTILINE)
    return {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}


def query(number: int, folder: Path) -> list[tuple[Any, ...]]:
    """What a query of the page finds."""
    text = re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)[number]
    for name in ("alerts.jsonl", "tables"):
        text = text.replace(f"'{name}", f"'{folder}/{name}")
    return duckdb.execute(text).fetchall()


def test_every_key_is_documented_and_every_documented_one_is_there(
    lines: list[dict[str, Any]],
) -> None:
    alert = next(line for line in lines if line["event"] == "opened")
    assert documented("Alerts") == set(alert)
    assert documented("evidence") == set(alert["evidence"][0])
    assert documented("counts") == set(alert["counts"])


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
