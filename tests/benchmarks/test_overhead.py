"""A short run of the whole: a cost that doubles is seen, and the page says what was measured."""

import json
import runpy
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from costs import services
from costs.loads import Load, Throughput
from costs.page import page
from costs.probes import Probe, Seen
from costs.syscalls import LOADS
from costs.targets import LOOP_TARGETS, mean_row, summary, targets
from requirements import require_tools

from baseline.demo.cgroup import OwnCgroup
from baseline.errors import KernelError

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "benchmarks" / "overhead.py"
DOCUMENTED = json.loads((ROOT / "docs" / "overhead.json").read_text())
NOISE = 0.1
"""Of the documented floor: what a short run may be off, beside twice the cost."""
ATTEMPTS = 4
"""Others on the machine disturb a run now and then, but not each time the same figure."""
WANTED = {(kind, load): most for kind, load, most in LOOP_TARGETS}


def usual(kind: str, load: str) -> float:
    """What we add to the floor, in nanoseconds: as documented, or as wanted where that is more."""
    documented = DOCUMENTED["syscalls"]["over_empty"][load][kind]["median"]
    return max(float(documented), WANTED[kind, load])


def regressions(least: Mapping[str, Mapping[str, float]]) -> dict[tuple[str, str], str]:
    """What costs more than twice what is usual, on a machine that may be slower or faster.

    Args:
        least: load -> probe -> the least nanoseconds of a call.

    Returns:
        Probe and load -> by how much.
    """
    found = {}
    for (kind, load), times in ((pair, least[pair[1]]) for pair in WANTED):
        documented = DOCUMENTED["ns_per_syscall"][load]
        slower = times["none"] / documented["none"]
        cost = times[kind] - times["empty"]
        most = slower * (2 * usual(kind, load) + NOISE * floor(load))
        if cost > most:
            found[kind, load] = f"{cost:.1f} ns over the floor, at most {most:.1f}"
    return found


@pytest.mark.kernel
def test_the_cost_of_a_call_has_not_doubled(tmp_path: Path) -> None:
    require_tools("cc", "unshare")
    out = tmp_path / "figures.json"
    command = [sys.executable, PROGRAM, "--short", "--only", "syscalls", "--json", out]
    doubled = dict.fromkeys(WANTED, "not measured")
    for _ in range(ATTEMPTS):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        result = json.loads(out.read_text())
        found = regressions(result["syscalls"]["least"])
        doubled = {pair: found[pair] for pair in doubled.keys() & found.keys()}
        if not doubled:
            break
    assert not doubled
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert result["rounds"] == 3
    assert result["machine"] == result["runs"]["syscalls"]["machine"] != ""
    assert result["syscalls"]["calls_seen"]["baseline"] > 0


def test_a_cost_that_doubles_is_a_regression() -> None:
    for slower in (1.0, 3.0):
        least = {load: as_usual(load, slower) for load in LOADS}
        assert regressions(least) == {}
        for kind, load in WANTED:
            doubled = 2.01 * usual(kind, load) + 0.11 * floor(load)
            worse = least[load] | {kind: least[load]["empty"] + slower * doubled}
            assert list(regressions(least | {load: worse})) == [(kind, load)]


def floor(load: str) -> float:
    times = DOCUMENTED["ns_per_syscall"][load]
    return float(times["empty"] - times["none"])


def as_usual(load: str, slower: float) -> dict[str, float]:
    """Just what is usual, on a machine that is so many times slower."""
    none = DOCUMENTED["ns_per_syscall"][load]["none"]
    times = {"none": none, "empty": none + floor(load)}
    times |= {kind: times["empty"] + usual(kind, load) for kind in ("baseline", "untracked")}
    return {kind: slower * time for kind, time in times.items()}


@pytest.mark.kernel
@pytest.mark.timeout(240)
def test_services_are_measured_under_each_probe() -> None:
    require_tools("nginx", "redis-server", "psql", "wrk", "redis-benchmark", "make", "cc")
    require_tools("bpftrace", "unshare")
    result = services.measure(rounds=2, short=True, say=lambda _: None)
    names = [
        *("nginx", "redis_get", "redis_set", "pgbench_select", "pgbench_tpcb", "build", "exec"),
    ]
    assert list(result["services"]) == names
    assert list(result["latency"]) == [name for name in names if name != "build"]
    assert list(result["cpu_us_a_request"]) == names
    for row in (*result["services"].values(), *result["cpu_us_a_request"].values()):
        assert list(row) == list(services.COLUMNS)
        assert min(row.values()) > 0
    for row in result["latency"].values():
        assert all(0 < figures["p50_ms"] <= figures["p99_ms"] for figures in row.values())
    run = result["services_run"]
    assert (run["rounds"], run["rounds_of_bpftrace"]) == (2, 1)
    assert list(run["calls_seen"]) == ["bpftrace", "baseline", "stream"]
    assert run["calls_lost"]["baseline"] == 0
    assert list(run["calls_a_request"]) == names
    for calls in run["calls_a_request"].values():
        assert set(calls) == {"bpftrace", "baseline", "stream"}
    for name in names:
        for rounds, kinds in (("measured", 2), ("measured_with_bpftrace", 1)):
            assert all(len(row[name]) == kinds for row in run[rounds].values())
    lines = services.report(result)
    assert max(map(len, lines)) <= 80


