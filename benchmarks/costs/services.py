"""What real services lose: requests a second, and how long one takes, under each probe.

A probe takes a percent or two, and a shared machine swings by more from one second to the next.  So
a service works for a slice of half a second at a time, and between slices the probes are put on
their hooks and taken away.  A *round* of a service is six slices: two under the empty probe and two
under `baseline` next to each other, in orders that a steady drift does not favour, with one under
no probe and one under the stream beside them.  bpftrace cannot be taken away and put back: it is
started in rounds of its own, which are fewer.  Only slices of one round are compared.  A slice
before them is thrown away: a service that has just had a pause is slower.

Each probe that counts has to see about as many calls for a request as the others: one that sees
less does less, and is cheaper for that.
"""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import fmean
from typing import Any, Self

from baseline.errors import KernelError
from costs.cpus import processor_seconds
from costs.loads import Load, loads
from costs.needed import require
from costs.probes import Bpftrace, Empty, Nothing, Probe, Seen, Stream
from costs.reporting import spread_table
from costs.rounds import (
    FigureOf,
    Figures,
    Round,
    Spread,
    by_figure,
    itself,
    medians,
    once_more,
    percent_above,
    percent_below,
    single,
    spreads,
)
from costs.switching import Switched
from costs.targets import mean_row

ROUNDS, SHORT_ROUNDS = 20, 1
ROUNDS_FOR_ONE_OF_BPFTRACE = 3
"""So that there are enough of them for an interval."""
CALLS_MAY_DIFFER = 1.5
"""Calls for a request that one probe sees, at most so many times those that another sees: how many
requests redis takes from one call to the next varies by a fifth."""
SECONDS, SHORT_SECONDS = 0.4, 0.2
SETTLING_SECONDS = 0.05
"""After a probe was put on its hook."""

SWITCHED: tuple[type[Probe], ...] = (Nothing, Empty, Switched, Stream)
ORDERS = (
    ("none", "empty", "baseline", "baseline", "empty", "stream"),
    ("stream", "baseline", "empty", "empty", "baseline", "none"),
)
"""Of the slices of a round, in turn."""
ORDER_OF_BPFTRACE = ("none", "empty", "bpftrace", "bpftrace", "empty", "none")
COLUMNS = ("none", "empty", "baseline", "bpftrace", "stream")

LATENCIES = ("p50_ms", "p99_ms")
PROCESSOR = "cpu_us"
"""Microseconds of processor time that the service takes for a request."""


