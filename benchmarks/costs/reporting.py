"""Tables of 80 columns."""

import textwrap
from collections.abc import Mapping
from typing import Any

WIDTH = 80

UNCOMPARABLE = ("perf_trace", "strace")
"""Dearer by a factor and not by some nanoseconds: their differences say nothing more."""


def quartile_table(
    title: str, table: Mapping[str, Mapping[str, Mapping[str, Any]]], form: str
) -> list[str]:
    """A row for each figure and a column for each probe: the median, and below it the quartiles.

    Those of ``UNCOMPARABLE`` are left out.

    Args:
        title: of the column of names.
        table: figure -> probe -> ``low``, ``median``, ``high``.
        form: how a number is written, as in :func:`format`, without its sign.
    """
    found = dict.fromkeys(kind for row in table.values() for kind in row)
    kinds = [kind for kind in found if kind not in UNCOMPARABLE]
    first = max(14, *(len(name) + 1 for name in (title, *table)))
    width = min(17, (WIDTH - first) // max(1, len(kinds)))
    lines = [f"{title:{first}}" + "".join(f"{kind:>{width}}" for kind in kinds)]
    for name, row in table.items():
        middle = (format(row[k]["median"], f"+{form}") if k in row else "" for k in kinds)
        between = (
            f"{row[k]['low']:{form}}..{row[k]['high']:{form}}" if k in row else "" for k in kinds
        )
        lines.append(f"{name:{first}}" + "".join(f"{text:>{width}}" for text in middle))
        lines.append(" " * first + "".join(f"{text:>{width}}" for text in between))
    return [line.rstrip() for line in lines]


def wrapped(text: str, indent: str = "") -> list[str]:
    """Text in lines of at most 80 columns."""
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)
