from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import ledgers, ngram_counts, small_counts, small_windows

from baseline.window import (
    Connection,
    Execution,
    Image,
    Ledger,
    NgramCounts,
    Tally,
    Window,
    total,
)


@given(small_windows, small_windows)
def test_adding_windows_is_commutative(a: Window, b: Window) -> None:
    assert a + b == b + a


@given(small_windows, small_windows, small_windows)
def test_adding_windows_is_associative(a: Window, b: Window, c: Window) -> None:
    assert (a + b) + c == a + (b + c)


@given(st.lists(small_windows, min_size=1, max_size=5))
def test_total_is_the_fold_of_adding(windows: list[Window]) -> None:
    assert total(windows) == reduce(add, windows)


@given(st.lists(small_windows, min_size=1, max_size=5))
def test_total_loses_no_count(windows: list[Window]) -> None:
    whole = total(windows)
    assert whole.ngrams.total == sum(w.ngrams.total for w in windows)
    assert whole.observed == sum(w.observed for w in windows)
    for execution in {e for w in windows for e in w.executions}:
        assert whole.executions[execution] == sum(w.executions.get(execution, 0) for w in windows)
    for connection in {c for w in windows for c in w.connections}:
        counted = sum(w.connections.get(connection, 0) for w in windows)
        assert whole.connections[connection] == counted


def test_total_spans_the_windows_and_keeps_the_replica_they_share() -> None:
    first, second = Window("web", "/a", 10, 20, 10), Window("web", "/a", 20, 35, 15)
    assert first + second == Window("web", "/a", 10, 35, 25)
    assert (first + Window("web", "/b", 20, 35, 15)).replica == ""


def test_total_keeps_the_machine_they_share() -> None:
    first, second = (Window("web", "a", 0, 1, 1, node=node) for node in ("web1", "web2"))
    assert (first + first).node == "web1"
    assert (first + second).node == (first + second + first).node == ""


def test_windows_of_different_workloads_do_not_add() -> None:
    with pytest.raises(ValueError, match="web and db"):
        total([Window("web", "", 0, 1, 1), Window("db", "", 0, 1, 1)])


def test_no_windows_have_no_total() -> None:
    with pytest.raises(ValueError, match="no windows"):
        total([])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9))))
def test_collect_sums_repeats_and_drops_zeros(pairs: list[tuple[int, int]]) -> None:
    ngrams = np.array([n for n, _ in pairs], np.uint64)
    collected = NgramCounts.collect(ngrams, np.array([c for _, c in pairs], np.int64))
    expected = {n: sum(c for m, c in pairs if m == n) for n, _ in pairs}
    expected = {n: c for n, c in sorted(expected.items()) if c}
    assert collected.ngrams.tolist() == list(expected)
    assert collected.counts.tolist() == list(expected.values())
    assert collected.ngrams.dtype == np.uint64
    assert collected.counts.dtype == np.int64


@given(ngram_counts(small_counts))
def test_the_empty_histogram_is_neutral(histogram: NgramCounts) -> None:
    assert histogram + NgramCounts.empty() == histogram


def test_histograms_with_other_counts_differ() -> None:
    one = NgramCounts(np.array([1], np.uint64), np.array([1], np.int64))
    two = NgramCounts(np.array([1], np.uint64), np.array([2], np.int64))
    assert one != two
    assert one != "one"


@given(ledgers(), ledgers())
def test_ledgers_add_line_by_line(a: Ledger, b: Ledger) -> None:
    both = a + b
    assert both.lost == a.lost + b.lost
    assert both.events.counted == a.events.counted + b.events.counted
    assert both.ngrams.missing == a.ngrams.missing + b.ngrams.missing


def test_a_ledger_adds_up_when_every_count_has_gone_somewhere() -> None:
    tally = Tally(counted=10, recorded=7, overflowed=2, lost=1)
    assert tally.missing == 0
    assert Ledger(ngrams=tally, executions=tally, connections=tally).adds_up
    assert Ledger(connections=tally._replace(recorded=6)).connections.missing == 1
    assert not Ledger(connections=tally._replace(recorded=6)).adds_up
    assert not Ledger(executions=tally._replace(recorded=8)).adds_up
    assert Ledger(events=Tally(counted=5)).adds_up  # they are hints, not counts


def test_what_people_read() -> None:
    lineage = (Image("/usr/sbin/nginx"), Image("/bin/sh", "run.sh"), Image("memfd:x", "", True))
    execution = Execution(lineage, uid=33)
    assert str(execution) == "/usr/sbin/nginx > /bin/sh[run.sh] > memfd:x (no file)"
    assert execution.image == lineage[-1]
    assert str(Connection("out", "tcp", "::1", 443)) == "tcp out to [::1]:443"
    assert str(Connection("in", "udp", "10.0.0.1", 53)) == "udp in from 10.0.0.1 on port 53"
    assert str(Connection("in", "tcp", "", 80)) == "tcp in from any peer on port 80"
