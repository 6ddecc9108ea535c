"""The wall clock is set while a workload is watched: nothing fails, nothing is lost."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from running import ENVIRONMENT, run
from small_service import intrude, windows, write_recording

from baseline.recordings import Recording
from baseline.window import Window

SECOND = 10**9
DAY = 86_400 * SECOND
STEPS = [-400 * DAY, -90 * SECOND, 90 * SECOND, 400 * DAY]


@pytest.fixture(autouse=True)
def _a_budget_that_four_minutes_support(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENVIRONMENT, "BASELINE_WATCH_BUDGET", "2/hour")


def stepped(content: Iterable[Window], number: int, step: int) -> list[Window]:
    """Windows of a machine whose clock is set after so many of them."""
    return [
        replace(window, start=window.start + step, end=window.end + step) if n >= number else window
        for n, window in enumerate(content)
    ]


@pytest.mark.parametrize("step", STEPS)
def test_windows_over_a_step_are_recorded_and_replayed_in_order(tmp_path: Path, step: int) -> None:
    content = stepped(windows("web", 30, 3), 15, step)
    recording = Recording(write_recording(tmp_path / "r", content))
    assert list(recording.windows()) == content


@pytest.mark.parametrize("step", STEPS)
def test_learning_over_a_step_gives_models_that_hold(
    tmp_path: Path, normal: Path, step: int
) -> None:
    recording = write_recording(tmp_path / "r", stepped(windows("web", 240, 1), 120, step))
    done = run("learn", "--from", recording, "--out", tmp_path / "models")
    assert done.returncode == 0, done.stderr
    shown = run("inspect", tmp_path / "models")
    assert shown.returncode == 0, shown.stderr
    watched = run("watch", "--from", normal, "--models", tmp_path / "models")
    assert (watched.returncode, watched.stdout) == (0, "")


@pytest.mark.parametrize("step", STEPS)
def test_watching_over_a_step_tells_of_an_intruder(tmp_path: Path, models: Path, step: int) -> None:
    content = list(windows("web", 60, 3))
    content[10:40] = map(intrude, content[10:40])
    recording = write_recording(tmp_path / "r", stepped(content, 20, step))
    alerts = tmp_path / "alerts.jsonl"
    done = run("watch", "--from", recording, "--models", models, "--alerts", alerts)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in alerts.read_text().splitlines()]
    # Once, and once more where the clock says that it was told long ago, and is over.
    once = ["opened"]
    events = [line["event"] for line in told]
    assert events == (["opened", "closed", "opened"] if abs(step) > 600 * SECOND else once)
    assert all("dash" in alert["headline"] for alert in told)
    tested = run("backtest", "--from", recording, "--models", models, "--budget", "2/hour")
    assert tested.returncode == 0, tested.stderr
    accepted = run(
        *("accept", told[-1]["id"], "--model", models, "--alerts", alerts),
        *("--out", tmp_path / "accepted", "--yes"),
    )
    assert accepted.returncode == 0, accepted.stderr