class Slices:
    """The probes, loaded while the context lasts, and on their hooks in their slices alone.

    Args:
        seconds: of a slice.

    Attributes:
        seen: probe -> what it saw; of most only once the context has ended.
        requests, calls: (load, probe) -> how many there were, and what the probe saw in them.
    """

    def __init__(self, seconds: float) -> None:
        self.seen: dict[str, Seen] = {}
        self._seconds = seconds
        self._probes: dict[str, Probe] = {}
        self.requests: Counter[tuple[str, str]] = Counter()
        self.calls: Counter[tuple[str, str]] = Counter()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for kind in SWITCHED:
                probe = stack.enter_context(kind())
                probe.pause()
                self._probes[kind.name] = probe
            self._stack = stack.pop_all()
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        self._stack.close()
        if not failure:
            for name, probe in self._probes.items():
                self._account(probe, sum(n for (_, k), n in self.requests.items() if k == name))

    def round(self, load: Load, order: Sequence[str]) -> Round:
        """A slice after the other; of each probe the means of its slices.

        Raises:
            BaselineError: the load failed, or a probe did not see what was called.
        """
        slices: dict[str, list[Figures]] = {}
        load.run(self._seconds)
        for kind, same in itertools.groupby(order):
            measured = self._under(kind, load, len(list(same)))
            slices.setdefault(kind, []).extend(measured)
        return {
            kind: {name: fmean(figures[name] for figures in measured) for name in measured[0]}
            for kind, measured in slices.items()
        }

    def require_equal_work(self) -> None:
        """Insist that all probes that count saw about as many calls for a request.

        Raises:
            KernelError: they did not.
        """
        for load, row in self.calls_a_request().items():
            if max(row.values()) > CALLS_MAY_DIFFER * min(row.values()):
                counts = ", ".join(f"{kind} {count:.2f}" for kind, count in row.items())
                raise KernelError(
                    f"Probes saw different numbers of calls for a request of {load}: {counts}",
                    "Their costs are those of different work: do not compare them",
                )

    def calls_a_request(self) -> dict[str, dict[str, float]]:
        """Load -> probe that counts -> calls that it saw for a request, until now."""
        found: dict[str, dict[str, float]] = {}
        for (load, kind), calls in self.calls.items():
            found.setdefault(load, {})[kind] = calls / self.requests[load, kind]
        return found

    def _under(self, kind: str, load: Load, number: int) -> list[Figures]:
        """So many slices under a probe; what it saw of them is noted."""
        if kind == Bpftrace.name:
            with Bpftrace() as bpftrace:
                results = [self._slice(load) for _ in range(number)]
            requests = sum(count for _, count in results)
            # It sees the whole machine.
            calls = sum(bpftrace.by_name[thread] for thread in load.threads)
            self._account(bpftrace, requests)
        else:
            probe = self._probes[kind]
            before = sum(probe.seen or ())
            with self._attached(probe):
                results = [self._slice(load) for _ in range(number)]
            requests = sum(count for _, count in results)
            calls = sum(probe.seen or ()) - before
        self.requests[load.name, kind] += requests
        if kind not in (Nothing.name, Empty.name):
            self.calls[load.name, kind] += calls
        return [figures for figures, _ in results]

    def _slice(self, load: Load) -> tuple[Figures, int]:
        """What is said of a slice, and how many requests it had."""
        before = processor_seconds(load.cgroup)
        result = load.run(self._seconds)
        used = processor_seconds(load.cgroup) - before
        figures = {load.name: result.rate, f"{load.name} {PROCESSOR}": 1e6 * used / result.requests}
        for latency in LATENCIES:
            if milliseconds := getattr(result, latency):
                figures[f"{load.name} {latency}"] = milliseconds
        return figures, result.requests

    @contextmanager
    def _attached(self, probe: Probe) -> Iterator[None]:
        probe.resume()
        try:
            time.sleep(SETTLING_SECONDS)
            yield
        finally:
            probe.pause()

    def _account(self, probe: Probe, requests: int) -> None:
        probe.require(requests)  # each is one call at least
        if probe.seen:
            counted, lost = self.seen.get(probe.name, Seen(0))
            self.seen[probe.name] = Seen(counted + probe.seen.counted, lost + probe.seen.lost)


