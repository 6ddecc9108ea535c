"""Nanoseconds a system call, of loops that do nothing else."""

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from baseline.demo.cgroup import OwnCgroup
from baseline.errors import BaselineError
from costs.compiling import compiled
from costs.cpus import CPUS, SERVICE_CPUS
from costs.needed import require
from costs.probes import ALL, PARENT, Probe
from costs.reporting import spread_table
from costs.rounds import (
    ROUNDS,
    Figures,
    by_figure,
    in_turn,
    itself,
    medians,
    over,
    single,
    spreads,
)

LOADS = ("getppid", "mix", "long_tail")
MILLISECONDS, SHORT_MILLISECONDS = 300, 100
SLOW = ("perf_trace", "strace")
"""Those that take microseconds a call: a third of the time has calls enough."""
QUICK = ("none", "empty", "baseline", "untracked")
"""Those that a short run compares."""


class Timing(NamedTuple):
    """How long a system call took.

    Attributes:
        median: nanoseconds, the mean over the loops that ran together.
        fastest: in the fastest tenth of each, which others on the machine disturbed least.
        calls: that all made.
    """

    median: float
    fastest: float
    calls: int


class Loops:
    """The loops, in a cgroup that lasts as long as the context."""

    def __init__(self, milliseconds: int) -> None:
        self._milliseconds = milliseconds
        self._stack = ExitStack()

    def __enter__(self) -> "Loops":
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._loop = compiled("syscall_loop", folder)
        self._cgroup = self._stack.enter_context(OwnCgroup(f"{PARENT}/loop"))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, load: str, cpus: Sequence[int], probe: Probe) -> Timing:
        """Run one on each of some processors, together.

        Args:
            load: of ``LOADS``.
            cpus: on which.
            probe: what it is run under.

        Raises:
            BaselineError: one of them failed.
        """
        milliseconds = self._milliseconds / (3 if probe.name in SLOW else 1)
        option = [probe.loop_option] if probe.loop_option else []
        running = [
            self._cgroup.start(
                probe.around([self._loop, load, f"{milliseconds:.0f}", str(cpu), *option]),
                stdout=subprocess.PIPE,
            )
            for cpu in cpus
        ]
        answers = [process.communicate()[0].split() for process in running]
        if any(process.returncode for process in running):
            raise BaselineError(
                f"A loop failed under {probe.name}",
                "Install what `scripts/install-packages --tests` does",
            )
        medians_ns, calls, fastest_ns = zip(
            *(map(float, answer) for answer in answers), strict=True
        )
        return Timing(fmean(medians_ns), fmean(fastest_ns), int(sum(calls)))

    def measure(self, kind: type[Probe]) -> Figures:
        """Every load under a probe: alone, and on all processors at once (``all LOAD``)."""
        figures, made = {}, 0
        with kind() as probe:
            for load in LOADS:
                for name, cpus in ((load, SERVICE_CPUS[-1:]), (f"all {load}", CPUS)):
                    timing = self.run(load, cpus, probe)
                    figures[name], figures[f"least {name}"] = timing.median, timing.fastest
                    made += timing.calls
        probe.require(made)
        if probe.seen and probe.name != "untracked":
            figures |= {"calls": made, "lost": probe.seen.lost}
        return figures


def measure(*, rounds: int | None, short: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """What a system call takes, by load and probe: the medians, and how they spread.

    Raises:
        BaselineError: a probe did not run, or did not see what was called.
    """
    kinds = {kind.name: kind for kind in ALL if not short or kind.name in QUICK}
    if not short:
        require("bpftrace", "perf", "strace")
    rounds = rounds or (3 if short else ROUNDS)
    with Loops(SHORT_MILLISECONDS if short else MILLISECONDS) as loops:
        measured = in_turn(list(kinds), rounds, lambda name: loops.measure(kinds[name]), say)
    names = (*LOADS, *(f"all {load}" for load in LOADS))
    times = by_figure(measured, names, itself)
    counts = by_figure(measured, ("calls", "lost"), itself)
    alone = medians({load: times[load] for load in LOADS})
    together = medians({load: times[f"all {load}"] for load in LOADS})
    return {
        "rounds": rounds,
        "ns_per_syscall": alone,
        "ns_per_syscall_all_cpus": together,
        "syscalls": {
            "rounds": rounds,
            "measured": single(measured),
            "spread": spreads(times),
            "least": {
                load: {kind: min(r[kind][f"least {load}"] for r in measured) for kind in kinds}
                for load in LOADS
            },
            "over_empty": spreads(by_figure(measured, names, over("empty"))),
            "calls_seen": {kind: round(count.median) for kind, count in counts["calls"].items()},
            "calls_lost": {kind: round(count.median) for kind, count in counts["lost"].items()},
        },
    }


def report(result: dict[str, Any]) -> list[str]:
    """Two tables: what a call takes, and what that is over the empty probe."""
    details = result["syscalls"]
    lines = [f"ns a system call, medians of {details['rounds']} interleaved rounds"]
    for title, key in (("one CPU", "ns_per_syscall"), ("all CPUs", "ns_per_syscall_all_cpus")):
        lines += ["", *_times(title, result[key])]
    lines += ["", *spread_table("over the empty probe", details["over_empty"])]
    if displaced := _displaced(details["over_empty"]):
        lines += ["", f"baseline on displaced threads: {displaced} ns over empty"]
    lost, made = details["calls_lost"].get("stream"), details["calls_seen"].get("stream")
    if made:
        lines.append(f"The stream lost {lost / made:.1%} of its events for want of room.")
    return lines


def _displaced(over_empty: dict[str, dict[str, dict[str, float]]]) -> str:
    """What we add for threads whose place is taken, by load."""
    return ", ".join(
        f"{load} {over_empty[load]['displaced']['median']:+.0f}"
        for load in LOADS
        if "displaced" in over_empty[load]
    )


def _times(title: str, times: dict[str, dict[str, float]]) -> list[str]:
    kinds = [kind for kind in next(iter(times.values())) if kind != "displaced"]
    head = f"{title:10}" + "".join(f"{kind:>{max(8, len(kind) + 1)}}" for kind in kinds)
    rows = [
        f"{load:10}"
        + "".join(f"{row[kind]:{max(8, len(kind) + 1)},.{_digits(row[kind])}f}" for kind in kinds)
        for load, row in times.items()
    ]
    return [head, *rows]


def _digits(nanoseconds: float) -> int:
    return 1 if nanoseconds < 1000 else 0
