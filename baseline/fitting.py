"""Text in so many columns of a terminal, with nothing cut that would then say something else."""

import re
from collections.abc import Iterable, Iterator

from rich.cells import cell_len, chop_cells, set_cell_size

from baseline.printable import printable

WIDTH = 79
"""Columns of a page: one less than the narrowest terminal has."""

_MOST_LINES = 5
"""That one line becomes: lineages of eight long paths would be a page each."""

ELLIPSIS = "…"
"""What stands for a piece that is left out."""


def shortened(text: str, width: int, *, tail: float = 0.5, more: str = ELLIPSIS) -> str:
    """The text, without a piece of its middle where it has no room.

    Names that begin alike differ at their ends.  A number is left out as a whole: a part of it
    would be another number.

    Args:
        text: may hold anything; what a terminal could obey is written out.
        width: columns.
        tail: share of the room for what comes after the piece; 0 for a sentence, whose beginning
            says most.
        more: stands for the piece.
    """
    text = printable(text)
    if cell_len(text) <= width:
        return text
    room = max(width - cell_len(more), 0)
    ending = int(room * tail)
    return _beginning(text, room - ending) + more + _beginning(text[::-1], ending)[::-1]


def _beginning(text: str, width: int) -> str:
    begun = set_cell_size(text, width)
    end = len(begun)
    if re.fullmatch(r"[\d.,:]{2}", text[max(end - 1, 0) : end + 1]):
        begun = begun.rstrip("0123456789.,:")
    return begun


def page(lines: Iterable[str]) -> str:
    """Lines as a page, each as :func:`wrapped` has it."""
    return "\n".join(part for line in lines for part in wrapped(line))


def wrapped(line: str, width: int = WIDTH, *, folds: bool = True) -> Iterator[str]:
    """A line as several where it has no room in one; the others begin below its text.

    Args:
        line: may hold anything; what a terminal could obey is written out.
        width: columns.
        folds: break words that are longer than a line, and shorten a line of very many columns;
            otherwise nothing is left out, and words can be copied as they are.
    """
    line = printable(line).rstrip()
    if cell_len(line) <= width:
        yield line
        return
    indent = _hanging(line, width) if folds else len(line) - len(line.lstrip())
    room = width - indent
    if folds:
        line = shortened(line, _MOST_LINES * room)
    begun, words = line[: len(line) - len(line.lstrip())], re.findall(r"\S+ *", line)
    is_empty = True
    for word in words:
        for part in chop_cells(word, room) if folds and cell_len(word.rstrip()) > room else [word]:
            size = cell_len(part.rstrip())
            # A word that has no room in any line stays where it is.
            if not is_empty and size <= room and cell_len(begun) + size > width:
                yield begun.rstrip()
                begun = " " * indent
            begun += part
            is_empty = False
    yield begun.rstrip()


def _hanging(line: str, width: int) -> int:
    """Where the text begins after a label or number that two spaces set off from it."""
    label = re.match(r" *(?:\S+ )*?\S+ {2,}", line[: width // 2])
    return label.end() if label else len(line) - len(line.lstrip()) + 2
