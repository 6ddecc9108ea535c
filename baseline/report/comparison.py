"""A comparison of two models: a page of text, and the same for machines."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from baseline.fitting import page
from baseline.model.comparison import SHIFTING, Comparison, Difference
from baseline.model.score import NOVELTIES, Call, Signal
from baseline.model.share_changes import Shift
from baseline.model.workload_model import WorkloadModel
from baseline.moments import iso_time

LISTED = 5
"""Items of each signal that a page lists."""

_NAMES = {
    Signal.EXECUTIONS: "programs",
    Signal.CONNECTIONS_OUT: "peers out",
    Signal.CONNECTIONS_IN: "peers in",
    Signal.CALLS: "calls",
    Signal.NGRAMS: "n-grams",
    Signal.VOLUMES: "calls",
}
_OCCURRENCES = {
    Signal.EXECUTIONS: "start",
    Signal.CONNECTIONS_OUT: "connection",
    Signal.CONNECTIONS_IN: "connection",
    Signal.VOLUMES: "call",
}


def comparison_page(comparison: Comparison) -> str:
    """A page of text, at most 80 columns wide, with nothing in it that a terminal could obey."""
    return f"{page(_lines(comparison))}\n"


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """The comparison in types that JSON has, with all items, heaviest first.

    docs/alert-format.md has its keys, which stay.
    """
    return {
        "workload": comparison.after.workload,
        "before": _model(comparison.before),
        "after": _model(comparison.after),
        "new": _differences(comparison.new),
        "gone": _differences(comparison.gone),
        "shifted": {
            signal.value: {
                "bits": _short(shift.bits),
                "beyond_sampling": shift.beyond_sampling,
                "items": [
                    {
                        "description": change.description,
                        "before": _short(change.before),
                        "after": _short(change.after),
                        "bits": _short(change.bits),
                        "p_value": _short(change.p_value),
                    }
                    for change in shift.changes
                ],
            }
            for signal, shift in comparison.shifts.items()
        },
        "budget": str(comparison.before.budget),
        "alerts": [
            {
                "start": iso_time(group.time),
                "bits": round(group.bits, 2),
                "items": [d.description for d in group.items],
            }
            for group in comparison.alerts
        ],
    }


def _model(model: WorkloadModel) -> dict[str, Any]:
    return {
        "workload": model.workload,
        "start": iso_time(model.training.start),
        "end": iso_time(model.training.end),
        "windows": model.training.windows,
    }


def _differences(found: Mapping[Signal, Iterable[Difference]]) -> dict[str, Any]:
    return {
        signal.value: [
            {"description": d.description, "bits": round(d.bits, 2), "count": d.count}
            for d in differences
        ]
        for signal, differences in found.items()
    }


def _short(number: float) -> float:
    return float(f"{number:.4g}")


def _lines(comparison: Comparison) -> Iterator[str]:
    before, after = comparison.before, comparison.after
    if before.workload == after.workload:
        yield after.workload
    else:
        yield f"{before.workload} (A), {after.workload} (B)"
    for name, model in (("A", before), ("B", after)):
        training = model.training
        yield (
            f"  {name}  {_minute(training.start)} to {_minute(training.end)} UTC, "
            f"{training.windows:,} windows"
        )
    yield ""
    yield from _unknown("New in B, and what it is to A", comparison.new)
    yield ""
    yield from _unknown("Gone from A, and what it would be to B", comparison.gone)
    yield ""
    yield "Shifted, of what both know"
    for signal in sorted(SHIFTING, key=list(_NAMES).index):
        yield from _shifted(signal, comparison.shifts[signal])
    yield ""
    yield from _alerts(comparison)


def _unknown(title: str, found: Mapping[Signal, Sequence[Difference]]) -> Iterator[str]:
    yield f"{title:44}    items      bits"
    for signal in sorted(NOVELTIES, key=list(_NAMES).index):
        differences = found[signal]
        bits = sum(d.bits for d in differences)
        yield f"  {_NAMES[signal]:42} {len(differences):8,} {bits:9,.1f}"
        for difference in differences[:LISTED]:
            yield f"    {difference.bits:6.1f}  {difference.description}"
        if len(differences) > LISTED:
            yield f"            and {len(differences) - LISTED:,} more"


def _shifted(signal: Signal, shift: Shift) -> Iterator[str]:
    name, one = _NAMES[signal], _OCCURRENCES[signal]
    if not shift.changes:
        yield f"  {name:11} nothing is known to both"
        return
    chance = f"{shift.beyond_sampling:,} of {len(shift.changes):,} {name} beyond sampling"
    yield f"  {name:11} {shift.bits:.4f} bits a {one}; {chance}"
    certain = sorted(shift.changes, key=lambda change: not change.is_beyond_sampling)
    for change in certain[: max(min(shift.beyond_sampling, LISTED), 1)]:
        told = "beyond sampling" if change.is_beyond_sampling else "within sampling"
        if change.before != change.after:
            yield (
                f"    {change.bits:6.4f}  {change.before:.2%} to {change.after:.2%}, "
                f"{told}: {change.description}"
            )


def _alerts(comparison: Comparison) -> Iterator[str]:
    budget, alerts = comparison.before.budget, comparison.alerts
    if not alerts:
        yield f"Nothing new in B would have been an alert for A at {budget}."
        return
    times = "once" if len(alerts) == 1 else f"{len(alerts):,} times"
    yield f"New in B, and an alert for A at {budget}: {times}"
    for group in alerts[:LISTED]:
        more = f", and {len(group.items) - 1:,} more" if len(group.items) > 1 else ""
        leading = min(group.items, key=_telling)
        when = iso_time(group.time, "seconds")
        yield f"  {when}  {group.bits:5.1f} bits{more}: {leading.description}"
    if len(alerts) > LISTED:
        yield f"  and {len(alerts) - LISTED:,} more"


def _telling(difference: Difference) -> tuple[bool, bool, float]:
    """Programs and peers say more than calls, and these than their order, whatever their bits."""
    item = difference.item
    return isinstance(item, int), isinstance(item, Call), -difference.bits


def _minute(nanoseconds: int) -> str:
    return f"{datetime.fromtimestamp(nanoseconds // 10**9, UTC):%Y-%m-%d %H:%M}"
