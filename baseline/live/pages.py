"""The pages of the live table, as lines that fit the terminal: a head, a body, and the keys."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from baseline.alerts.alert import Alert
from baseline.alerts.text import renderable
from baseline.fitting import ELLIPSIS, shortened, wrapped
from baseline.live.overview import Row, Snapshot
from baseline.live.table import LiveTable, fit
from baseline.live.view import Order, Page, View, in_order
from baseline.model.score import PEERS, Signal
from baseline.printable import printable

_Shown = TypeVar("_Shown")

_KEYS: Mapping[Page, str] = {
    Page.WORKLOADS: "up/down select  right alerts  s sort ({order})  p pause  q quit",
    Page.ALERTS: "up/down select  right the whole alert  left back  p pause  q quit",
    Page.ALERT: "up/down scroll  left back  p pause  q quit",
}
_LEAST_HEIGHT = 6
_ALERTS_SEEN = 4
"""Alerts that a low terminal shows rather than what else there is to say."""


class Screen(NamedTuple):
    """What is on the terminal.

    Attributes:
        lines: as many as the terminal has, none longer than it is wide.
        furthest: how many lines of an alert can be scrolled away at most.
        height: lines of the body.
    """

    lines: list[Text]
    furthest: int
    height: int


class Pages:
    """Draws what a view shows of a snapshot.

    Args:
        console: how wide and how high it is, and which characters it can show.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def screen(self, view: View, snapshot: Snapshot, note: str = "") -> Screen:
        """The whole screen.

        Args:
            view: where the user is.
            snapshot: what there is to show.
            note: more lines above the keys, such as what is being waited for.
        """
        height = max(self._console.height, _LEAST_HEIGHT)
        row = view.selected(snapshot)
        alert = view.selected_alert(row) if row else None
        if row is None or view.page == Page.WORKLOADS:
            above = self._above_workloads(snapshot)
        elif alert is None or view.page == Page.ALERTS:
            above = self._above_alerts(row)
        else:
            above = []
        notes = self._note(note, height)
        room = height - 2 - len(notes) - len(above)  # without the title and the keys
        furthest = 0
        if row is None:
            body = []
        elif view.page == Page.WORKLOADS:
            body = self._workloads(view, snapshot, room)
        elif alert is None or view.page == Page.ALERTS:
            body = self._alerts(view, row, room)
        else:
            lines = self._alert(alert)
            furthest = max(len(lines) - room, 0)
            begin = min(view.scrolled, furthest)
            body = lines[begin : begin + room]
        body += [Text()] * (room - len(body))
        keys = _KEYS[view.page].format(order=view.order)
        foot = [*notes, self._text(keys, "reverse")]
        title = self._title(snapshot, is_paused=view.is_paused)
        return Screen([*[title, *above, *body][: height - len(foot)], *foot], furthest, room)

    def table(self, snapshot: Snapshot, order: Order) -> list[Text]:
        """All rows without a screen around them, to be written one after the other."""
        table = self._table(snapshot)
        rows = map(table.line, in_order(snapshot, order))
        return [self._title(snapshot), table.head(), *rows]

    def _table(self, snapshot: Snapshot) -> LiveTable:
        return LiveTable(
            self._console.width,
            max((cell_len(printable(row.workload)) for row in snapshot.rows), default=0),
            is_judged=snapshot.is_judged,
            is_ascii=self._console.options.ascii_only,
        )

    def _title(self, snapshot: Snapshot, *, is_paused: bool = False) -> Text:
        rows = snapshot.rows
        said = [_number(len(rows), "workload"), f"{sum(row.calls for row in rows):,.0f} calls/s"]
        if snapshot.is_judged:
            said.append(_number(sum(row.alerts for row in rows), "alert"))
        lost = sum(row.unaccounted for row in rows)
        said.append(f"{lost:,} lost" if lost else "nothing lost")
        time = f"{_time(snapshot.time)} UTC  " if snapshot.time else ""
        paused = "PAUSED  " if is_paused else ""
        return self._text(f"baseline top  {time}{paused}{', '.join(said)}", "bold")

    def _above_workloads(self, snapshot: Snapshot) -> list[Text]:
        explained = (
            "In the last minute: what learning never saw, and the highest score (full: alert)"
            if snapshot.is_judged
            else "In the last minute: what this session had not seen before"
        )
        return [self._text(explained, "dim"), self._table(snapshot).head()]

    def _workloads(self, view: View, snapshot: Snapshot, room: int) -> list[Text]:
        table = self._table(snapshot)
        rows = in_order(snapshot, view.order)
        place = view.place(rows)
        shown, begin = _around(rows, place, room)
        return [table.line(row, is_selected=begin + n == place) for n, row in enumerate(shown)]

    def _above_alerts(self, row: Row) -> list[Text]:
        """What there is to say of a workload, and the titles of its alerts."""
        running = f"{_number(row.replicas, 'replica')}, {row.calls:,.0f} calls/s"
        kinds = (
            ("n-gram", (Signal.NGRAMS,)),
            ("call", (Signal.CALLS,)),
            ("program", (Signal.EXECUTIONS,)),
            ("peer", PEERS),
        )
        new = ", ".join(
            _number(sum(row.new.get(signal, 0) for signal in signals), noun)
            for noun, signals in kinds
        )
        lost = f"{row.unaccounted:,} of {row.counted:,} counts" if row.unaccounted else "nothing"
        facts = [("running", running), ("new", f"{new} in the last minute")]
        ellipsis = "~" if self._console.options.ascii_only else ELLIPSIS
        room = self._console.width - 12
        facts += [("", shortened(str(item), room, more=ellipsis)) for item in row.newest]
        if row.threshold is not None and row.bits is not None:
            score = f"{row.bits:.1f} bits at most in the last minute"
            threshold = f"threshold {row.threshold:.1f} for {row.budget}"
            facts += [("score", f"{score}, {threshold}"), ("learned", _learned(row))]
        facts += [("lost", lost)]
        lines = [self._text(f"  {name:8}  {what}") for name, what in facts]
        lines = lines[: max(self._console.height - _LEAST_HEIGHT - _ALERTS_SEEN, 0)]
        titles = f"  {'time':8} {'bits':>8}  what happened" if row.latest else "  No alerts."
        if row.threshold is None:
            titles = "  No alerts, for there is no model."
        more = row.alerts - len(row.latest)
        titles += f" (and {more:,} before)" * (more > 0)
        return [self._text(row.workload, "bold"), *lines, Text(), self._text(titles, "dim")]

    def _alerts(self, view: View, row: Row, room: int) -> list[Text]:
        place = view.alert_place(row)
        shown, begin = _around(row.latest, place, room)
        lines = []
        for number, alert in enumerate(shown, begin):
            marker = "> " if number == place else "  "
            bits = f"{alert.score.bits:.1f}"
            line = f"{marker}{_time(alert.time)} {bits:>8}  {alert.headline}"
            lines.append(self._text(line, "reverse" if number == place else ""))
        return lines

    def _alert(self, alert: Alert) -> list[Text]:
        """The alert as ``watch`` writes it."""
        lines = self._console.render_lines(renderable(alert), pad=False)
        return [Text.assemble(*((s.text, s.style or "") for s in line)) for line in lines]

    def _note(self, note: str, height: int) -> list[Text]:
        """Its lines, one at least, so that nothing jumps when a short one comes."""
        lines = list(wrapped(note, self._console.width))
        return [self._text(line, "yellow") for line in lines[: height - _LEAST_HEIGHT + 1]]

    def _text(self, text: str, style: str = "") -> Text:
        width, is_ascii = self._console.width, self._console.options.ascii_only
        return Text(fit(text, width, is_ascii=is_ascii), style)


def _around(items: Sequence[_Shown], place: int, room: int) -> tuple[Sequence[_Shown], int]:
    """As many of the items as there is room for, with this place among them; where they begin."""
    begin = min(max(place - room // 2, 0), max(len(items) - room, 0))
    return items[begin : begin + room], begin


def _learned(row: Row) -> str:
    return f"{row.state}: {row.reason}" if row.state else "the model does not say how completely"


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _time(nanoseconds: int) -> str:
    return f"{datetime.fromtimestamp(nanoseconds / 1e9, UTC):%H:%M:%S}"
