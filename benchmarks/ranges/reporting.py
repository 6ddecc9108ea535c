"""The result as text of 80 columns and as JSON, which holds all that the text says."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ranges.judging import Kind, Line, Verdict

WIDTH = 80
ONE_SECOND = 1.0
TITLES = {
    Kind.WAY_IN: "Ways in through features of the services",
    Kind.HELPER: "Helpers that are started inside",
    Kind.IMPLANT: "Implants that were inside before the watch",
}


class Benign(NamedTuple):
    """What normal time cost.

    Attributes:
        minutes: that it lasted.
        hours: of all workloads together.
        budget: alerts that each workload may raise, such as ``1/week``.
        budgeted: alerts that this allows in so many hours.
        lines: those that came.
        operations: workload -> operation -> how often it was done.
        failed: the same of those that had no effect.
        unlearned: names of those that learning had not seen.
    """

    minutes: float
    hours: float
    budget: str
    budgeted: float
    lines: Sequence[Line]
    operations: Mapping[str, Mapping[str, int]]
    failed: Mapping[str, Mapping[str, int]]
    unlearned: Sequence[str]

    @property
    def alerts(self) -> int:
        """How many came, those without a line of their own, too."""
        return sum(line.alerts for line in self.lines)

    @property
    def incidents(self) -> int:
        """In how many incidents."""
        return sum(line.opened for line in self.lines)


class Result(NamedTuple):
    """What came of a run.

    Attributes:
        date: of its end, as ISO 8601 has it.
        learned: minutes of learning.
        verdicts: of all scenarios, those of a service together.
        benign: what normal time cost.
        outside: lines of the time of the scenarios that are about none of them.
    """

    date: str
    learned: float
    verdicts: Sequence[Verdict]
    benign: Benign
    outside: Sequence[Line] = ()


def to_json(result: Result) -> dict[str, Any]:
    """The result in types that JSON has.

    ``scenarios`` are those of which an intruder's coming could be seen, too; ``resident`` the
    others; ``not_judged`` those that had no effect.
    """
    judged = [v for v in result.verdicts if not v.failure]
    benign = result.benign
    return {
        "date": result.date,
        "learned_minutes": result.learned,
        "scenarios": [_scenario(v) for v in judged if v.kind != Kind.IMPLANT],
        "resident": [_scenario(v) for v in judged if v.kind == Kind.IMPLANT],
        "not_judged": [_scenario(v) for v in result.verdicts if v.failure],
        "benign": {
            "minutes": benign.minutes,
            "hours": round(benign.hours, 3),
            "alerts": benign.alerts,
            "incidents": benign.incidents,
            "budget": benign.budget,
            "budgeted_alerts": round(benign.budgeted, 3),
            "false_alerts": [line._asdict() for line in benign.lines],
            "operations": benign.operations,
            "failed_operations": benign.failed,
            "unlearned": list(benign.unlearned),
        },
        "outside_of_scenarios": [line._asdict() for line in result.outside],
    }


def from_json(stored: Mapping[str, Any]) -> Result:
    """The inverse of :func:`to_json`, but for what is rounded."""
    benign = stored["benign"]
    scenarios = [*stored["scenarios"], *stored["resident"], *stored["not_judged"]]
    return Result(
        stored["date"],
        stored["learned_minutes"],
        [Verdict(**s | {"others": tuple(Line(**line) for line in s["others"])}) for s in scenarios],
        Benign(
            benign["minutes"],
            benign["hours"],
            benign["budget"],
            benign["budgeted_alerts"],
            [Line(**line) for line in benign["false_alerts"]],
            benign["operations"],
            benign["failed_operations"],
            benign["unlearned"],
        ),
        [Line(**line) for line in stored["outside_of_scenarios"]],
    )


def _scenario(v: Verdict) -> dict[str, Any]:
    return v._asdict() | {
        "seconds": None if v.seconds is None else round(v.seconds, 3),
        "watched": round(v.watched, 3),
        "others": [line._asdict() for line in v.others],
    }


def lines(result: Result) -> Iterator[str]:
    """The result as people read it."""
    yield (
        f"Learned for {result.learned:g} minutes, then {result.benign.minutes:g} minutes of normal "
        f"time; {result.date}"
    )
    for kind, title in TITLES.items():
        judged = [v for v in result.verdicts if v.kind == kind and not v.failure]
        if judged:
            yield from _table(title, judged)
            if result.benign.hours:
                yield by_chance(judged, result.benign)
            yield ""
    yield from normal_time(result.benign)
    alerts = sum(line.alerts for line in result.outside)
    yield f"Outside of scenarios, while these were played: {alerts} alerts"
    for line in result.outside:
        yield from wrapped(_told(line, line.service), "    ")
    for v in result.verdicts:
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
        novelty = "" if v.novel else ", nothing new"
        if not v.novelty_known:
            novelty = ", novelty unknown"
        if v.detected:
            yield f"  {name:48} {v.signal:11} {v.seconds:7.2f} {v.bits:9.1f}{novelty}"
            yield from wrapped(v.explanation or "", "    ")
        else:
            yield f"  {name:48} no alert{novelty}"
        for line in v.others:
            yield from wrapped(_told(line, "another alert"), "    ")
    yield from summary(verdicts)


def summary(judged: Sequence[Verdict]) -> Iterator[str]:
    """By service, and in all."""
    yield f"{'':12} scenarios  detected   new  detected  in 1 s"
    for service in dict.fromkeys(v.service for v in judged):
        yield _row(service, [v for v in judged if v.service == service])
    yield _row("all", judged)
    novel = [v for v in judged if v.novel]
    yield f"Detected {share(judged)} of all, {share(novel)} of what does anything new"


def by_chance(judged: Sequence[Verdict], benign: Benign) -> str:
    """How many alerts normal time would have brought in the time of these scenarios."""
    seconds = sum(v.watched for v in judged)
    expected = benign.alerts / benign.hours * seconds / 3600
    return f"By chance: {expected:.1f} alerts in the {seconds / 60:.0f} minutes of these scenarios"


def share(verdicts: Sequence[Verdict]) -> str:
    """How many were detected, in percent."""
    found = sum(v.detected for v in verdicts)
    return f"{found / len(verdicts):.0%} ({found} of {len(verdicts)})" if verdicts else "none"


def normal_time(benign: Benign) -> Iterator[str]:
    """Alerts against the budget, and what they came with."""
    yield (
        f"Normal time: {benign.hours:.2f} h of workloads; {benign.alerts} alerts in "
        f"{benign.incidents} incidents,"
    )
    yield f"{benign.budgeted:.2g} alerts allowed by {benign.budget}"
    for service, operations in sorted(benign.operations.items()):
        yield from wrapped(f"{service}: {_counts(operations)}", "  ")
    for service, operations in sorted(benign.failed.items()):
        yield from wrapped(f"{service}, without effect: {_counts(operations)}", "  ")
    yield from wrapped(f"Never seen in learning: {', '.join(benign.unlearned)}", "  ")
    for line in benign.lines:
        during = f"during {line.during}" if line.during else "under load alone"
        more = "" if line.opened else ", of the same incident"
        yield from wrapped(_told(line, f"{line.service}, {during}{more}"), "    ")


def _counts(operations: Mapping[str, int]) -> str:
    return ", ".join(f"{times} {name}" for name, times in operations.items())


def _told(line: Line, what: str) -> str:
    count = "" if line.alerts == 1 else f" ({line.alerts} alerts)"
    return f"{what}{count}: {line.bits:.1f} bits: {line.explanation}"


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
