"""The rows of an overview as a table, in exactly so many columns of the terminal."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from baseline.fitting import ELLIPSIS, shortened
from baseline.live.overview import Row
from baseline.model.score import PEERS, Signal
from baseline.printable import printable

_STYLES = {"complete": "green", "partial": "yellow", "unstable": "yellow", "lossy": "red"}
"""Of what people call the states of learning."""

_ROOMY = 100
"""Columns of a terminal from which on there is room for what can be done without."""

_LEAST_NAME = 16
_MOST_NAME = 40
_LEAST_HEADLINE = 30
_MANY_BITS = 999.0


class _Column(NamedTuple):
    """A column: its title, its width, and what it says of a row."""

    title: str
    width: int
    cell: Callable[[Row], Text]
    is_number: bool = True


class LiveTable:
    """The table for a terminal of so many columns.

    Args:
        width: columns of the terminal, at least 80 for all to be legible.
        longest_name: columns that the longest name of a workload takes.
        is_judged: there are models.
        is_ascii: the terminal may show no other characters.
    """

    def __init__(
        self, width: int, longest_name: int, *, is_judged: bool, is_ascii: bool = False
    ) -> None:
        self._width = width
        self._is_ascii = is_ascii
        is_roomy = width >= _ROOMY
        programs = "progs" if is_judged and not is_roomy else "programs"
        columns = [
            _Column("calls/s", 7, lambda row: Text(short(row.calls, 7))),
            _new_column("n-grams", 7, Signal.NGRAMS),
            _new_column(programs, len(programs), Signal.EXECUTIONS),
            _new_column("peers", 5, *PEERS),
        ]
        if is_judged:
            columns.append(_Column("bits", 5, _bits))
            columns.append(_Column("", 10 if is_roomy else 6, self._bar, is_number=False))
            if is_roomy:
                columns.append(_Column("of", 5, _threshold))
            columns.append(_Column("learned", 8, _state, is_number=False))
        if is_roomy or not is_judged:
            columns.append(_Column("replicas", 8, lambda row: Text(short(row.replicas, 8))))
        columns.append(_Column("lost", 4, _lost))
        if is_judged:
            columns.append(_Column("alerts", 6, _alerts))
        room = width - sum(column.width + 1 for column in columns) - len(_MARKER)
        needed = min(max(longest_name, _LEAST_NAME), _MOST_NAME)
        rest = room - needed - 1
        if is_judged and rest >= _LEAST_HEADLINE:
            columns.append(_Column("latest alert", rest, _headline, is_number=False))
            room = needed
        name = _Column("workload", max(room, _LEAST_NAME), _name, is_number=False)
        self._columns = [name, *columns]

    def head(self) -> Text:
        """The titles."""
        return self._line(" " * len(_MARKER), [Text(c.title) for c in self._columns], "dim")

    def line(self, row: Row, *, is_selected: bool = False) -> Text:
        """One workload."""
        style = "dim" if not row.replicas and not is_selected else ""
        marker = _MARKER if is_selected else " " * len(_MARKER)
        line = self._line(marker, [column.cell(row) for column in self._columns], style)
        if is_selected:
            line.stylize("reverse")
        return line

    def _line(self, marker: str, cells: Sequence[Text], style: str) -> Text:
        line = Text(marker, style)
        for number, (column, cell) in enumerate(zip(self._columns, cells, strict=True)):
            fitted = fit(cell.plain, column.width, is_ascii=self._is_ascii)
            if column.is_number:
                fitted = " " * (column.width - cell_len(cell.plain)) + cell.plain
            line.append(" " * (number > 0)).append(fitted, cell.style)
        return line

    def _bar(self, row: Row) -> Text:
        """How much of the threshold the score reaches."""
        if row.threshold is None:
            return Text()
        width = 10 if self._width >= _ROOMY else 6
        filled = min(int(row.fullness * width), width)
        full, empty = ("#", ".") if self._is_ascii else ("█", "·")
        style = "red" if row.fullness >= 1 else "yellow" if row.fullness >= 0.5 else "green"
        return Text(full * filled + empty * (width - filled), style)


_MARKER = "> "


def fit(text: str, width: int, *, is_ascii: bool = False) -> str:
    """The text, which a workload may have chosen, in exactly so many columns of the terminal."""
    more = "~" if is_ascii else ELLIPSIS
    return set_cell_size(shortened(text, width, tail=0, more=more), width)


def short(number: float, width: int) -> str:
    """A number in at most so many characters, 4 or more: ``12,345``, ``12k``, ``1.2M``."""
    text = f"{number:,.0f}"
    for unit in "kMGTPE":
        if len(text) <= width:
            break
        number /= 1000
        text = f"{number:.1f}{unit}" if round(number, 1) < 10 else f"{number:,.0f}{unit}"
    return text


def _new_column(title: str, width: int, *signals: Signal) -> _Column:
    def cell(row: Row) -> Text:
        number = sum(row.new.get(signal, 0) for signal in signals)
        return Text(short(number, width), "" if number else "dim")

    return _Column(title, width, cell)


def _name(row: Row) -> Text:
    return Text(printable(row.workload))  # at once: Text leaves out what it takes for control


def _bits(row: Row) -> Text:
    return Text(_in_bits(row.bits))


def _threshold(row: Row) -> Text:
    return Text(_in_bits(row.threshold))


def _in_bits(bits: float | None) -> str:
    if bits is None:
        return ""
    return f"{bits:.1f}" if bits < _MANY_BITS else short(bits, 5)


def _state(row: Row) -> Text:
    if row.threshold is None:
        return Text("no model", "dim")
    return Text(row.state or "unknown", _STYLES.get(row.state, ""))


def _lost(row: Row) -> Text:
    return Text(short(row.unaccounted, 4), "bold red" if row.unaccounted else "dim")


def _alerts(row: Row) -> Text:
    style = "bold red" if row.is_alerting else "" if row.alerts else "dim"
    return Text(short(row.alerts, 6), style)


def _headline(row: Row) -> Text:
    headline = printable(row.latest[0].headline) if row.latest else ""
    return Text(headline, "red" if row.is_alerting else "")
