"""The range judges right, and a short run of it on real services finds who came in."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ranges.judging import (
    Scene,
    Verdict,
    first_alert,
    is_another,
    new_items,
    own_items,
    verdict,
)
from ranges.operating import Performed, blamed
from ranges.reporting import Benign, FalseAlert, lines, to_json
from ranges.watching import Told
from requirements import require_tools

from baseline.model.score import Item
from baseline.window import Connection, Execution, Image, NgramCounts, Window

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "range.py"
SCENE = Scene("a shell", "web", began=100.0, until=106.0)
SHELL = Execution((Image("/bin/sh"),), 0)
PEER = Connection("out", "tcp", "127.0.0.66", 80)


def told(read: float, workload: str = "web", **more: Any) -> Told:
    time = f"1970-01-01T00:01:{read - 60:06.3f}Z"
    alert = {"workload": workload, "time": time, "signal": "executions", "bits": 12.5}
    return Told(read, alert | {"headline": f"told at {read:g}"} | more)


def test_the_first_line_about_a_scenario_is_its_detection() -> None:
    found = verdict(SCENE, [told(103.0), told(101.5), told(99.0)], {SHELL: 0.0})
    assert found == Verdict("a shell", "web", True, True, "executions", 1.5, 12.5, "told at 101.5")


@pytest.mark.parametrize(
    "line",
    [
        told(99.9),
        told(106.1),
        told(101.0, "another"),
        told(101.0, event="closed"),
        told(101.0, time="1970-01-01T00:01:39.500Z"),
    ],
    ids=["before", "too late", "another workload", "an end", "judged a time before"],
)
def test_other_lines_are_none(line: Told) -> None:
    assert first_alert(SCENE, [line]) is None
    assert not verdict(SCENE, [line], {SHELL: 0.0}).detected


def test_more_of_an_incident_is_a_detection_but_not_another_false_alert() -> None:
    opened, updated = told(101.0, event="opened"), told(102.0, event="updated")
    assert first_alert(SCENE, [updated]) is updated
    assert [is_another(line.alert) for line in (opened, updated, told(103.0))] == [
        True,
        False,
        True,
    ]


def test_a_scenario_without_effect_is_neither_detected_nor_missed() -> None:
    failed = verdict(SCENE._replace(failure="nothing answered"), [told(101.0)], {SHELL: 0.0})
    assert not failed.detected
    assert "nothing answered" in "\n".join(lines([failed], benign()))
    assert to_json([failed], benign())["scenarios"] == []


def window(start: float, *items: Item) -> Window:
    ngrams = [item for item in items if isinstance(item, int)]
    return Window(
        "web",
        "web/1",
        int(start * 1e9),
        int((start + 1) * 1e9),
        10**9,
        NgramCounts.collect(np.array(ngrams, np.uint64), np.ones(len(ngrams), np.int64)),
        {item: 1 for item in items if isinstance(item, Execution)},
        {item: 1 for item in items if isinstance(item, Connection)},
    )


def test_new_is_what_neither_learning_nor_time_without_scenarios_has() -> None:
    other = SCENE._replace(name="a call", began=110.0, until=111.0)
    windows = [
        window(98, 1, 2),  # 2 is what a service does when it idles
        window(99.5, 1, 2, 3, SHELL),
        window(100.5, 1, 3, 5),
        window(108, 1, 2),
        window(110, 1, 4, PEER),
    ]

    def novelties(scene: Scene, known: Sequence[Item]) -> dict[Item, float]:
        return new_items(scene, windows, [SCENE, other], lambda item: item in known)

    assert novelties(SCENE, [1]) == {3: 0, SHELL: 0, 5: pytest.approx(0.5)}
    assert novelties(other, [1]) == {4: 0, PEER: 0}
    assert novelties(SCENE, [1, 3, 5, SHELL]) == {}


def test_what_one_of_two_plays_shows_is_chance() -> None:
    assert own_items([{3: 0.4, SHELL: 0.2}, {3: 0.6, 9: 0.0}]) == {3: 0.4}
    assert own_items([{3: 0.4}, {}]) == {}


def test_seconds_are_counted_from_the_first_new_thing() -> None:
    lead_in = verdict(SCENE, [told(102.0)], {3: 1.8, SHELL: 1.6})
    assert lead_in.seconds == pytest.approx(0.4)
    assert lead_in.novel
    assert verdict(SCENE, [told(102.0)], {}) == lead_in._replace(novel=False, seconds=2.0)


def test_an_alert_is_put_down_to_the_latest_operation_of_its_service() -> None:
    performed = [
        Performed("reload", "web", 10, 10.1),
        Performed("restart", "web", 14, 15),
        Performed("backup", "db", 16, 17),
    ]
    assert blamed(performed, "web", 18.0) == "restart"
    assert blamed(performed, "web", 12.0) == "reload"
    assert blamed(performed, "web", 40.0) == ""
    assert blamed(performed, "web", 9.0) == ""


def benign(*alerts: FalseAlert) -> Benign:
    return Benign(2.5, "1/hour", 2.5, alerts, {"web": {"reload": 3}}, ("a new replica",))


def test_the_report_counts_what_was_found_and_fits_80_columns() -> None:
    verdicts = [
        Verdict("a shell " * 8, "web", True, True, "executions", 0.5, 12.5, "sh started " * 12),
        Verdict("slow", "web", True, True, "ngrams", 2.5, 30.0, "sequences"),
        Verdict("missed", "web", True, False),
        Verdict("nothing of its own", "db", False, False),
    ]
    alert = FalseAlert("web", "reload", 20.0, "something")
    text = list(lines(verdicts, benign(alert)))
    assert max(map(len, text)) <= 80
    rows = {
        line.split()[0]: line.split()[1:] for line in text if re.match(r"(web|db|all) +\d", line)
    }
    assert rows == {
        "web": ["3", "2", "3", "2", "1"],
        "db": ["1", "0", "0", "0", "0"],
        "all": ["4", "2", "3", "2", "1"],
    }
    assert "Detected 50% (2 of 4) of all, 67% (2 of 3) of what does anything new" in text
    assert "  web: 3 reload" in text
    assert any("during reload: 20.0 bits: something" in line for line in text)


def test_the_json_is_what_the_requirement_says() -> None:
    judged = Verdict("a", "web", True, True, "ngrams", 0.51234, 30.0, "x")
    there_before = Verdict("b", "web", True, False, resident=True)
    found = to_json([judged, there_before], benign())
    assert [s["name"] for s in found["resident"]] == ["b"]
    scenario = {"name": "a", "service": "web", "novel": True, "detected": True, "signal": "ngrams"}
    assert found["scenarios"] == [scenario | {"seconds": 0.512, "bits": 30.0, "explanation": "x"}]
    assert found["benign"] == {"hours": 2.5, "alerts": 0, "budgeted_alerts": 2.5}
    assert json.loads(json.dumps(found)) == found


@pytest.mark.kernel
def test_a_short_run_finds_who_came_in(tmp_path: Path) -> None:
    require_tools("nginx", "redis-server", "gcc", "curl")
    out = tmp_path / "range.json"
    options = "--services nginx redis --learn 0.3 --benign 0.1 --scenarios".split()
    wanted = "a web shell runs a command", "a helper starts a shell"
    done = subprocess.run(
        [sys.executable, PROGRAM, *options, *wanted, "--json", out],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    found = {s["name"]: s for s in result["scenarios"]}
    assert set(found) == set(wanted)
    assert all(s["novel"] and s["detected"] for s in found.values())
    told = found[wanted[0]]["explanation"]  # of the shell, or of the call that prepares its start
    assert "/usr/bin/dash" in told or told.startswith("never made ")
    assert result["benign"]["hours"] == pytest.approx(2 * 0.1 / 60, abs=1e-3)
    assert "Detected 100% (2 of 2) of all" in done.stdout