def measure(*, rounds: int | None, short: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Requests a second by load and probe: the medians, and what is lost to each probe.

    Raises:
        BaselineError: a service or a load failed, or a probe did not run or missed calls.
    """
    require("bpftrace")
    rounds = rounds or (SHORT_ROUNDS if short else ROUNDS)
    seconds = SHORT_SECONDS if short else SECONDS
    measured: list[Round] = []
    with_bpftrace: list[Round] = []
    with loads() as services:
        for load in services:
            say(f"warming up: {load.name}")
            load.run(seconds)

        def all_in(order: Sequence[str]) -> Round:
            found: dict[str, dict[str, float]] = {kind: {} for kind in order}
            for load in services:
                for kind, figures in once_more(partial(slices.round, load, order), say).items():
                    found[kind].update(figures)
            return found

        with Slices(seconds) as slices:
            for number in range(rounds):
                say(f"round {number + 1} of {rounds}")
                measured.append(all_in(ORDERS[number % len(ORDERS)]))
                if number % ROUNDS_FOR_ONE_OF_BPFTRACE == 0:
                    with_bpftrace.append(all_in(ORDER_OF_BPFTRACE))
                    slices.require_equal_work()
            slices.require_equal_work()

    def said(names: Sequence[str], figure_of: FigureOf) -> dict[str, dict[str, Spread]]:
        usual = by_figure(measured, names, figure_of)
        of_bpftrace = by_figure(with_bpftrace, names, figure_of)
        return {
            name: {
                kind: table[name][kind]
                for kind in COLUMNS
                if kind in (table := of_bpftrace if kind == Bpftrace.name else usual)[name]
            }
            for name in usual
        }

    names = [load.name for load in services]
    processor = [f"{name} {PROCESSOR}" for name in names]
    rates = said(names, itself)
    return {
        "rounds": rounds,
        "services": medians(rates),
        "latency": {name: table for name in names if (table := _latency(name, said))},
        "loss": {
            f"percent_below_{reference}": spreads(said(names, percent_below(reference)))
            for reference in ("none", "empty")
        },
        "cpu_us_a_request": _processor(medians(said(processor, itself))),
        "cpu_percent_above_empty": _processor(spreads(said(processor, percent_above("empty")))),
        "services_run": {
            "rounds": rounds,
            "rounds_of_bpftrace": len(with_bpftrace),
            "seconds": seconds,
            "measured": single(measured),
            "measured_with_bpftrace": single(with_bpftrace),
            "calls_a_request": slices.calls_a_request(),
            "spread": spreads(rates),
            "calls_seen": {kind: sum(seen) for kind, seen in slices.seen.items()},
            "calls_lost": {kind: seen.lost for kind, seen in slices.seen.items()},
        },
    }


def _processor(table: dict[str, Any]) -> dict[str, Any]:
    return {name.removesuffix(f" {PROCESSOR}"): row for name, row in table.items()}


def _latency(
    name: str, said: Callable[[Sequence[str], FigureOf], Mapping[str, Mapping[str, Spread]]]
) -> dict[str, dict[str, float]]:
    """Probe -> which quantile -> milliseconds; nothing of what has none."""
    table = medians(said([f"{name} {latency}" for latency in LATENCIES], itself))
    return {
        kind: {latency: table[f"{name} {latency}"][kind] for latency in LATENCIES}
        for kind in table.get(f"{name} {LATENCIES[0]}", {})
    }


def report(result: dict[str, Any]) -> list[str]:
    """Throughput, what is lost of it, and latency."""
    run = result["services_run"]
    kinds = list(next(iter(result["services"].values())))
    lines = [
        f"Requests a second, medians of {run['rounds']} rounds (bpftrace: "
        f"{run['rounds_of_bpftrace']}) of slices",
        f"of {run['seconds']:g} s; ± is half of the interval that holds the median with 95 %",
        f"{'':15}" + "".join(f"{kind:>11}" for kind in kinds),
    ]
    for name, row in result["services"].items():
        lines.append(f"{name:15}" + "".join(f"{row[kind]:11,.0f}" for kind in kinds))
    for reference in ("none", "empty"):
        loss = result["loss"][f"percent_below_{reference}"]
        with_mean = {**loss, "mean": mean_row(loss)}
        lines += ["", *spread_table(f"% below {reference}", with_mean)]
    lines += ["", f"{'CPU µs/request':15}" + "".join(f"{kind:>11}" for kind in kinds)]
    for name, row in result["cpu_us_a_request"].items():
        lines.append(f"{name:15}" + "".join(f"{row[kind]:11,.1f}" for kind in kinds))
    lines += ["", *spread_table("CPU, % above empty", result["cpu_percent_above_empty"])]
    lines += ["", f"{'ms: p50 p99':15}" + "".join(f"{kind:>13}" for kind in kinds)]
    for name, latencies in result["latency"].items():
        texts = (f"{latencies[k]['p50_ms']:.2f} {latencies[k]['p99_ms']:.2f}" for k in kinds)
        lines.append(f"{name:15}" + "".join(f"{text:>13}" for text in texts))
    if calls := run.get("calls_a_request"):
        counting = list(next(iter(calls.values())))
        lines += ["", f"{'calls/request':15}" + "".join(f"{kind:>11}" for kind in counting)]
        for name, row in calls.items():
            lines.append(f"{name:15}" + "".join(f"{row[kind]:11,.2f}" for kind in counting))
    lost, seen = run["calls_lost"].get("stream", 0), run["calls_seen"].get("stream", 0)
    if seen:
        lines += ["", f"The stream lost {lost / seen:.1%} of its events for want of room."]
    return lines