class TenRequests(Load):
    """Ten requests a slice, and the rate is the number of the slice."""

    name = "ten"
    threads = ()

    def __init__(self, folder: Path) -> None:
        self.cgroup = OwnCgroup("ten")
        self.cgroup.folder = folder
        (folder / "cpu.stat").write_text("usage_usec 5\n")
        self.runs = 0

    def run(self, seconds: float) -> Throughput:
        self.runs += 1
        return Throughput(10, self.runs)


class Sees(Probe):
    """Sees as many calls each time that it is attached."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self._calls = calls
        self.seen = Seen(0)

    def pause(self) -> None:
        self.seen = Seen(self.seen.counted + self._calls)


def test_the_first_slice_of_a_round_is_thrown_away_and_single_ones_are_told(tmp_path: Path) -> None:
    order = services.ORDERS[0]
    slices = services.Slices(0.0)
    # Of two slices each of baseline, and of one of the stream: the same number of calls a request.
    slices._probes = {"none": Probe(), "empty": Probe(), "baseline": Sees(200), "stream": Sees(99)}
    measured = slices.round(TenRequests(tmp_path), order)
    rates = {kind: figures["ten"] for kind, figures in measured.items()}
    assert rates == {"none": 2, "empty": (3 + 6) / 2, "baseline": (4 + 5) / 2, "stream": 7}
    assert slices.calls_a_request() == {"ten": {"baseline": 10.0, "stream": 9.9}}
    slices.require_equal_work()
    slices._probes["stream"] = Sees(20)
    slices.round(TenRequests(tmp_path), order)
    with pytest.raises(KernelError, match=r"request of ten: baseline 10\.00, stream 5\.95"):
        slices.require_equal_work()


def test_the_page_is_what_was_measured() -> None:
    written = (ROOT / "docs" / "overhead.md").read_text()
    assert written == page(DOCUMENTED), "run scripts/write-overhead-docs docs/overhead.json"


def spread(low: float, median: float, high: float) -> dict[str, float]:
    return {"low": low, "median": median, "high": high}


def test_targets_are_judged_by_what_was_measured() -> None:
    loops: dict[str, Any] = {}
    loops["rounds"] = loops["measured"] = 7
    loops["over_empty"] = {
        load: {"baseline": spread(19, 20, 21), "untracked": spread(10.05, 10.1, 10.2)}
        for load in ("getppid", "mix", "long_tail")
    }
    few = {"cpu_percent": 0.2, "rss_mib": 71}
    result: dict[str, Any] = {
        "syscalls": loops,
        "agent": {
            "workloads": {"10": {"cpu_percent": 9.0}, "100": few},
            "starts": {"1": [1.8, 1.9, 1.9, 1.9, 1.9, 1.9], "50": [1.9, 1.9, 1.9, 1.9, 1.9, 2.1]},
        },
        "scaling": {
            "workloads": {"sizes": [1, 10, 100], "costs": [1, 8, 64]},
            "rows": {"sizes": [1, 10, 100], "costs": [10, 20, 140]},
        },
        "analysis": {
            "rounds": {
                "fit": [2.0] * 5 + [2.1],
                "duckdb_incidence": [0.9] * 6,
                "duckdb_plain": [1.0] * 6,
            }
        },
    }
    judged = targets(result)
    assert {target.what: target.verdict for target in judged} == {
        "baseline, getppid: over the empty probe": "reached, unclear",
        "baseline, mix: over the empty probe": "reached, unclear",
        "baseline, long_tail: over the empty probe": "reached",
        "untracked, getppid: over the empty probe": "not reached",
        "untracked, mix: over the empty probe": "not reached",
        "untracked, long_tail: over the empty probe": "not reached",
        "the agent at 100 workloads: a core": "reached, one run",
        "the agent at 100 workloads: memory": "not reached, one run",
        "the agent: from its start to the first count, with 1 model": "reached",
        "the agent: from its start to the first count, with 50 models": "reached, unclear",
        "cost as the work grows: steepest with rows": "not reached, one run",
        "learning a recording, against DuckDB, which counts what a fit counts": "not reached",
        "learning a recording, against DuckDB's sums of the same rows": "reached, unclear",
    }
    # What was lost, too few rounds, and quartiles leave doubts.
    few["lost"] = "3 of 10 ngrams lost"
    loops["rounds"] = 5
    result["scaling"]["rows"]["lost"] = ["nothing lost", "nothing lost", "1 of 9 ngrams lost"]
    result["analysis"]["rounds"]["fit"] = [1.0] * 3
    for times in result["analysis"]["rounds"].values():
        del times[3:]
    doubts = {target.what: target.doubt for target in targets(result)}
    assert doubts["baseline, long_tail: over the empty probe"] == "5 rounds"
    assert doubts["the agent at 100 workloads: a core"] == "counts lost"
    assert doubts["cost as the work grows: steepest with rows"] == "counts lost"
    assert doubts["learning a recording, against DuckDB's sums of the same rows"] == "3 rounds"
    del loops["measured"]
    assert {target.doubt for target in targets({"syscalls": loops})} == {"quartiles"}


def test_nothing_without_an_interval_counts_as_clearly_reached() -> None:
    judged = list(targets(DOCUMENTED))
    clearly = sum(target.verdict == "reached" for target in judged)
    assert summary(judged).startswith(f"Of {len(judged)}, {clearly} are clearly reached")
    for target in judged:
        if not target.doubt:
            assert "throughput below" in target.what or "against stream" in target.what


def test_each_part_has_a_date_and_a_commit_of_its_own(tmp_path: Path) -> None:
    """What is measured again replaces its own part, and when that was measured, and no other."""
    script = runpy.run_path(str(ROOT / "scripts" / "write-overhead-docs"))
    again = {
        "runs": {
            "agent": DOCUMENTED["runs"]["agent"]
            | {"date": "2031-01-02", "commit": "abc1234", "load_average_before": 7.5}
        },
        "agent": DOCUMENTED["agent"],
    }
    files = [ROOT / "docs" / "overhead.json", tmp_path / "again.json"]
    files[1].write_text(json.dumps(again))
    result = script["together"](files)
    assert result["runs"] == DOCUMENTED["runs"] | again["runs"]
    rows = [line for line in page(result).splitlines() if "2031" in line]
    assert len(rows) == 1
    assert rows[0].startswith("| The agent | 2031-01-02 | abc1234 | 7.5 | ")
    files[1].write_text(json.dumps({"agent": DOCUMENTED["agent"]}))
    with pytest.raises(SystemExit, match="does not say when"):
        script["together"](files)


def services_result(loss: Mapping[str, object], of_bpftrace: int = 7) -> dict[str, object]:
    return {
        "loss": {"percent_below_empty": loss},
        "services_run": {"rounds": 20, "rounds_of_bpftrace": of_bpftrace},
    }


def test_four_rounds_of_bpftrace_are_not_enough() -> None:
    row = {"baseline": spread(1, 1, 1), "bpftrace": spread(9, 9, 9), "stream": spread(90, 90, 90)}
    judged = {t.what: t.verdict for t in targets(services_result({"get": row}, 4))}
    assert judged["get, against bpftrace"] == "reached, 4 rounds"
    assert judged["get, against stream"] == "reached"


@pytest.mark.parametrize(
    ("name", "ours", "verdicts"),
    [
        ("redis", spread(0.1, 0.5, 0.9), ("reached", "reached", "reached")),
        ("redis", spread(-0.5, 1.0, 1.9), ("reached, unclear", "reached", "reached")),
        ("redis", spread(1.4, 2.2, 3.1), ("not reached, unclear", *["reached, unclear"] * 2)),
        ("redis", spread(1.6, 4.0, 9.0), ("not reached", *["not reached, unclear"] * 2)),
        ("redis", spread(5.0, 6.0, 9.0), ("not reached", "not reached", "not reached")),
        ("redis", spread(-9.0, -6.0, -5.0), ("reached, unclear", "reached", "reached")),
        ("exec", spread(-0.5, 0.5, 1.4), ("reached", "reached", "reached")),
        ("exec", spread(-0.5, 0.5, 1.6), ("not reached, unclear", "reached", "reached")),
        ("exec", spread(-9.0, 0.5, 9.0), ("not reached, unclear", *["reached, unclear"] * 2)),
        ("exec", spread(0.1, 0.5, 1.6), ("not reached", "reached", "reached")),
    ],
)
def test_a_service_is_judged_by_the_interval_of_its_loss(
    name: str, ours: dict[str, float], verdicts: tuple[str, str, str]
) -> None:
    loss = {name: {"baseline": ours, "bpftrace": spread(8, 12, 16), "stream": spread(20, 30, 40)}}
    judged = list(targets(services_result(loss)))
    assert [(target.what, target.verdict) for target in judged] == [
        (f"{name}: throughput below the empty probe's", verdicts[0]),
        (f"{name}, against bpftrace", verdicts[1]),
        ("mean of the services, against bpftrace", verdicts[1]),
        (f"{name}, against stream", verdicts[2]),
        ("mean of the services, against stream", verdicts[2]),
    ]


def test_the_mean_of_services_is_surer_than_each() -> None:
    rows = {name: {"baseline": spread(0, 2, 6)} for name in ("a", "b", "c", "d")}
    assert mean_row(rows) == {"baseline": spread(1.0, 2.0, 4.0)}


def test_who_takes_nothing_leaves_no_share() -> None:
    row = {"baseline": spread(1, 2, 3), "bpftrace": spread(-3, -1, 0), "stream": spread(40, 50, 60)}
    judged = {t.what: t.verdict for t in targets(services_result({"get": row}))}
    assert judged["get, against bpftrace"] == "not reached"
    assert judged["get, against stream"] == "reached"
