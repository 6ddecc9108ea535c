"""How incidents go on and end, as text for people, 80 columns wide."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from baseline.alerts.alert import Alert, Reason
from baseline.alerts.incident import Report
from baseline.moments import iso_time
from baseline.printable import printable
from baseline.window import Connection, Execution

_NAMED = 2
_LEFT = "first sights left to their window"

_LENGTHS = ((3600, "h"), (60, "min"), (1, "s"))


def update_of(report: Report, alert: Alert) -> RenderableType:
    """An update in short: what is new, by whom, and what the incident came to so far."""
    title = Text.assemble(
        (printable(report.workload), "bold"),
        f"  {iso_time(alert.time, 'milliseconds')}  alert {alert.id}, more of {report.incident}",
    )
    score = alert.score
    facts = [f"{score.bits:.1f} bits, threshold {score.threshold:.1f}"]
    if alert.reason == Reason.WHOLLY_NEW:
        facts.append("new in every way")
    if process := alert.process:
        facts.append(printable(f"{process.comm}, pid {process.pid}"))
    facts.append(_so_far(report))
    headline = Text(printable(alert.headline), "red")
    for what in _also_new(alert):
        headline.append(f"\n{printable(what)}")
    return _lines(title, headline, "; ".join(facts))


def _also_new(alert: Alert) -> Iterator[str]:
    """Peers, clients and programs that learning never saw, but for what the headline names."""
    leading = alert.leading.item
    items = [item for item in alert.unseen if item != leading]
    connections = [item for item in items if isinstance(item, Connection)]
    peers, clients = (
        sorted(str(item) for item in connections if item.direction == direction)
        for direction in ("out", "in")
    )
    programs = sorted({str(item.image) for item in items if isinstance(item, Execution)})
    for what, names in (("peer", peers), ("client", clients), ("program", programs)):
        if names:
            more = f" and {len(names) - _NAMED} more" * (len(names) > _NAMED)
            yield f"new {what}: {', '.join(names[:_NAMED])}{more}"


def end_of(report: Report) -> RenderableType:
    """The end of an incident."""
    title = Text.assemble(
        (printable(report.workload), "bold"),
        f"  {iso_time(report.time, 'milliseconds')}  closed: {report.incident}, quiet for "
        f"{_length(report.time - report.end)}",
    )
    facts = f"in {_length(report.end - report.start)} {_so_far(report)}"
    return _lines(title, Text(printable(report.headline)), facts)


def _lines(title: Text, headline: Text, facts: str) -> RenderableType:
    below = Group(headline, Text(facts, "dim"))
    return Group(title, Padding(below, (0, 0, 1, 2)))


def _so_far(report: Report) -> str:
    counts = report.counts
    return ", ".join(
        [
            f"{counts.alerts:,} alert{'s' * (counts.alerts != 1)} of at most "
            f"{report.severity:.1f} bits",
            *_held_back(report),
        ]
    )


def _held_back(report: Report) -> Iterator[str]:
    counts = report.counts
    for number, one, more in (
        (counts.held_back, "not told", "not told"),
        (counts.folded_windows, "window folded", "windows folded"),
        (counts.folded_items, "new item in them", "new items in them"),
        (counts.folded_sightings, "first sight left to its window", _LEFT),
    ):
        if number:
            yield f"{number:,} {one if number == 1 else more}"


def _length(nanoseconds: int) -> str:
    """``42 s``, ``10 min``, ``3 h``."""
    seconds = abs(nanoseconds) / 1e9
    length, unit = next((pair for pair in _LENGTHS if seconds >= 2 * pair[0]), _LENGTHS[-1])
    return f"{seconds / length:.0f} {unit}"
