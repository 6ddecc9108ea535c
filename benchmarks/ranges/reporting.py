"""The result as text of 80 columns and as JSON."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ranges.judging import Verdict

WIDTH = 80
ONE_SECOND = 1.0


class FalseAlert(NamedTuple):
    """An alert of normal time.

    Attributes:
        service: of which workload.
        during: the operation that it came with; empty for load alone.
        bits: of it.
        explanation: its headline.
    """

    service: str
    during: str
    bits: float
    explanation: str


class Benign(NamedTuple):
    """What normal time cost.

    Attributes:
        hours: of all workloads together.
        budget: alerts that each workload may raise, such as ``1/week``.
        budgeted: alerts that this allows in so many hours.
        alerts: those that came.
        operations: workload -> operation -> how often it was done.
        unlearned: names of those that learning had not seen.
    """

    hours: float
    budget: str
    budgeted: float
    alerts: Sequence[FalseAlert]
    operations: Mapping[str, Mapping[str, int]]
    unlearned: Sequence[str]


def to_json(verdicts: Sequence[Verdict], benign: Benign) -> dict[str, Any]:
    """The result in types that JSON has.

    ``scenarios`` are those of which an intruder's coming could be seen, too; ``resident`` the
    others.
    """
    judged = [v for v in verdicts if not v.failure]
    return {
        "scenarios": [_scenario(v) for v in judged if not v.resident],
        "resident": [_scenario(v) for v in judged if v.resident],
        "benign": {
            "hours": round(benign.hours, 3),
            "alerts": len(benign.alerts),
            "budgeted_alerts": round(benign.budgeted, 3),
        },
    }


def _scenario(v: Verdict) -> dict[str, Any]:
    return {
        "name": v.name,
        "service": v.service,
        "novel": v.novel,
        "detected": v.detected,
        "signal": v.signal or None,
        "seconds": None if v.seconds is None else round(v.seconds, 3),
        "bits": v.bits,
        "explanation": v.explanation or None,
    }


def lines(verdicts: Sequence[Verdict], benign: Benign) -> Iterator[str]:
    """The result as people read it."""
    judged = [v for v in verdicts if not v.failure]
    coming = [v for v in judged if not v.resident]
    resident = [v for v in judged if v.resident]
    yield from _table("Intruders who come in while they are watched", coming)
    if resident:
        yield ""
        yield from _table("Implants that were inside before the watch began", resident)
    yield ""
    yield from normal_time(benign)
    for v in verdicts:
        if v.failure:
            yield from wrapped(f"Not judged: {v.service}: {v.name}: {v.failure}", "")


def _table(title: str, verdicts: Sequence[Verdict]) -> Iterator[str]:
    yield f"{title:50} {'signal':11} {'seconds':>7} {'bits':>9}"
    service = ""
    for v in verdicts:
        if v.service != service:
            service = v.service
            yield service
        name = textwrap.shorten(v.name, 48, placeholder="...")
        if v.detected:
            yield f"  {name:48} {v.signal:11} {v.seconds:7.2f} {v.bits:9.1f}"
            yield from wrapped(v.explanation, "    ")
        else:
            yield f"  {name:48} {'no alert' if v.novel else 'no alert, nothing new'}"
    yield from summary(verdicts)


def summary(judged: Sequence[Verdict]) -> Iterator[str]:
    """By service, and in all."""
    yield f"{'':12} scenarios  detected   new  detected  in 1 s"
    for service in dict.fromkeys(v.service for v in judged):
        yield _row(service, [v for v in judged if v.service == service])
    yield _row("all", judged)
    novel = [v for v in judged if v.novel]
    yield f"Detected {share(judged)} of all, {share(novel)} of what does anything new"


def share(verdicts: Sequence[Verdict]) -> str:
    """How many were detected, in percent."""
    found = sum(v.detected for v in verdicts)
    return f"{found / len(verdicts):.0%} ({found} of {len(verdicts)})" if verdicts else "none"


def normal_time(benign: Benign) -> Iterator[str]:
    """Alerts against the budget, and what they came with."""
    yield (
        f"Normal time: {benign.hours:.2f} h of workloads; {len(benign.alerts)} alerts, "
        f"{benign.budgeted:.2g} allowed by {benign.budget}"
    )
    for service, operations in sorted(benign.operations.items()):
        done = ", ".join(f"{times} {name}" for name, times in operations.items())
        yield from wrapped(f"{service}: {done}", "  ")
    yield from wrapped(f"Never seen in learning: {', '.join(benign.unlearned)}", "  ")
    for alert in benign.alerts:
        during = f"during {alert.during}" if alert.during else "under load alone"
        yield from wrapped(
            f"{alert.service}, {during}: {alert.bits:.1f} bits: {alert.explanation}", "    "
        )


def wrapped(text: str, indent: str) -> list[str]:
    """Text in lines of at most 80 columns."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_long_words=True
    )


def _row(name: str, verdicts: Sequence[Verdict]) -> str:
    novel = [v for v in verdicts if v.novel]
    in_time = sum(v.seconds is not None and v.seconds <= ONE_SECOND for v in novel)
    return (
        f"{name:12} {len(verdicts):9} {sum(v.detected for v in verdicts):9} {len(novel):5} "
        f"{sum(v.detected for v in novel):9} {in_time:7}"
    )
