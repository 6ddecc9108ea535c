"""Alerts as text for people, 80 columns wide."""

import io
import math
import shlex
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from baseline.alerts.alert import Alert, RaisedBy, Reason
from baseline.alerts.incident import Event, Report
from baseline.alerts.incident_text import end_of, update_of
from baseline.interference import Interference
from baseline.model.score import LEAST_P_VALUE, Evidence
from baseline.moments import iso_time
from baseline.printable import printable
from baseline.sighting import Process
from baseline.window import Image

EVIDENCE_SHOWN = 5

LEAST_SHOWN = 0.05
"""Bits that do not round to none."""

LEAST_WIDTH = 40
"""Columns: in fewer, evidence would be left out. Better lines that the terminal breaks."""

COMMAND_SHOWN = 160
"""Characters of a command line: some three lines."""

_LENGTHS = (
    (365 * 86_400, "years"),
    (86_400, "days"),
    (3600, "hours"),
    (60, "minutes"),
    (1, "seconds"),
)


class TextSink:
    """Gives reports as text.

    The alert that opens an incident is written in full, its updates and its end in short.

    Args:
        put: takes the text of one alert.
        is_terminal: in colour.
    """

    def __init__(self, put: Callable[[str], object], *, is_terminal: bool = False) -> None:
        self._put = put
        self._is_terminal = is_terminal

    def write(self, report: Report) -> None:
        """Give one report."""
        self._print(_renderable_report(report))

    def write_interference(self, interference: Interference) -> None:
        """Tell that the counting was interfered with."""
        title = Text.assemble(
            ("tampering", "bold"), f"  {iso_time(interference.time, 'milliseconds')}"
        )
        what = Text(printable(interference.what), style="bold red")
        self._print(Padding(Group(_Title(title), what), (0, 0, 1, 0)))

    def _print(self, content: RenderableType) -> None:
        text = io.StringIO()
        console = Console(
            file=text,
            force_terminal=self._is_terminal,
            highlight=False,
            markup=False,
            emoji=False,
        )
        if console.width < LEAST_WIDTH:
            console.width = 80
        console.print(content)
        self._put("".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines()))


class _Title:
    """A title with a rule behind it; one that is too long for that is not cut, but wrapped."""

    def __init__(self, text: Text) -> None:
        self._text = text

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        has_room = self._text.cell_len + 2 <= options.max_width
        yield (
            Rule(self._text, align="left", style="red", characters="-") if has_room else self._text
        )


def _renderable_report(report: Report) -> RenderableType:
    if not report.alert:
        return end_of(report)
    if report.event == Event.OPENED:
        return renderable(report.alert)
    return update_of(report, report.alert)


def renderable(alert: Alert) -> RenderableType:
    """One alert, for a console without markup."""
    score = alert.score
    title = _Title(
        Text.assemble(
            (printable(alert.workload), "bold"),
            f"  {iso_time(alert.time, 'milliseconds')}  alert {alert.id}",
        )
    )
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row(
        "evidence",
        f"{score.bits:.1f} bits, threshold {score.threshold:.1f}: {_why(alert)}",
    )
    if alert.test == RaisedBy.SHIFT:
        facts.add_row(
            "lasting",
            f"too little in a window, together since {iso_time(alert.start, 'milliseconds')}",
        )
    if process := alert.process:
        facts.add_row("process", printable(f"{process.comm}, {_ids(process)}"))
        if process.arguments:
            facts.add_row("command", f"{_command(process)}  (from its own memory)")
        if process.lineage:
            facts.add_row("lineage", printable(_chain(process.lineage)))
    if container := alert.container:
        facts.add_row("container", printable(f"{container.short_id}  {container.name}".rstrip()))
    if alert.replica:
        facts.add_row("replica", printable(alert.replica))
    if alert.already_reported:
        items = _number(alert.already_reported, "item")
        facts.add_row("repeated", f"{items} reported before, left out of the score")
    if alert.folded:
        windows = _number(alert.folded, "window")
        facts.add_row("folded", f"{windows} that held nothing but reported items")
    headline = Text(printable(alert.headline), style="bold red")
    return Group(title, headline, Padding(Group(facts, Text(), _evidence(alert)), (0, 0, 1, 2)))


