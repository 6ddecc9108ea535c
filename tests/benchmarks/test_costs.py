"""What the programs that measure costs compute and print."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from costs import agent, analysis, crowd, probes, scaling, services
from costs.compiling import compiled
from costs.growth import growth
from costs.loads import loads
from costs.recording import enlarged
from requirements import require_tools

from baseline.demo.cgroup import OwnCgroup
from baseline.errors import BaselineError
from baseline.recordings import Recording
from baseline.workloads.cgroups import cgroup2_mount

ROOM = 80
ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
DOCUMENTED = json.loads((ROOT / "docs" / "overhead.json").read_text())


@pytest.mark.parametrize("fixed", [0.0, 1.0, 40.0])
@pytest.mark.parametrize("power", [0.4, 0.75, 1.0, 1.3])
def test_the_exponent_of_growth_is_not_hidden_by_a_fixed_cost(power: float, fixed: float) -> None:
    sizes = (3.0, 7.0, 50.0, 800.0, 2000.0)
    grown = growth(sizes, [fixed + 2.5 * size**power for size in sizes])
    assert grown.exponent == pytest.approx(power)
    assert grown.steepest == pytest.approx(power)
    assert grown.fixed == pytest.approx(fixed, abs=1e-9)


def test_the_steepest_part_of_growth_is_told() -> None:
    grown = growth((1, 10, 100), (1.0, 100.0, 120.0))  # squared, and then hardly any more
    assert grown.exponent < 1.1
    assert grown.steepest > 1.9


def test_what_does_not_grow_has_no_exponent() -> None:
    assert growth((1, 10, 100), (9.0, 5.0, 5.9)) == (5.0, None, None)
    assert growth((1, 10, 100), (9.0, 5.0, 8.9)).exponent  # less than at first, and yet it grows


@pytest.mark.parametrize(
    ("said", "lost"),
    [
        ("Counting a.\nWatched 9 windows: 1 alert in 1 incident; nothing lost.\n", "nothing lost"),
        (
            "Watched 2 windows: 0 alerts; 3 of 1,009 ngrams lost, 1 first-sight events dropped."
            " Tampered with: 1 warning.\nIncidents still open: a.\n",
            "3 of 1,009 ngrams lost, 1 first-sight events dropped",
        ),
        ("Wrote a.b/c: 4 windows of one; 3 ngrams unaccounted for.", "3 ngrams unaccounted for"),
    ],
)
def test_what_an_agent_lost_is_what_it_says_in_the_end(said: str, lost: str) -> None:
    assert crowd.lost(said) == lost


def test_an_agent_that_does_not_say_what_it_lost_did_not_end_in_order() -> None:
    with pytest.raises(BaselineError, match="did not end in order"):
        crowd.lost("Counting a.\nWarning: a: 3 of 9 ngrams lost.\n")


def test_lost_counts_are_printed_beside_the_cost() -> None:
    result = DOCUMENTED["agent"]
    lossy = {"50": {"lost": "nothing lost"}, "1000": {"lost": "3 of 1,009 ngrams lost"}}
    rows = {number: result["workloads"][number] | lost for number, lost in lossy.items()}
    lines = [line for line in agent.report(result | {"workloads": rows}) if " lost" in line]
    assert lines == ["At 1000 workloads: 3 of 1,009 ngrams lost"]
    its = {"sizes": [1, 2, 3], "costs": [1.0, 2.0, 3.0], "unit": "s"}
    lines = scaling.report({"execs": its | {"lost": [*["nothing lost"] * 2, "1 of 9 ngrams lost"]}})
    assert [line for line in lines if " lost" in line] == ["execs, 3: 1 of 9 ngrams lost"]


def test_a_recording_is_enlarged_as_far_as_asked_and_the_same_again() -> None:
    windows = list(enlarged(analysis.SOURCE, 40_000))
    again = list(enlarged(analysis.SOURCE, 40_000))
    rows = [len(w.ngrams) + len(w.executions) + len(w.connections) for w in windows]
    assert sum(rows[:-1]) < 40_000 <= sum(rows)
    assert all(a.ngrams == b.ngrams for a, b in zip(windows, again, strict=True))
    ends = np.array([window.end for window in windows])
    assert len(np.unique(ends)) == len(ends)  # rounds follow one another
    assert all(window.ledger.adds_up for window in windows)


@pytest.mark.kernel
def test_a_crowd_that_is_interrupted_while_it_gathers_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_tools("cc")
    workloads = crowd.Crowd(crowd.service(tmp_path), 5)
    started: list[subprocess.Popen[bytes]] = []
    start = OwnCgroup.start

    def start_three(cgroup: OwnCgroup, arguments: Sequence[str | Path]) -> subprocess.Popen[bytes]:
        if len(started) == 3:
            raise KeyboardInterrupt
        started.append(start(cgroup, arguments))
        return started[-1]

    monkeypatch.setattr(OwnCgroup, "start", start_three)
    with pytest.raises(KeyboardInterrupt), workloads:
        pass
    assert [process.poll() for process in started] == [-9] * 3
    assert not list(cgroup2_mount().glob(workloads.glob.partition("/")[0]))


@pytest.mark.kernel
def test_an_agent_says_what_it_lost_and_starts_with_many_models(tmp_path: Path) -> None:
    require_tools("cc")
    program = crowd.service(tmp_path)
    model = agent.learned(program, tmp_path, seconds=2)  # fails where something is lost
    cost = agent.watching(program, model, 3, tmp_path, short=True)
    assert cost.lost == crowd.NOTHING_LOST
    assert cost.cpu_seconds_an_hour > 0
    assert agent.start_seconds(program, model, 3, tmp_path) > 0


def test_sigterm_ends_what_a_benchmark_started() -> None:
    program = (
        "import time\n"
        "from costs.running import end_in_order_on_sigterm\n"
        "end_in_order_on_sigterm()\n"
        "try:\n    print('begun', flush=True)\n    time.sleep(60)\n"
        "finally:\n    print('ended')\n"
    )
    command = [sys.executable, "-c", program]
    environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        process.terminate()
        assert process.stdout.read() == "ended\n"
    assert process.returncode == 143


@pytest.mark.parametrize(
    ("use", "package"),
    [
        (lambda folder: compiled("small_service", folder), "gcc"),
        (lambda _: probes.Bpftrace().__enter__(), "bpftrace"),
        (lambda _: probes.PerfTrace().__enter__(), "linux-perf"),
        (lambda _: probes.Strace().__enter__(), "strace"),
        (lambda _: loads().__enter__(), "wrk"),
        (lambda _: services.measure(rounds=1, short=True, say=print), "bpftrace"),
    ],
)
def test_a_program_that_is_missing_is_one_sentence_with_its_package(
    use: Callable[[Path], object], package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BaselineError, match=f"is not installed. Install {package}"):
        use(tmp_path)


def test_duckdb_that_is_missing_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "duckdb", raising=False)
    importlib.invalidate_caches()
    with pytest.raises(BaselineError, match="DuckDB is not installed"):
        analysis.measure(short=True, say=print)


def test_duckdb_makes_all_rows_of_its_results() -> None:
    command = [sys.executable, BENCHMARKS / "costs" / "aggregation.py", analysis.SOURCE]
    rows = [
        int(subprocess.run([*command, what], capture_output=True, check=True).stdout)
        for what in ("plain", "incidence")
    ]
    windows = list(Recording(analysis.SOURCE).windows())
    assert rows[0] == len({(w.workload, n) for w in windows for n in w.ngrams.ngrams.tolist()})
    last_calls = [np.unique(w.ngrams.ngrams & 1023).size for w in windows]
    assert rows[1] > rows[0] + sum(last_calls)  # and those of six suffixes and contexts


def test_reports_fit_a_terminal() -> None:
    cost = {
        "cpu_percent": 12.345,
        "cpu_seconds_an_hour": 444.42,
        "first_minute_percent": 23.45,
        "rss_mib": 1234.5,
        "pss_mib": 1034.5,
        "anonymous_mib": 934.5,
    }
    reports = [
        agent.report(
            {
                "workloads": {"50": cost, "1000": cost},
                "seconds": agent.LONG,
                "starts": {"1": [1.5], "50": [1.6, 1.7]},
                "model_load_ms": 12.3,
                "recorded_bytes_a_day": 12_345_678,
            }
        ),
        scaling.report(
            {
                "connections a second": {
                    "sizes": [250_000, 1_000_000, 4_000_000],
                    "costs": [0.5, 7.5, 123.4],
                    "unit": "% of a core",
                }
            }
        ),
        analysis.report(
            {
                "rows": 10_000_000,
                "fit_s": 123.45,
                "export_s": 123.45,
                "duckdb_plain_s": 12.34,
                "duckdb_incidence_s": 12.34,
                "rounds": {"fit": [123.4], "duckdb_plain": [1.0], "duckdb_incidence": [10.0]},
            }
        ),
    ]
    for lines in reports:
        assert max(map(len, lines)) <= ROOM
    assert "NOT all below" in reports[1][-2]
