"""Alerts as text for people, 80 columns wide."""

from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from baseline.alerts.alert import Alert, iso_time
from baseline.model.score import LEAST_P_VALUE, Evidence
from baseline.printable import printable
from baseline.window import Image, Signal

EVIDENCE_SHOWN = 5


class TextSink:
    """Writes alerts to a stream as text; in colour where the stream is a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)

    def write(self, alert: Alert) -> None:
        """Write one alert.

        Raises:
            OSError: the stream cannot be written to.
        """
        with self._console.capture() as rendered:
            self._console.print(_render(alert))
        lines = rendered.get().splitlines()
        print(*(line.rstrip() for line in lines), sep="\n", file=self._stream, flush=True)


def _render(alert: Alert) -> RenderableType:
    score = alert.score
    rule = Rule(
        Text.assemble(
            (printable(alert.workload), "bold"), f"  {iso_time(alert.time)}  alert {alert.id}"
        ),
        align="left",
        style="red",
        characters="-",
    )
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row(
        "surprise",
        f"{score.bits:.1f} bits in {score.signal}, threshold {score.threshold:.1f}, "
        f"p {'=' if score.p_value > LEAST_P_VALUE else '<'} {score.p_value:.2g}",
    )
    others = [s for s in Signal if s != score.signal and score.by_signal.get(s)]
    if others:
        facts.add_row("", ", ".join(f"{score.by_signal[s]:.1f} bits in {s}" for s in others))
    if process := alert.process:
        facts.add_row("process", printable(f"{process.comm}, pid {process.pid}"))
        if process.lineage:
            facts.add_row("lineage", printable(_chain(process.lineage)))
    if alert.replica:
        facts.add_row("replica", printable(alert.replica))
    if alert.already_reported:
        items = _number(alert.already_reported, "item")
        facts.add_row("repeated", f"{items} reported before, left out of the score")
    if alert.folded:
        windows = _number(alert.folded, "window")
        facts.add_row("folded", f"{windows} that held nothing but reported items")
    headline = Text(printable(alert.headline), style="bold red")
    return Group(rule, headline, Padding(Group(facts, Text(), _evidence(alert)), (0, 0, 1, 2)))


def _evidence(alert: Alert) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text("bits", "dim"), Text("count", "dim"), Text("evidence", "dim"))
    shown = _most_telling(alert)
    for evidence in shown:
        what = Text(printable(evidence.description))
        if evidence.nearest:
            what.append(f"\nnormal: {printable(evidence.nearest)}", "green")
        table.add_row(f"{evidence.bits:.1f}", f"{evidence.count:,}", what)
    items = max(len(alert.unseen), len(alert.score.evidence)) - len(shown)
    if items > 0:
        bits = sum(alert.score.by_signal.values()) - sum(e.bits for e in shown)
        table.add_row(f"{bits:.1f}", "", f"in {items:,} more")
    return table


def _most_telling(alert: Alert) -> list[Evidence]:
    """What leads, and the heaviest of the rest with each signal among them."""
    evidence = alert.score.evidence
    heaviest = {e.signal: e for e in reversed(evidence)} | {alert.leading.signal: alert.leading}
    chosen = list(heaviest.values())
    chosen += [e for e in evidence if e not in chosen][: EVIDENCE_SHOWN - len(chosen)]
    return sorted(chosen, key=lambda e: (e is not alert.leading, -e.bits))


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _chain(lineage: tuple[Image, ...]) -> str:
    return " > ".join(map(str, lineage))