def _evidence(alert: Alert) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text("surprise", "dim"), Text("count", "dim"), Text("of what", "dim"))
    shown = _most_telling(alert)
    for evidence in shown:
        what = Text(printable(evidence.description))
        if evidence.nearest:
            what.append(f"\nnormal: {printable(evidence.nearest)}", "green")
        what.append(f"\n{_learned(alert, evidence)}", "dim")
        table.add_row(f"{evidence.bits:.1f}", f"{evidence.count:,}", what)
    items = max(len(alert.unseen), len(alert.score.evidence)) - len(shown)
    if items > 0:
        rest = _surprise(alert) - sum(e.bits for e in shown)
        table.add_row(f"{rest:.1f}" if rest >= LEAST_SHOWN else "", "", f"{items:,} more")
    return table


def _surprise(alert: Alert) -> float:
    """Of everything that was judged, also of what the evidence has no room for."""
    if alert.test == RaisedBy.SHIFT:
        return sum(e.bits for e in alert.score.evidence)
    return sum(alert.score.by_signal.values())


def _learned(alert: Alert, evidence: Evidence) -> str:
    """When learning saw it, and what evidence there would be without it."""
    seen = evidence.seen
    text = f"in learning {_period(seen.first, seen.last)}" if seen else "never in learning"
    is_alone = alert.test == RaisedBy.FIRST_SIGHT and len(alert.score.evidence) == 1
    if is_alone or math.isnan(evidence.without):
        return text
    return f"{text}; without it {evidence.without:.1f} bits"


def _why(alert: Alert) -> str:
    """How rare it is; where that alone would be no alert, what makes it one."""
    if alert.reason == Reason.WHOLLY_NEW:
        return "new in every way that the model can tell, which is always an alert"
    if alert.reason == Reason.FLOOD:
        return "so much that is new at once is always an alert"
    return _once_in(alert)


def _once_in(alert: Alert) -> str:
    """How often normal time brings so much, as exactly as it can be known."""
    about = "about" if alert.score.p_value >= LEAST_P_VALUE else "less than"
    for length, unit in _LENGTHS:
        if alert.once_in >= 2 * length:
            return f"{about} once in {alert.once_in / length:,.0f} {unit} of normal time"
    return "common in normal time"


def _period(start: int, end: int) -> str:
    """A time in UTC: of one day to the minute, of several to the day."""
    (day, time), (last_day, last_time) = (
        f"{datetime.fromtimestamp(moment / 1e9, UTC):%Y-%m-%d %H:%M}".split()
        for moment in (start, end)
    )
    return f"{day} {time}-{last_time}" if day == last_day else f"{day} to {last_day}"


def _most_telling(alert: Alert) -> list[Evidence]:
    """What leads, and the heaviest of the rest with each signal among them."""
    evidence = alert.score.evidence
    heaviest = {e.signal: e for e in reversed(evidence)} | {alert.leading.signal: alert.leading}
    chosen = list(heaviest.values())
    chosen += [e for e in evidence if e not in chosen][: EVIDENCE_SHOWN - len(chosen)]
    return sorted(chosen, key=lambda e: (e is not alert.leading, -e.bits))


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _ids(process: Process) -> str:
    """The process, and the thread of it where that is another than the first."""
    thread = f", thread {process.tid}" if process.tid != process.pid else ""
    return f"pid {process.pid}{thread}"


def _command(process: Process) -> str:
    """A command line on which words can be told apart."""
    words = [printable(argument) for argument in process.arguments]
    while words and not words[-1]:  # what remains where a process gave itself a shorter title
        words.pop()
    line = " ".join(shlex.quote(w) if not w or set(w) & set(" '\"") else w for w in words)
    if len(line) > COMMAND_SHOWN:
        return f"{line[:COMMAND_SHOWN]} ..."
    return f"{line} ..." if process.arguments_cut else line


def _chain(lineage: tuple[Image, ...]) -> str:
    return " > ".join(map(str, lineage))
