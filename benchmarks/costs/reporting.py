"""Tables of 80 columns."""

import textwrap
from collections.abc import Mapping

WIDTH = 80

UNCOMPARABLE = ("perf_trace", "strace", "displaced")
"""The first two are dearer by a factor and not by some nanoseconds; the last is ours elsewhere."""


def spread_table(title: str, table: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """A row for each figure and a column for each probe, but for those of ``UNCOMPARABLE``.

    In it the median, and half of what lies between low and high.

    Args:
        title: of the column of names.
        table: figure -> probe -> ``low``, ``median``, ``high``.
    """
    found = dict.fromkeys(kind for row in table.values() for kind in row)
    kinds = [kind for kind in found if kind not in UNCOMPARABLE]
    first = max(14, *(len(name) + 1 for name in (title, *table)))
    width = (WIDTH - first) // max(4, len(kinds))
    lines = [f"{title:{first}}" + "".join(f"{kind:>{width}}" for kind in kinds)]
    for name, row in table.items():
        texts = (with_spread(row[kind]) if kind in row else "" for kind in kinds)
        lines.append(f"{name:{first}}" + "".join(f"{text:>{width}}" for text in texts))
    return [line.rstrip() for line in lines]


def with_spread(figures: Mapping[str, float]) -> str:
    """The median of ``low``, ``median`` and ``high``, and half of what lies between the others."""
    median, half = figures["median"], (figures["high"] - figures["low"]) / 2
    digits = 1 if max(abs(median), half) < 1000 else 0
    return f"{median:+.{digits}f} ±{half:.{digits}f}"


def with_interval(figures: Mapping[str, float]) -> str:
    """The median, and low and high in brackets."""
    return f"{figures['median']:+.1f} ({figures['low']:.1f} to {figures['high']:.1f})"


def wrapped(text: str, indent: str = "") -> list[str]:
    """Text in lines of at most 80 columns."""
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)
