from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import numbered_window, windows

from baseline.recordings.format import SCHEMAS
from baseline.recordings.tables import MAX_TEXT, check, from_tables, to_tables
from baseline.window import (
    MAX_LINEAGE,
    Connection,
    Execution,
    Image,
    Ledger,
    NgramCounts,
    Tally,
    Window,
)

WINDOW = numbered_window(0)
SHELL = Image("/bin/sh")


@given(st.lists(windows()), st.integers(0, 2**40))
def test_from_tables_is_the_inverse_of_to_tables(written: list[Window], first: int) -> None:
    for window in written:
        check(window)
    tables = to_tables(written, first)
    assert {name: table.schema for name, table in tables.items()} == SCHEMAS
    read = from_tables(tables, first, "web1")
    assert read == written
    for window, original in zip(read, written, strict=True):
        assert window.ngrams.ngrams.dtype == np.uint64
        assert window.ngrams.counts.dtype == np.int64
        assert list(window.executions) == list(original.executions)
        assert list(window.connections) == list(original.connections)


@given(st.lists(windows(st.sampled_from("ab"))))
@settings(max_examples=30)
def test_rows_are_sorted_by_workload_and_time(written: list[Window]) -> None:
    for table in to_tables(written, 0).values():
        ends = table["end_time"].cast(pa.int64()).to_pylist()
        keys = list(zip(table["workload"].to_pylist(), ends, strict=True))
        assert keys == sorted(keys)


def histogram(ngrams: list[int], counts: list[int], kind: type = np.uint64) -> NgramCounts:
    return NgramCounts(np.array(ngrams, kind), np.array(counts, np.int64))


@pytest.mark.parametrize(
    "window",
    [
        replace(WINDOW, workload="\udcff"),
        replace(WINDOW, replica="x" * (MAX_TEXT + 1)),
        replace(WINDOW, start=2**63),
        replace(WINDOW, end=-(2**63)),
        replace(WINDOW, observed=-1),
        replace(WINDOW, ledger=Ledger(connections=Tally(lost=-1))),
        replace(WINDOW, ngrams=histogram([2, 1], [1, 1])),
        replace(WINDOW, ngrams=histogram([1, 1], [1, 1])),
        replace(WINDOW, ngrams=histogram([1, 2], [1, 0])),
        replace(WINDOW, ngrams=histogram([1, 2], [1])),
        replace(WINDOW, ngrams=histogram([1, 2], [1, 1], np.int64)),
        replace(WINDOW, executions={Execution((), 0): 1}),
        replace(WINDOW, executions={Execution((SHELL,) * (MAX_LINEAGE + 1), 0): 1}),
        replace(WINDOW, executions={Execution((Image("/bin/\udcff"),), 0): 1}),
        replace(WINDOW, executions={Execution((SHELL,), -1): 1}),
        replace(WINDOW, executions={Execution((SHELL,), 0): 0}),
        replace(WINDOW, connections={Connection("up", "tcp", "::1", 80): 1}),
        replace(WINDOW, connections={Connection("in", "tcp", "::1", 65536): 1}),
        replace(WINDOW, connections={Connection("in", "tcp", "::1", 80): 2**63}),
    ],
)
def test_what_a_recording_cannot_hold_is_refused(window: Window) -> None:
    with pytest.raises(ValueError, match=r"^(a|n-grams) "):
        check(window)


def read_with(name: str, column: str, values: list[object]) -> list[Window]:
    """Read two windows of which the values of one column were changed."""
    tables = to_tables([numbered_window(0, ngrams=2), numbered_window(1, ngrams=2)], 0)
    schema = SCHEMAS[name]
    where = schema.get_field_index(column)
    changed = pa.array(values, schema.field(where).type)
    tables[name] = tables[name].set_column(where, schema.field(where), changed)
    return from_tables(tables, 0, "web1")


@pytest.mark.parametrize(
    ("table", "column", "values", "problem"),
    [
        ("windows", "window", [0, 2], "not numbered as committed"),
        ("windows", "window", [0, 0], "not numbered as committed"),
        ("windows", "ngrams_lost", [0, -1], "a tally of -1"),
        ("ngrams", "window", [0, 0, 1, 2], "not in the part"),
        ("ngrams", "window", [-(2**63), 0, 1, 1], "not in the part"),
        ("ngrams", "window", [0, 1, 0, 1], "not in the order"),
        ("ngrams", "ngram", [5, 4, 1, 2], "do not ascend"),
        ("ngrams", "count", [1, 1, 1, 0], "not positive"),
        ("executions", "window", [1, 1], "repeats within a window"),
        ("executions", "count", [1, -5], "a count of executions of -5"),
        ("executions", "lineage", [[], []], "a lineage of 0 images"),
        ("connections", "direction", ["in", "out", "in", "sideways"], "neither in nor out"),
    ],
)
def test_tables_that_no_writer_wrote_are_refused(
    table: str, column: str, values: list[object], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        read_with(table, column, values)


def test_tables_with_other_good_values_are_read() -> None:
    assert list(read_with("executions", "count", [1, 5])[1].executions.values()) == [5]
