"""What a model knows, and how complete it is, in a page of text."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
from rich.cells import set_cell_size

from baseline.model.connections import ConnectionModel
from baseline.model.executions import ExecutionModel
from baseline.model.ngrams import NgramModel
from baseline.model.workload_model import BUDGET_PER_WEEK, WorkloadModel
from baseline.printable import printable
from baseline.syscalls import symbol_name, unpack
from baseline.window import Signal

MOST_FALSE_ALARMS = 1000
"""In a week; more than that is no estimate, only a sign that learning was far too short."""

_LISTED = 8
_WIDTH = 79
_NAMES = {
    Signal.NGRAMS: "n-grams",
    Signal.EXECUTIONS: "executions",
    Signal.CONNECTIONS: "connections",
}


def describe(model: WorkloadModel) -> str:
    """A page of text, at most 80 columns wide, with nothing in it that a terminal could obey."""
    return "\n".join(map(_fitted, _lines(model))) + "\n"


def _fitted(line: str) -> str:
    return set_cell_size(printable(line), _WIDTH).rstrip()


def _lines(model: WorkloadModel) -> Iterator[str]:
    training = model.training
    yield f"{model.workload} ({model.architecture})"
    yield ""
    yield f"Learned  {_time(training.start)} to {_time(training.end)} UTC"
    replicas = f", {training.replicas} replicas" if training.replicas > 1 else ""
    yield f"         {training.windows:,} windows, {_duration(training.observed / 1e9)}{replicas}"
    ledger = training.ledger
    yield f"Ledger   {_losses(ledger.lost, ledger.adds_up)}"
    yield ""
    yield from _completeness(model)
    yield ""
    yield from _thresholds(model)
    yield ""
    yield from _listing("System calls", _syscalls(model), "calls")
    programs, peers = programs_and_peers(model)
    yield from _listing("Programs", programs, "times")
    yield from _listing("Peers", peers, "times")


def _completeness(model: WorkloadModel) -> Iterator[str]:
    yield "Completeness  distinct  seen once  new an hour  windows with anything new"
    hour = model.training.windows_per_week / (7 * 24)
    for signal, name in _NAMES.items():
        seen = model.signals[signal].completeness
        surprising = float(np.mean(model.held_out[signal] > 0))
        yield (
            f"  {name:11} {seen.items:9,} {seen.singletons:10,} "
            f"{seen.new_per_window * hour:12,.0f} {surprising:15.1%}"
        )
    yield "  Seen once: in one window. New an hour: to expect, from those (Good-Turing)."


def _thresholds(model: WorkloadModel) -> Iterator[str]:
    yield "Alert from    bits  highest in held-out time"
    for signal, name in _NAMES.items():
        highest = model.calibrations[signal].highest
        yield f"  {name:11} {model.thresholds[signal]:5.1f} {highest:12.1f}"
    expected = model.false_alarms_per_week
    if expected <= BUDGET_PER_WEEK * 1.01:
        yield f"  Supports the budget of {BUDGET_PER_WEEK:g} false alarm a week."
    else:
        yield (
            f"  Too short for the budget of {BUDGET_PER_WEEK:g} false alarm a week: "
            + (
                f"up to {expected:,.0f} may come."
                if expected <= MOST_FALSE_ALARMS
                else "learn longer."
            )
        )


def _listing(title: str, counts: Counter[str], unit: str) -> Iterator[str]:
    yield f"{title} ({len(counts)})"
    width = max((len(f"{count:,}") for count in counts.values()), default=0)
    for name, count in sorted(counts.items(), key=lambda c: (-c[1], c[0]))[:_LISTED]:
        yield f"  {count:{width},} {unit}  {name}"
    if len(counts) > _LISTED:
        yield f"  ... and {len(counts) - _LISTED} more"
    if not counts:
        yield "  none"


def _syscalls(model: WorkloadModel) -> Counter[str]:
    ngrams = model.signals[Signal.NGRAMS]
    if not isinstance(ngrams, NgramModel):
        return Counter()
    counts: Counter[str] = Counter()
    last = unpack(ngrams.calls.ngrams)[:, -1]
    for symbol, calls in zip(last.tolist(), ngrams.calls.counts.tolist(), strict=True):
        counts[symbol_name(symbol, model.architecture)] += calls
    return counts


def programs_and_peers(model: WorkloadModel) -> tuple[Counter[str], Counter[str]]:
    """The executions and the connections that were seen, as people write them, with counts."""
    programs: Counter[str] = Counter()
    peers: Counter[str] = Counter()
    for signal_model in model.signals.values():
        if isinstance(signal_model, ExecutionModel):
            programs.update({signal_model.describe(i): n for i, n in signal_model.counts.items()})
        elif isinstance(signal_model, ConnectionModel):
            peers.update({signal_model.describe(i): n for i, n in signal_model.counts.items()})
    return programs, peers


def _losses(lost: int, adds_up: bool) -> str:
    losses = f"{lost:,} events lost" if lost else "nothing lost"
    return f"{losses}, {'every count accounted for' if adds_up else 'DOES NOT ADD UP'}"


def _time(nanoseconds: int) -> str:
    return f"{datetime.fromtimestamp(nanoseconds / 1e9, UTC):%Y-%m-%d %H:%M:%S}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
