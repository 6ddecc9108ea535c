"""What was to be reached, and whether it was."""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

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
"""At most so many percent of the empty probe's throughput."""

OF_OTHERS = (("bpftrace", 1 / 4), ("stream", 1 / 10))
"""At most this share of what they take from services."""

AGENT_WORKLOADS, AGENT_CPU_PERCENT, AGENT_MIB, AGENT_START_SECONDS = 50, 0.3, 70.0, 2.0
FIT_RATIO = 2.0


class Target(NamedTuple):
    """One of the things to be reached.

    Attributes:
        what: it is about.
        wanted: what it ought to be, in words.
        measured: what it is.
        reached: whether that is good enough.
        is_clear: whether what is around the median (of loops the quartiles, of services an
            interval for it) is all on one side of what is wanted, and it can be so at all: nothing
            is faster than with the empty probe.
    """

    what: str
    wanted: str
    measured: str
    reached: bool
    is_clear: bool = True

    @property
    def verdict(self) -> str:
        """In words."""
        return f"{'' if self.reached else 'not '}reached{'' if self.is_clear else ', unclear'}"


def targets(result: Mapping[str, Any]) -> Iterator[Target]:
    """Those of the parts that were measured."""
    if "syscalls" in result:
        yield from _loops(result["syscalls"]["over_empty"])
    if "loss" in result:
        yield from _services(result["loss"]["percent_below_empty"])
    if "agent" in result:
        yield from _agent(result["agent"])
    if "scaling" in result:
        name, steepest = max(
            ((name, its["exponent"]) for name, its in result["scaling"].items()),
            key=lambda found: found[1],
        )
        yield Target(
            f"cost as the work grows: steepest with {name}",
            "no exponent above 1",
            f"{steepest:.2f}",
            steepest <= 1,
        )
    if "analysis" in result:
        for against, key in (
            ("DuckDB, which counts what a fit counts", "fit_over_incidence"),
            ("DuckDB's sums of the same rows", "fit_over_plain"),
        ):
            ratio = result["analysis"][key]
            yield Target(
                f"learning a recording, against {against}",
                f"at most {FIT_RATIO:g} times as long",
                f"{ratio:.1f} times",
                ratio <= FIT_RATIO,
            )


def mean_loss(loss: Mapping[str, Mapping[str, Mapping[str, float]]], kind: str) -> float:
    """Percent that a probe takes, the mean over the services."""
    return fmean(row[kind]["median"] for row in loss.values())


def _loops(over_empty: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Iterator[Target]:
    for kind, load, most in LOOP_TARGETS:
        measured = over_empty[load][kind]
        yield Target(
            f"{kind}, {load}: over the empty probe",
            f"at most {most:.0f} ns a call",
            f"{measured['median']:+.1f} ns ({measured['low']:.1f} to {measured['high']:.1f})",
            measured["median"] <= most,
            _is_clear(measured, most),
        )


def _services(below: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Iterator[Target]:
    for name, row in below.items():
        loss = row["baseline"]
        if name == "exec":
            wanted = "nothing measurable"
            reached = loss["low"] <= 0
            # A loss that is there is clear; that there is none is, if it would have been seen.
            is_clear = not reached or loss["high"] <= SERVICE_POINTS
        else:
            wanted = f"at most {SERVICE_POINTS} %"
            reached = loss["median"] <= SERVICE_POINTS
            is_clear = _is_clear(loss, SERVICE_POINTS)
        yield Target(
            f"{name}: throughput below the empty probe's",
            wanted,
            f"{loss['median']:+.1f} % ({loss['low']:.1f} to {loss['high']:.1f})",
            reached,
            is_clear,
        )
    for other, share in OF_OTHERS:
        for name, row in {**below, "mean of the services": mean_row(below)}.items():
            yield _against(name, other, share, row)


def mean_row(
    loss: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> dict[str, dict[str, float]]:
    """Probe -> the mean of the medians of all services, with an interval for it.

    Errors of independent measurements add up by their squares, downwards and upwards each.
    """
    found = {}
    for kind in next(iter(loss.values())):
        rows = [row[kind] for row in loss.values()]
        mean = mean_loss(loss, kind)
        below = math.hypot(*(row["median"] - row["low"] for row in rows)) / len(rows)
        above = math.hypot(*(row["high"] - row["median"] for row in rows)) / len(rows)
        found[kind] = {"low": mean - below, "median": mean, "high": mean + above}
    return found


def _against(name: str, other: str, share: float, row: Mapping[str, Mapping[str, float]]) -> Target:
    """What we take, against a share of what another one takes from the same service."""
    ours, theirs = row["baseline"], row[other]
    most = {edge: share * max(value, 0.0) for edge, value in theirs.items()}
    reached = ours["median"] <= most["median"]
    return Target(
        f"{name}, against {other}",
        f"at most {share:.2g} of its loss",
        f"{ours['median']:+.1f} % against {theirs['median']:+.1f} %",
        reached,
        ours["high"] <= most["low"] if reached else ours["low"] > most["high"],
    )


def _is_clear(measured: Mapping[str, float], most: float) -> bool:
    """Whether the limit is not between low and high, and the gain no larger than the limit."""
    return not measured["low"] <= most < measured["high"] and measured["median"] >= -most


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
            )
    if "start_s" in agent:
        yield Target(
            "the agent: from its start to the first count",
            f"at most {AGENT_START_SECONDS:g} s",
            f"{agent['start_s']:.1f} s",
            agent["start_s"] <= AGENT_START_SECONDS,
        )


def table(reached: Sequence[Target]) -> list[str]:
    """As Markdown has tables."""
    rows = [f"| {t.what} | {t.wanted} | {t.measured} | {t.verdict} |" for t in reached]
    return ["| what | wanted | measured | |", "|---|---|---|---|", *rows]
