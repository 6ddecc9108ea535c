"""What the agent costs: CPU and memory by the number of workloads, its start, its recording.

    sudo PYTHONPATH=.:benchmarks .venv/bin/python -m costs.agent [--short]

Each workload is a cgroup of its own with a real process (`benchmarks/programs/small_service.c`:
some eighty system calls a second, now and then a connection or a program), and has a model of its
own, all learned from the same program. The agent is `baseline watch` with windows of one second and
alerts to a file. Its CPU time is that of its cgroup, which the kernel keeps to the microsecond, its
memory is what `/proc/PID/smaps_rollup` says; what it takes to start is left out. The CPU time is
that of the first hour: of the first minute, when much is new to the kernel and is told of one by
one, and of 59 like the half minute after it. An agent that lost counts had less to do: that is
marked, and up to the number of workloads that the targets are about it is an error.
"""

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from baseline.cli.progress import counted
from baseline.errors import BaselineError
from baseline.kernel.collector import pinned_versions
from baseline.kernel.loaded import LoadedProgram
from baseline.model.storage import load_models, save_models
from baseline.model.workload_model import WorkloadModel
from costs.crowd import NOTHING_LOST, Agent, Cost, Crowd, cost_of, service
from costs.running import run_alone
from costs.targets import AGENT_CPU_PERCENT, AGENT_MIB, AGENT_START_SECONDS, AGENT_WORKLOADS

_DAY = 86400
SHORT = {"first": 1.0, "then": 2.0}
LONG = {"first": 60.0, "then": 30.0}
SHORT_STARTS, LONG_STARTS = 1, 6
"""Of six the interval of the median holds it with 95 %."""


