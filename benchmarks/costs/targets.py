"""What was to be reached, and whether it was."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from baseline.cli.progress import counted
from costs.crowd import NOTHING_LOST
from costs.growth import steepest
from costs.reporting import with_interval
from costs.rounds import ENOUGH, Spread, interval

LOOP_TARGETS = (
    ("baseline", "getppid", 20.0),
    ("baseline", "mix", 20.0),
    ("baseline", "long_tail", 50.0),
    ("untracked", "getppid", 10.0),
    ("untracked", "mix", 10.0),
    ("untracked", "long_tail", 10.0),
)
"""Probe, load, and at most so many nanoseconds a call over the empty probe."""

SERVICE_POINTS = 1.5
"""At most so many percent of the empty probe's throughput; of exec so many where it may at most be
by the worse end of its interval, which has to hold 0, too."""

OF_OTHERS = (("bpftrace", 1 / 4), ("stream", 1 / 10))
"""At most this share of what they take from services."""

AGENT_WORKLOADS, AGENT_CPU_PERCENT, AGENT_MIB, AGENT_START_SECONDS = 50, 0.3, 70.0, 2.0
FIT_RATIO = 2.0


UNCLEAR, ONCE, QUARTILES, LOSSY = "unclear", "one run", "quartiles", "counts lost"
"""Why it is not clear whether a target is reached."""


class Target(NamedTuple):
    """One of the things to be reached.

    Attributes:
        what: it is about.
        wanted: what it ought to be, in words.
        measured: what it is.
        reached: whether that is good enough.
        doubt: why that is not clear, empty where it is: where the interval that holds the median
            with 95 % is all on one side of what is wanted, and it can be so at all, as nothing is
            faster than with the empty probe.  Without such an interval nothing is clear.
    """

    what: str
    wanted: str
    measured: str
    reached: bool
    doubt: str = ONCE

    @property
    def verdict(self) -> str:
        """In words."""
        reached = "reached" if self.reached else "not reached"
        return f"{reached}, {self.doubt}" if self.doubt else reached


def targets(result: Mapping[str, Any]) -> Iterator[Target]:
    """Those of the parts that were measured."""
    if "syscalls" in result:
        yield from _loops(result["syscalls"])
    if "loss" in result:
        rounds = result["services_run"]
        yield from _services(
            result["loss"]["percent_below_empty"], rounds["rounds"], rounds["rounds_of_bpftrace"]
        )
    if "agent" in result:
        yield from _agent(result["agent"])
    if "scaling" in result:
        yield _growth(result["scaling"])
    if "analysis" in result:
        yield from _analysis(result["analysis"])


def _loops(syscalls: Mapping[str, Any]) -> Iterator[Target]:
    for kind, load, most in LOOP_TARGETS:
        measured = syscalls["over_empty"][load][kind]
        yield Target(
            f"{kind}, {load}: over the empty probe",
            f"at most {most:.0f} ns a call",
            f"{with_interval(measured)} ns",
            measured["median"] <= most,
            # Quartiles are what was kept before the rounds were.
            _doubt(syscalls["rounds"], _is_clear(measured, most))
            if "measured" in syscalls
            else QUARTILES,
        )


def _services(
    below: Mapping[str, Mapping[str, Mapping[str, float]]], rounds: int, rounds_of_bpftrace: int
) -> Iterator[Target]:
    for name, row in below.items():
        loss = row["baseline"]
        if name == "exec":
            wanted = f"nothing measurable, at most {SERVICE_POINTS} %"
            reached = loss["low"] <= 0 and loss["high"] <= SERVICE_POINTS
            is_clear = reached or loss["low"] > 0
        else:
            wanted = f"at most {SERVICE_POINTS} %"
            reached = loss["median"] <= SERVICE_POINTS
            is_clear = _is_clear(loss, SERVICE_POINTS)
        yield Target(
            f"{name}: throughput below the empty probe's",
            wanted,
            f"{with_interval(loss)} %",
            reached,
            _doubt(rounds, is_clear),
        )
    for other, share in OF_OTHERS:
        fewest = min(rounds, rounds_of_bpftrace) if other == "bpftrace" else rounds
        for name, row in {**below, "mean of the services": mean_row(below)}.items():
            yield _against(name, other, share, row, fewest)


def mean_row(
    loss: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> dict[str, dict[str, float]]:
    """Probe -> the mean of the medians of all services, with an interval for it.

    Errors of independent measurements add up by their squares, downwards and upwards each.
    """
    found = {}
    for kind in next(iter(loss.values())):
        rows = [row[kind] for row in loss.values()]
        mean = fmean(row["median"] for row in rows)
        below = math.hypot(*(row["median"] - row["low"] for row in rows)) / len(rows)
        above = math.hypot(*(row["high"] - row["median"] for row in rows)) / len(rows)
        found[kind] = {"low": mean - below, "median": mean, "high": mean + above}
    return found


def _against(
    name: str, other: str, share: float, row: Mapping[str, Mapping[str, float]], rounds: int
) -> Target:
    """What we take, against a share of what another one takes from the same service."""
    ours, theirs = row["baseline"], row[other]
    most = {edge: share * max(value, 0.0) for edge, value in theirs.items()}
    reached = ours["median"] <= most["median"]
    return Target(
        f"{name}, against {other}",
        f"at most {share:.2g} of its loss",
        f"{ours['median']:+.1f} % against {theirs['median']:+.1f} %",
        reached,
        _doubt(rounds, ours["high"] <= most["low"] if reached else ours["low"] > most["high"]),
    )


def _is_clear(measured: Mapping[str, float], most: float) -> bool:
    """Whether the limit is not between low and high, and the gain no larger than the limit."""
    return not measured["low"] <= most < measured["high"] and measured["median"] >= -most


def fit_over(rounds: Mapping[str, Sequence[float]], other: str) -> Spread:
    """How many times as long as another one learning takes in the same round."""
    return interval([ours / its for ours, its in zip(rounds["fit"], rounds[other], strict=True)])


def _doubt(values: int, is_clear: bool) -> str:
    """Of an interval of so many values, whether what it says is clear."""
    if values < ENOUGH:
        return ONCE if values == 1 else f"{values} rounds"
    return "" if is_clear else UNCLEAR


def _growth(scaling: Mapping[str, Any]) -> Target:
    name, worst = steepest(scaling)
    lost = {lost for its in scaling.values() for lost in its.get("lost", ())} - {NOTHING_LOST}
    return Target(
        f"cost as the work grows: steepest with {name}",
        "no exponent above 1",
        f"{worst:.2f}",
        worst <= 1,
        LOSSY if lost else ONCE,
    )


def _analysis(analysis: Mapping[str, Any]) -> Iterator[Target]:
    rounds = analysis["rounds"]
    for against, key in (
        ("DuckDB, which counts what a fit counts", "duckdb_incidence"),
        ("DuckDB's sums of the same rows", "duckdb_plain"),
    ):
        ratio = fit_over(rounds, key)
        yield Target(
            f"learning a recording, against {against}",
            f"at most {FIT_RATIO:g} times as long",
            f"{ratio.median:.1f} times ({ratio.low:.1f} to {ratio.high:.1f})",
            ratio.median <= FIT_RATIO,
            _doubt(len(rounds["fit"]), _is_clear(ratio._asdict(), FIT_RATIO)),
        )


def _agent(agent: Mapping[str, Any]) -> Iterator[Target]:
    workloads = agent["workloads"]
    number = min((n for n in map(int, workloads) if n >= AGENT_WORKLOADS), default=0)
    if number:
        at = workloads[str(number)]
        for what, key, most, unit in (
            ("a core", "cpu_percent", AGENT_CPU_PERCENT, " %"),
            ("memory", "rss_mib", AGENT_MIB, " MiB"),
        ):
            yield Target(
                f"the agent at {number} workloads: {what}",
                f"at most {most:g}{unit} at {AGENT_WORKLOADS}",
                f"{at[key]:.2f}{unit}",
                at[key] <= most,
                ONCE if at.get("lost", NOTHING_LOST) == NOTHING_LOST else LOSSY,
            )
    for models, starts in agent["starts"].items():
        start = interval(starts)
        yield Target(
            f"the agent: from its start to the first count, with {counted(int(models), 'model')}",
            f"at most {AGENT_START_SECONDS:g} s",
            f"{start.median:.1f} s ({start.low:.1f} to {start.high:.1f})",
            start.median <= AGENT_START_SECONDS,
            _doubt(len(starts), _is_clear(start._asdict(), AGENT_START_SECONDS)),
        )


def summary(reached: Sequence[Target]) -> str:
    """How many are, and how sure that is."""
    number = Counter((target.reached, not target.doubt) for target in reached)
    return (
        f"Of {len(reached)}, {number[True, True]} are clearly reached and {number[False, True]}"
        f" clearly not; of the others, {number[True, False]} are reached and"
        f" {number[False, False]} not, as far as can be told."
    )


def table(reached: Sequence[Target]) -> list[str]:
    """As Markdown has tables."""
    rows = [f"| {t.what} | {t.wanted} | {t.measured} | {t.verdict} |" for t in reached]
    return ["| what | wanted | measured | |", "|---|---|---|---|", *rows]
