"""Models of items that stand in a hierarchy as tables: their columns, and what may be in them."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import pyarrow as pa

from baseline.model.hierarchy import Context, Hierarchy, Part
from baseline.model.item_text import decode, encode
from baseline.model.score import Signal
from baseline.parquet import described

MAX_ITEMS = 1 << 22
"""Distinct items that a model on disk may hold: as many Python objects have to fit in memory."""

_BATCH_ROWS = 1 << 14

Row = tuple[Any, ...]


def hierarchy_schemas(signal: Signal, item: str) -> dict[str, pa.Schema]:
    """Columns of the tables of one signal; ``item`` says how its items are written."""
    return {
        signal.value: pa.schema(
            [
                described("item", pa.string(), f"{item}, as JSON"),
                described("windows", pa.int64(), "windows in which it occurred"),
                described("count", pa.int64(), "how often it occurred"),
                described("first_seen", pa.int64(), "start of the first window with it, ns"),
                described("last_seen", pa.int64(), "end of the last window with it, ns"),
            ]
        ),
        f"{signal}_contexts": pa.schema(
            [
                described("context", pa.string(), "a context of items, as JSON"),
                described(
                    "part", pa.string(), "what was seen in it, as JSON; null: the context itself"
                ),
                described("windows", pa.int64(), "windows that showed it there"),
            ]
        ),
    }


def table_of(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """A table of such rows."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(values, its.type) for values, its in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)


def rows_of(table: pa.Table) -> Iterable[Row]:
    """The rows of a table."""
    for batch in table.to_batches(_BATCH_ROWS):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def context_rows(hierarchy: Hierarchy) -> list[Row]:
    """The rows of the table of contexts."""
    return sorted(
        (encode(context), encode(part), windows)
        for context, parts in hierarchy.incidence.items()
        for part, windows in parts.items()
    )


def read_contexts(table: pa.Table, expected: Collection[tuple[Context, Part | None]]) -> Hierarchy:
    """What such a table holds.

    Args:
        table: of contexts.
        expected: contexts of the items, each with the item's part in it, and with ``None``.

    Raises:
        ValueError: it holds others, or contradicts itself.
    """
    missing = set(expected)
    incidence: dict[Context, dict[Part | None, int]] = {}
    for context, part, seen in rows_of(table):
        pair = (decode(context), decode(part))
        if pair not in missing:
            raise ValueError("a context is not of the items, or stands twice")
        missing.remove(pair)
        incidence.setdefault(pair[0], {})[pair[1]] = seen
    if missing:
        raise ValueError("an item has no context")
    total = incidence[()][None]
    for parts in incidence.values():
        if not all(1 <= seen <= parts[None] <= total for seen in parts.values()):
            raise ValueError("something was seen in more windows than its context")
    return Hierarchy(incidence)
