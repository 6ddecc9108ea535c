"""What real services lose: requests a second, and how long one takes, under each probe."""

from collections.abc import Callable, Sequence
from typing import Any

from costs.cpus import processor_seconds
from costs.loads import Load, loads
from costs.probes import EVERYWHERE, Probe
from costs.reporting import spread_table
from costs.rounds import (
    ROUNDS,
    Figures,
    Round,
    by_figure,
    in_turn,
    itself,
    medians,
    percent_above,
    percent_below,
    spreads,
)

SECONDS, SHORT_SECONDS = 2.0, 0.5
LATENCIES = ("p50_ms", "p99_ms")
PROCESSOR = "cpu_us"
"""Microseconds of processor time that the service takes for a request."""


def measure_under(kind: type[Probe], services: list[Load], seconds: float) -> Figures:
    """Every load, one after the other, under a probe.

    Raises:
        BaselineError: a load failed, or the probe did not see what was called.
    """
    figures: dict[str, float] = {}
    requests = 0
    with kind() as probe:
        for load in services:
            before = processor_seconds(load.cgroup)
            result = load.run(seconds)
            used = processor_seconds(load.cgroup) - before
            requests += result.requests
            figures[load.name] = result.rate
            figures[f"{load.name} {PROCESSOR}"] = 1e6 * used / result.requests
            for latency in LATENCIES:
                if milliseconds := getattr(result, latency):
                    figures[f"{load.name} {latency}"] = milliseconds
    probe.require(requests)  # each is one call at least
    if probe.seen:
        figures |= {"calls": sum(probe.seen), "lost": probe.seen.lost}
    return figures


def measure(*, rounds: int | None, short: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Requests a second by load and probe: the medians, and what is lost to each probe.

    Raises:
        BaselineError: a service or a load failed, or a probe did not run.
    """
    kinds = {kind.name: kind for kind in EVERYWHERE}
    rounds = rounds or (1 if short else ROUNDS)
    seconds = SHORT_SECONDS if short else SECONDS
    with loads() as services:
        for load in services:
            say(f"warming up: {load.name}")
            load.run(seconds)
        names = [load.name for load in services]
        measured = in_turn(
            list(kinds), rounds, lambda kind: measure_under(kinds[kind], services, seconds), say
        )
    rates = by_figure(measured, names, itself)
    processor = [f"{name} {PROCESSOR}" for name in names]
    counts = by_figure(measured, ("calls", "lost"), itself)
    return {
        "rounds": rounds,
        "services": medians(rates),
        "latency": {name: table for name in names if (table := _latency(measured, name))},
        "loss": {
            f"percent_below_{reference}": spreads(
                by_figure(measured, names, percent_below(reference))
            )
            for reference in ("none", "empty")
        },
        "cpu_us_a_request": _processor(medians(by_figure(measured, processor, itself))),
        "cpu_percent_above_empty": _processor(
            spreads(by_figure(measured, processor, percent_above("empty")))
        ),
        "services_run": {
            "rounds": rounds,
            "seconds": seconds,
            "spread": spreads(rates),
            "calls_seen": {kind: round(count.median) for kind, count in counts["calls"].items()},
            "calls_lost": {kind: round(count.median) for kind, count in counts["lost"].items()},
        },
    }


def _processor(table: dict[str, Any]) -> dict[str, Any]:
    return {name.removesuffix(f" {PROCESSOR}"): row for name, row in table.items()}


def _latency(measured: Sequence[Round], name: str) -> dict[str, dict[str, float]]:
    """Probe -> which quantile -> milliseconds; nothing of what has none."""
    table = medians(by_figure(measured, [f"{name} {latency}" for latency in LATENCIES], itself))
    return {
        kind: {latency: table[f"{name} {latency}"][kind] for latency in LATENCIES}
        for kind in table.get(f"{name} {LATENCIES[0]}", {})
    }


def report(result: dict[str, Any]) -> list[str]:
    """Throughput, what is lost of it, and latency."""
    run = result["services_run"]
    kinds = list(next(iter(result["services"].values())))
    lines = [
        f"Requests a second, medians of {run['rounds']} interleaved rounds of "
        f"{run['seconds']:g} s each",
        f"{'':15}" + "".join(f"{kind:>11}" for kind in kinds),
    ]
    for name, row in result["services"].items():
        lines.append(f"{name:15}" + "".join(f"{row[kind]:11,.0f}" for kind in kinds))
    below_none = result["loss"]["percent_below_none"]
    lines += ["", *spread_table("% below none", below_none)]
    below_empty = result["loss"]["percent_below_empty"]
    lines += ["", *spread_table("% below empty", below_empty)]
    lines += ["", f"{'CPU µs/request':15}" + "".join(f"{kind:>11}" for kind in kinds)]
    for name, row in result["cpu_us_a_request"].items():
        lines.append(f"{name:15}" + "".join(f"{row[kind]:11,.1f}" for kind in kinds))
    lines += ["", *spread_table("CPU, % above empty", result["cpu_percent_above_empty"])]
    lines += ["", f"{'ms: p50 p99':15}" + "".join(f"{kind:>13}" for kind in kinds)]
    for name, latencies in result["latency"].items():
        texts = (f"{latencies[k]['p50_ms']:.2f} {latencies[k]['p99_ms']:.2f}" for k in kinds)
        lines.append(f"{name:15}" + "".join(f"{text:>13}" for text in texts))
    lost, seen = run["calls_lost"].get("stream", 0), run["calls_seen"].get("stream", 0)
    if seen:
        lines += ["", f"The stream lost {lost / seen:.1%} of its events for want of room."]
    return lines