def measure(*, short: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """The agent's part of the result.

    Args:
        short: in 20 seconds, to see that it works and of what order the costs are.
        say: told how far it has come.
    """
    numbers = (1, 10) if short else (1, 10, 50, 100, 1000)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        program = service(folder)
        model = learned(program, folder, seconds=2 if short else 60)
        starts = {}
        for number in (1, AGENT_WORKLOADS):
            starts[str(number)] = [
                start_seconds(program, model, number, folder)
                for _ in range(SHORT_STARTS if short else LONG_STARTS)
            ]
            median = statistics.median(starts[str(number)])
            say(f"start to first count with {counted(number, 'model')}: {median:.2f} s")
        workloads: dict[str, Any] = {}
        for number in numbers:
            cost = watching(program, model, number, folder, short=short)
            workloads[str(number)] = _as_json(cost)
            say(f"{number} workloads: {cost.cpu_percent:.2f} %, {cost.memory.rss:.0f} MiB")
        with Crowd(program, numbers[-1]) as crowd:
            write_models(model, crowd.names, folder)
        began = time.perf_counter()
        load_models(folder / "models")
        load = time.perf_counter() - began
        recorded = recorded_bytes(program, folder, workloads=5, seconds=2 if short else 60)
    return {
        "workloads": workloads,
        "seconds": SHORT if short else LONG,
        "start_s": statistics.median(starts[str(AGENT_WORKLOADS)]),
        "starts": starts,
        "model_load_ms": 1000 * load / numbers[-1],
        "recorded_bytes_a_day": recorded,
    }


def _as_json(cost: Cost) -> dict[str, Any]:
    return {
        "cpu_percent": cost.cpu_percent,
        "cpu_seconds_an_hour": cost.cpu_seconds_an_hour,
        "first_minute_percent": cost.first_percent,
        "rss_mib": cost.memory.rss,
        "pss_mib": cost.memory.pss,
        "anonymous_mib": cost.memory.anonymous,
        "lost": cost.lost,
    }


def learned(program: Path, folder: Path, *, seconds: float) -> WorkloadModel:
    """A model of what every workload does, learned from five of them."""
    out = folder / "learned"
    with Crowd(program, 5) as crowd:
        arguments = ["learn", "--cgroup", f"one={crowd.glob}", "--duration", f"{seconds}s"]
        with Agent([*arguments, "--out", out], folder) as agent:
            agent.require_all()
    return load_models(out)["one"]


def write_models(model: WorkloadModel, names: list[str], folder: Path) -> Path:
    """A model for each workload, all alike."""
    models = folder / "models"
    shutil.rmtree(models, ignore_errors=True)
    save_models([_named(model, name) for name in names], models)
    return models


def _named(model: WorkloadModel, name: str) -> WorkloadModel:
    return WorkloadModel(
        name,
        model.architecture,
        model.training,
        model.signals,
        model.held_out,
        provenance=model.provenance,
    )


def watching(
    program: Path, model: WorkloadModel, number: int, folder: Path, *, short: bool
) -> Cost:
    """What `baseline watch` takes for so many workloads, from when it counts all of them.

    Raises:
        BaselineError: it lost counts, of no more workloads than the targets are about.
    """
    with Crowd(program, number) as crowd, _watch(crowd, model, folder) as agent:
        agent.wait_for_counting(number)
        cost = cost_of(agent, **(SHORT if short else LONG))
        if number <= AGENT_WORKLOADS:
            agent.require_all()
    return cost


def _watch(crowd: Crowd, model: WorkloadModel, folder: Path) -> Agent:
    models = write_models(model, crowd.names, folder)
    alerts = folder / "alerts.jsonl"
    return Agent(["watch", "--cgroup", crowd.glob, "--models", models, "--alerts", alerts], folder)


def start_seconds(program: Path, model: WorkloadModel, number: int, folder: Path) -> float:
    """From the start of `baseline watch`, with nothing loaded, until the kernel counts a call.

    Args:
        program: of all workloads.
        model: of each.
        number: of workloads, each with a model.
        folder: for files.
    """
    with Crowd(program, number) as crowd, _watch(crowd, model, folder) as agent:
        agent.wait_for(_is_counted, "a call was counted")
        return time.monotonic() - agent.began


def _is_counted() -> bool:
    for version in pinned_versions():
        # A version that is still being loaded has not all of its pins.
        with suppress(BaselineError, OSError), LoadedProgram(version) as program:
            return bool(program.counters["calls"].any())
    return False


def recorded_bytes(program: Path, folder: Path, *, workloads: int, seconds: float) -> float:
    """Bytes that `baseline record` writes of a workload in a day at this pace."""
    out = folder / "recording"
    with Crowd(program, workloads) as crowd:
        arguments = ["record", "--cgroup", crowd.glob, "--duration", f"{seconds}s", "--out", out]
        with Agent(arguments, folder) as agent:
            agent.require_all()
    size = sum(path.stat().st_size for path in out.rglob("*.parquet"))
    return size / workloads / seconds * _DAY


def lossy(costs: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Number of workloads -> what was lost, where it is not nothing."""
    for number, cost in costs.items():
        if (lost := cost.get("lost", "not noted what was lost")) != NOTHING_LOST:
            yield number, lost


def report(result: dict[str, Any]) -> list[str]:
    """The result in lines of 80 columns."""
    first, then = result["seconds"]["first"], result["seconds"]["then"]
    lines = [
        "The agent, with windows of one second and a model for each workload",
        "            % of a core over                      MiB",
        "workloads    first minute   hour   CPU s/hour     RSS    PSS   its own",
    ]
    for number, cost in result["workloads"].items():
        lines.append(
            f"{number:>9} {cost['first_minute_percent']:15.2f} {cost['cpu_percent']:6.2f}"
            f" {cost['cpu_seconds_an_hour']:12.1f}"
            f" {cost['rss_mib']:7.0f} {cost['pss_mib']:6.0f} {cost['anonymous_mib']:9.0f}"
        )
    lines += [
        *(f"At {number} workloads: {lost}" for number, lost in lossy(result["workloads"])),
        f"Measured are {first + then:g} s: an hour is a minute like the first {first:g} s,",
        f"and 59 like the {then:g} s after them.",
        *(
            f"Start to first count with {counted(int(number), 'model')}:"
            f" {statistics.median(starts):.2f} s (target {AGENT_START_SECONDS:g} s)"
            for number, starts in result["starts"].items()
        ),
        f"Model load: {result['model_load_ms']:.1f} ms a model",
        f"Recorded: {result['recorded_bytes_a_day'] / 1e6:.1f} MB a workload a day",
    ]
    if cost := result["workloads"].get(str(AGENT_WORKLOADS)):
        lines.append(
            f"At {AGENT_WORKLOADS} workloads: {cost['cpu_percent']:.2f} % of a core (target "
            f"{AGENT_CPU_PERCENT} %), {cost['rss_mib']:.0f} MiB (target {AGENT_MIB:g} MiB)"
        )
    return lines


if __name__ == "__main__":
    run_alone("agent", measure, report)
