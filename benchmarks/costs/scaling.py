"""How cost grows with the work: the exponent of its growth for each kind of work.

    sudo PYTHONPATH=.:benchmarks .venv/bin/python -m costs.scaling [--short]

An exponent is that of what grows, beside what it costs whatever the size (``costs.growth``): 1 is
in proportion, less is better. Beside the one of all sizes stands the largest from one size to the
next, and the worst of them all is what is judged. Costs are CPU time of `baseline watch`
for each second that it watches, with a model of what it sees, and for the length of recordings that
of `baseline learn --from` as a whole. Sizes are what was counted, not what was asked for.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from baseline.kernel.collector import pinned_versions
from baseline.kernel.loaded import LoadedProgram
from costs.agent import learned, watching
from costs.crowd import NOTHING_LOST, Agent, Crowd, Pace, service
from costs.growth import growth, steepest
from costs.recording import write_enlarged
from costs.running import run_alone

SOURCE = Path(__file__).parents[2] / "data" / "nginx" / "normal"


class Counted(NamedTuple):
    """What the kernel counted in a second, and how many distinct n-grams it holds."""

    ngrams: float
    executions: float
    connections: float


def measure(*, short: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """The part of the result on growth.

    Args:
        short: in 20 seconds: workloads and the length of recordings, over less of a range.
        say: told how far it has come.
    """
    points: dict[str, list[tuple[float, float, str]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        program = service(folder)
        model = learned(program, folder, seconds=2 if short else 20)
        points["workloads"] = []
        for number in (2, 8, 16) if short else (10, 30, 100, 300, 1000):
            cost = watching(program, model, number, folder, short=short)
            points["workloads"].append((number, cost.cpu_percent, cost.lost))
        say("workloads: done")
        for name, paces in () if short else _PACES.items():
            points[name] = []
            for pace in paces:
                counted, percent, lost = _at_pace(program, pace, folder)
                points[name].append((getattr(counted, _SIZES[name]), percent, lost))
            say(f"{name}: done")
        lengths = (20_000, 40_000, 80_000)
        if not short:
            lengths = (250_000, 500_000, 1_000_000, 2_000_000, 4_000_000)
        points["recorded rows"] = [
            (rows, _seconds_to_learn(rows, folder / f"rows-{rows}"), NOTHING_LOST)
            for rows in lengths
        ]
        say("recorded rows: done")
    return {
        name: {
            "sizes": [size for size, _, _ in measured],
            "costs": [cost for _, cost, _ in measured],
            "lost": [lost for _, _, lost in measured],
            "unit": "s" if name == "recorded rows" else "% of a core",
        }
        for name, measured in points.items()
    }


_PACES: dict[str, Sequence[Pace]] = {
    "distinct n-grams": [Pace(requests=100, kinds=kinds) for kinds in (2, 3, 4)],
    "execs a second": [Pace(requests=200, executions=rate) for rate in (2, 20, 200)],
    "connections a second": [Pace(requests=500, connections=rate) for rate in (5, 50, 500)],
}
_SIZES = {
    "distinct n-grams": "ngrams",
    "execs a second": "executions",
    "connections a second": "connections",
}


def _at_pace(program: Path, pace: Pace, folder: Path) -> tuple[Counted, float, str]:
    """What the kernel counts of ten workloads at this pace, what that costs, and what is lost."""
    models = folder / "models-at-pace"
    with Crowd(program, 10, pace) as crowd:
        arguments = ["--cgroup", f"all={crowd.glob}"]
        with Agent(
            ["learn", *arguments, "--duration", "15s", "--force", "--out", models], folder
        ) as agent:
            agent.lost()
        watch = ["watch", *arguments, "--models", models, "--alerts", folder / "alerts.jsonl"]
        with Agent(watch, folder) as agent:
            agent.wait_for_counting(10)
            time.sleep(5)
            began, before, cpu = time.monotonic(), _in_kernel(), agent.cpu_seconds()
            time.sleep(10)
            seconds, after = time.monotonic() - began, _in_kernel()
            percent = 100 * (agent.cpu_seconds() - cpu) / seconds
            agent.end()
            lost = agent.lost()
    counted = Counted(
        after.ngrams,
        (after.executions - before.executions) / seconds,
        (after.connections - before.connections) / seconds,
    )
    return counted, percent, lost


def _in_kernel() -> Counted:
    """What the tables hold now."""
    with LoadedProgram(pinned_versions()[0]) as program:
        return Counted(
            float(np.unique(program.slots["ngram"][program.slots["group_count"] > 0]).size),
            float(program.ledgers["executions"].sum()),
            float(program.ledgers["connections"].sum()),
        )


def _seconds_to_learn(rows: int, recording: Path) -> float:
    """CPU time of learning from a recording of so many rows, of the whole process."""
    write_enlarged(SOURCE, rows, recording)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "baseline", "learn", "--from", recording, "--out", f"{recording}-m"],
        check=True,
        capture_output=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def lossy(result: Mapping[str, Any]) -> Iterator[str]:
    """A line for each size at which not nothing was lost, or of which that is not known."""
    for name, its in result.items():
        if "lost" not in its:
            yield f"{name}: not noted what was lost"
        for size, lost in zip(its["sizes"], its.get("lost", ()), strict=False):
            if lost != NOTHING_LOST:
                yield f"{name}, {size:,.0f}: {lost}"


def report(result: dict[str, Any]) -> list[str]:
    """The result in lines of 80 columns."""
    lines = [
        "Cost is what it is whatever the size (fixed), and what grows by a power of it:",
        "over all sizes, and at most from one to the next; - where no growth can be told",
        "from chance. In % of a core, or seconds.",
        f"{'':21}  all  most  fixed  sizes                  costs",
    ]
    for name, its in result.items():
        sizes, costs = its["sizes"], its["costs"]
        grown = growth(sizes, costs)
        exponents = f"{_exponent(grown.exponent)} {_exponent(grown.steepest)}"
        span = f"{sizes[0]:,.0f} to {sizes[-1]:,.0f}"
        price = f"{costs[0]:.2f} to {costs[-1]:.2f} {its['unit'].removesuffix(' of a core')}"
        lines.append(f"{name:20} {exponents} {grown.fixed:6.2f}  {span:22} {price}")
    name, worst = steepest(result)
    verdict = "none above" if worst <= 1 else "NOT all below"
    lines += [f"Steepest: {worst:.2f} with {name}, {verdict} 1 (linear)"]
    return [*lines, *lossy(result)]


def _exponent(value: float | None) -> str:
    return "    -" if value is None else f"{value:5.2f}"


if __name__ == "__main__":
    run_alone("scaling", measure, report)
