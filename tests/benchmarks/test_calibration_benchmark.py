"""Promised against observed, on made-up services of which both are known."""

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import calibration
import numpy as np
import pytest
from calibration import Alerts, Split
from labelled_rows import Attack, Case, Run
from model.synthetic_service import SHELL_STARTED, count_ngrams, serving, symbols, window

from baseline.recordings.writer import RecordingWriter
from baseline.sighting import Sighting
from baseline.window import Connection, Histogram, Window

PROGRAM = Path(calibration.__file__)
NOBODY = count_ngrams(symbols("read"))


def split(learned: list[Window], watched: list[Window]) -> Split:
    return Split("services", "web", learned, watched)


def served(windows: int) -> list[Window]:
    return list(islice(serving(1), windows))


def met(peers: list[str]) -> list[Window]:
    """A window for each peer that connects."""
    return [
        window(number, NOBODY, connections={Connection("in", "tcp", peer, 80): 1})
        for number, peer in enumerate(peers)
    ]


def test_alerts_are_those_that_the_detector_raises() -> None:
    windows = met(["10.0.0.1"] * 240)
    shell = window(200, executions={SHELL_STARTED: 1})
    intruded = [*windows[120:200], windows[200] + shell, *windows[201:]]
    for watched, alerts in ((windows[120:], 0), (intruded, 1)):
        rows = calibration.alerts(split(windows[:120], watched))
        assert [row.promised for row in rows] == [5, 10, 20, 40]
        assert [row.observed for row in rows] == [alerts] * 4


def test_new_items_are_sighted_before_their_window() -> None:
    learned = met(["10.0.0.1"] * 100)
    watched = met(["10.0.0.1", "192.0.2.2", "10.0.0.1", "192.0.2.3"])
    seen = calibration.sighted(split(learned, watched))
    kinds = [o.item.peer if isinstance(o, Sighting) else o for o in seen]
    assert kinds == [watched[0], "192.0.2.2", *watched[1:3], "192.0.2.3", watched[3]]
    assert [row.observed for row in calibration.alerts(split(learned, watched), seen)][-1] > 0


def test_new_items_are_counted_once_and_an_hour() -> None:
    known = [f"10.0.0.{number % 4}" for number in range(120)]
    new = ["192.0.2.1", "192.0.2.2", "192.0.2.1", *known[:37]]
    later = [f"192.0.3.{number}" for number in range(40)]
    windows = met([*known, *new, *later])
    rows = calibration.predictions(split(windows[:100], windows[100:]))
    assert {row.signal for row in rows} == {Histogram.NGRAMS, Histogram.CONNECTIONS}
    peers = [row for row in rows if row.signal == Histogram.CONNECTIONS]
    assert [row.learned for row in peers] == [0.2, 0.4, 0.6]
    assert [row.observed for row in peers] == pytest.approx([0, 0, 2 / 40 * 3600])


def test_what_keeps_coming_is_predicted() -> None:
    chance = np.random.default_rng(1)
    peers = [
        f"10.1.{n // 250}.{n % 250}" if chance.random() < 0.3 else "10.0.0.1" for n in range(1000)
    ]
    windows = met(peers)
    rows = calibration.predictions(split(windows[:500], windows[500:]))
    predicted = [row for row in rows if row.signal == Histogram.CONNECTIONS]
    assert all(0 < row.low <= row.observed <= row.high < 3600 for row in predicted)
    assert all(row.observed == 0 for row in rows if row.signal == Histogram.NGRAMS)


def run(container: int, start: int, rows: int) -> Run:
    times = np.arange(start, start + rows) * 100
    return Run(f"CVE-{container}", times, np.full((rows, 2), container))


def test_of_labelled_rows_only_normal_ones_are_used_in_order_of_time() -> None:
    normal = [run(1, 0, 10), run(1, 10, 10), run(2, 100, 10), run(2, 110, 10)]
    attacked = [(run(1, 20, 30), Attack(15, 20)), (run(2, 120, 30), Attack(12, 18))]
    case = Case("CVE", ["read", "write"], normal, attacked)
    same, other = calibration.splits_of_case(case)
    starts = lambda windows: [window.start // 100_000_000 for window in windows]  # noqa: E731
    assert starts(same.learned) == [*range(20), *range(100, 120)]
    assert starts(same.watched) == [*range(20, 35), *range(120, 132)]
    assert starts(other.learned) == list(range(20))
    assert starts(other.watched) == list(range(100, 132))
    assert {w.replica for w in other.watched} == {"CVE-2"}


def test_the_sum_of_workloads_has_the_sum_of_promises() -> None:
    rows = [
        Alerts(data, name, promised, observed)
        for data, name, counts in (
            ("services", "nginx", (2, 8, 10, 20)),
            ("services", "redis", (9, 9, 19, 30)),
            ("shil", "CVE", (0, 1, 2, 3)),
        )
        for promised, observed in zip(calibration.PROMISES, counts, strict=True)
    ]
    sums = [row for row in calibration.with_sums(rows) if row not in rows]
    assert sums == [
        *(Alerts("services", "all", *pair) for pair in ((10, 11), (20, 17), (40, 29), (80, 50))),
        *(Alerts("shil", "all", *pair) for pair in ((5, 0), (10, 1), (20, 2), (40, 3))),
    ]
    assert sums[0].ratio == pytest.approx(1.1)


def measure(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_program_prints_narrow_tables_and_writes_json(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "recording", interval=1) as recording:
        for second in served(100):
            recording.write(second)
    out = tmp_path / "figures.json"
    done = measure("--recording", tmp_path / "recording", "--json", out)
    assert done.returncode == 0, done.stderr
    assert "web" in done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    figures = json.loads(out.read_text())
    for data in ("services", "sighted"):
        rows = [r for r in figures["alerts"] if (r["data"], r["workload"]) == (data, "web")]
        assert [row["promised"] for row in rows] == [5, 10, 20, 40]
    signals = {row["signal"] for row in figures["new_items_per_hour"]}
    assert signals == {"ngrams", "connections"}


def test_what_cannot_be_read_is_one_sentence_and_no_json(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    done = measure("--recording", tmp_path / "nothing", "--json", out)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("Give the folder that `baseline record` wrote.")
    assert "Traceback" not in done.stderr
    assert not out.exists()
