"""What a model knows, and what to expect of it, in a page of text."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import numpy as np

from baseline.fitting import page
from baseline.model.call_volumes import level_range
from baseline.model.completeness import SignalCompleteness
from baseline.model.connections import ConnectionModel
from baseline.model.executions import ExecutionModel
from baseline.model.provenance import ACCEPTED, NOT_KNOWN
from baseline.model.score import PEERS, Signal
from baseline.model.volumes import VolumeModel
from baseline.model.workload_model import WorkloadModel
from baseline.moments import in_seconds
from baseline.syscalls import symbol_name
from baseline.window import Histogram

MOST_FALSE_ALARMS = 1000
"""In a week; more than that is no estimate, only a sign that learning was far too short."""

_LISTED = 8
_TAIL = 0.05
"""Part of the windows on either side of what is usual."""

_ROWS: tuple[tuple[str, Signal | None, Histogram | None], ...] = (
    ("n-grams", Signal.NGRAMS, Histogram.NGRAMS),
    ("calls", Signal.CALLS, None),
    ("executions", Signal.EXECUTIONS, Histogram.EXECUTIONS),
    ("connections", None, Histogram.CONNECTIONS),
    ("  inbound", Signal.CONNECTIONS_IN, None),
    ("  outbound", Signal.CONNECTIONS_OUT, None),
    ("volumes", Signal.VOLUMES, None),
)
"""What people call it, the signal that it is evidence in, and what says how complete it is."""


def describe(model: WorkloadModel) -> str:
    """A page of text, at most 80 columns wide, with nothing in it that a terminal could obey."""
    return f"{page(_lines(model))}\n"


def _lines(model: WorkloadModel) -> Iterator[str]:
    yield f"{model.workload} ({model.architecture})"
    yield ""
    yield from _training(model)
    yield ""
    yield from _knowledge(model)
    yield ""
    yield from _budget(model)
    yield ""
    yield from _volumes(model)
    programs, peers = programs_and_peers(model)
    provenance = model.provenance
    twice = any(note.startswith(ACCEPTED.format("")) for note in provenance.notes)
    explained = ", what was accepted counted twice" * twice
    yield from _listing("Programs", programs, explained)
    yield from _listing("Peers", peers, explained)
    for title, lines, number in (
        ("Quarantined", provenance.listed, provenance.kept_out),
        ("Notes", provenance.notes, len(provenance.notes)),
    ):
        if number:
            yield f"{title} ({number:,})"
            yield from (f"  {line}" for line in lines[:_LISTED])
            more = number - len(lines[:_LISTED])
            yield from [f"  ... and {more:,} more"] * (more > 0)


def _training(model: WorkloadModel) -> Iterator[str]:
    training = model.training
    yield f"Learned  {_time(training.start)} to {_time(training.end)} UTC"
    details = [f"{training.windows:,} windows", _duration(training.observed / 1e9)]
    if training.replicas > 1:
        details.append(f"{training.replicas:,} replicas")
    if len(training.spans) > 1:
        pauses = len(training.spans) - 1
        details.append(f"with {pauses:,} pause{'s' * (pauses > 1)}")
    yield f"         {', '.join(details)}"
    ledger = training.ledger
    yield f"Ledger   {_losses(ledger.lost, ledger.adds_up)}"
    completeness = model.provenance.completeness
    known = f"{completeness.state}: {completeness.reason}" if completeness else ""
    yield f"State    {known or f'unknown: {NOT_KNOWN}'}"


def _knowledge(model: WorkloadModel) -> Iterator[str]:
    """What is known, what is still to come, and what was news."""
    yield "Knows          distinct   new an hour (90 %)  surprised windows  highest, bits"
    completeness = model.provenance.completeness
    figures = completeness.signals if completeness else {}
    for name, signal, histogram in _ROWS:
        distinct = sum(model.signals[s].items for s in ([signal] if signal else PEERS))
        coming = _coming(figures[histogram]) if histogram and histogram in figures else ""
        line = f"  {name:11} {distinct:9,} {coming:>20}"
        if signal:
            surprised = float(np.mean(model.held_out.bits[signal] > 0))
            highest = model.combination.by_signal[signal].highest
            line += f" {surprised:18.1%} {highest:14,.1f}"
        yield line


def _coming(figures: SignalCompleteness) -> str:
    expected, low, high = figures.new_items(3600)
    return f"{_about(expected)} ({low:,}-{high:,})"


def _about(number: float) -> str:
    return f"{number:,.{0 if number >= 10 else 1}f}"


def _budget(model: WorkloadModel) -> Iterator[str]:
    """What is an alert, how many to expect, and how much of that is known from the recording."""
    budget, supported = model.budget, model.supported_budget
    beyond = budget.per_second < supported.per_second
    support = f"supports {supported} and extrapolates beyond" if beyond else "supports that"
    yield f"Budget   {budget}; the recording {support}"
    highest = float(model.combination.held_out_bits.max())
    in_training = f"held-out time has {highest:z.1f} at most"
    yield f"Alerts   from {model.threshold:.1f} bits of evidence; {in_training}"
    yield f"         from {model.shift_threshold:.1f} bits that windows in a row add up to"
    expected = model.false_alarms_per_week
    if expected > MOST_FALSE_ALARMS:
        yield f"Expect   more than {MOST_FALSE_ALARMS:,} false alarms a week: learn longer"
        return
    new = model.combination.wholly_new_p_value * model.training.windows_per_second
    why = ", mostly of new things: learn longer" if new > budget.per_second else ""
    yield f"Expect   about {_about(expected)} false alarms a week{why}"


def _volumes(model: WorkloadModel) -> Iterator[str]:
    calls = model.signals[Signal.VOLUMES]
    assert isinstance(calls, VolumeModel)  # noqa: S101 - for the type checker
    usual = usual_volumes(calls)
    if usual:
        what = f"and how many nine in ten windows of {in_seconds(calls.length / 1e9)} s make"
        volumes = {symbol: f"{low:,} to {high:,}" for symbol, (low, high) in usual.items()}
    else:
        what = "and their shares"
        total = int(calls.counts.sum())
        shares = zip(calls.symbols.tolist(), (calls.counts / max(total, 1)).tolist(), strict=True)
        volumes = {symbol: f"{share:.1%}" for symbol, share in shares}
    counts = Counter(dict(zip(calls.symbols.tolist(), calls.counts.tolist(), strict=True)))
    names = {
        symbol: f"{symbol_name(symbol, model.architecture):22} {volumes[symbol]}"
        for symbol in counts
    }
    yield from _listing(
        "System calls", Counter({names[s]: n for s, n in counts.items()}), f", {what}"
    )
    others = model.signals[Signal.CALLS].items - len(counts)
    if others > 0:
        yield f"  {others:,} more are known, but not how many of them are usual"


def usual_volumes(calls: VolumeModel) -> Mapping[int, tuple[int, int]]:
    """Call -> lowest and highest number of it that the middle nine tenths of the windows made.

    As exact as the bins of the model; empty where windows are of no single length.
    """
    pairs = calls.pairs
    if pairs is None:
        return {}
    shown = np.diag(pairs.windows)
    usual = {}
    for position, symbol in enumerate(calls.symbols.tolist()):
        states = pairs.call == position
        levels, share = pairs.level[states], np.cumsum(shown[states]) / shown[states].sum()
        low, high = np.searchsorted(share, [_TAIL, 1 - _TAIL])
        usual[symbol] = level_range(int(levels[low]))[0], level_range(int(levels[high]))[1]
    return usual


def _listing(title: str, counts: Mapping[str, int], explained: str = "") -> Iterator[str]:
    yield f"{title} ({len(counts)}){explained if counts else ''}"
    width = max((len(f"{count:,}") for count in counts.values()), default=0)
    for name, count in sorted(counts.items(), key=lambda c: (-c[1], c[0]))[:_LISTED]:
        yield f"  {count:{width},} time{'s' if count > 1 else ' '}  {name}"
    if len(counts) > _LISTED:
        yield f"  ... and {len(counts) - _LISTED} more"
    if not counts:
        yield "  none"


def programs_and_peers(model: WorkloadModel) -> tuple[Counter[str], Counter[str]]:
    """The executions and the connections that were seen, as people write them, with counts."""
    programs: Counter[str] = Counter()
    peers: Counter[str] = Counter()
    for signal in model.signals.values():
        if isinstance(signal, ExecutionModel):
            programs.update({signal.describe(i): o.times for i, o in signal.occurrences.items()})
        elif isinstance(signal, ConnectionModel):
            peers.update({signal.describe(i): o.times for i, o in signal.occurrences.items()})
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
