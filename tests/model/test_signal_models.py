"""One contract for the models of all signals, and their agreement with the obvious twins."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_model import held_out_bits, item_bits, items_of
from strategies import small_windows
from synthetic_service import ARCHITECTURE, NGINX, SHELL, window

from baseline.model.signal_model import SignalModel
from baseline.model.workload_model import SIGNAL_MODELS
from baseline.syscalls import pack
from baseline.window import Connection, Execution, Image, NgramCounts, Signal, Window

few = settings(max_examples=30, deadline=None)  # of what is slow to make or to count
pytestmark = pytest.mark.parametrize("signal", Signal)


def of_symbols(*rows: list[int]) -> NgramCounts:
    """The n-grams of these symbols, oldest first; a third kind of symbol is an io_uring request."""
    ngrams = pack(np.array(rows, np.int64).reshape(-1, 6))
    return NgramCounts.collect(ngrams, np.ones(len(ngrams), np.int64))


few_symbols = st.lists(st.integers(0, 2), min_size=6, max_size=6)
kinds = st.sampled_from([0, 1024])
few_ngrams = st.lists(
    st.builds(lambda row, kind: [kind | symbol for symbol in row], few_symbols, kinds), max_size=4
).map(lambda rows: of_symbols(*rows))
few_images = st.sampled_from([NGINX, SHELL, Image("/usr/bin/id")])
few_executions = st.builds(
    Execution, st.lists(few_images, min_size=1, max_size=3).map(tuple), st.sampled_from([0, 33])
)
few_connections = st.builds(
    Connection,
    st.sampled_from(["in", "out"]),
    st.sampled_from(["tcp", "udp"]),
    st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.9.1", "2001:db8::1", "2001:db8::2", ""]),
    st.sampled_from([80, 443]),
)
alike_windows = st.builds(
    window,
    number=st.integers(0, 99),
    ngrams=few_ngrams,
    executions=st.dictionaries(few_executions, st.integers(1, 9), max_size=3),
    connections=st.dictionaries(few_connections, st.integers(1, 9), max_size=3),
)
"""Windows of so few different items that they meet the same contexts again and again."""


def fit(signal: Signal, windows: list[Window], blocks: int = 3) -> tuple[SignalModel, list[float]]:
    numbers = [i * blocks // len(windows) for i in range(len(windows))]
    model, held_out = SIGNAL_MODELS[signal].fit(windows, numbers, ARCHITECTURE)
    return model, held_out.tolist()


@few
@given(windows=st.lists(alike_windows, min_size=1, max_size=7), new=alike_windows)
def test_an_item_is_as_surprising_as_the_obvious_count_says(
    signal: Signal, windows: list[Window], new: Window
) -> None:
    model, _ = fit(signal, windows)
    found = {surprise.item: surprise.bits for surprise in model.surprises(new)}
    for item in items_of(signal, new):
        expected = item_bits(signal, windows, item)
        assert model.bits(item) == pytest.approx(expected)
        assert found.get(item, 0.0) == pytest.approx(expected)


@few
@given(windows=st.lists(alike_windows, min_size=1, max_size=7), blocks=st.integers(1, 3))
def test_held_out_surprise_is_that_of_a_model_without_the_block(
    signal: Signal, windows: list[Window], blocks: int
) -> None:
    _, held_out = fit(signal, windows, blocks)
    numbers = [i * blocks // len(windows) for i in range(len(windows))]
    assert held_out == pytest.approx(list(held_out_bits(signal, windows, numbers)))


@few
@given(windows=st.lists(small_windows, min_size=1, max_size=5), new=small_windows)
def test_what_is_known_costs_nothing_and_what_is_new_never_less(
    signal: Signal, windows: list[Window], new: Window
) -> None:
    model, held_out = fit(signal, windows)
    for known in windows:
        assert model.surprises(known) == []
        assert all(map(model.knows, items_of(signal, known)))
    assert min(held_out) >= 0
    found = model.surprises(new)
    assert all(surprise.bits > 0 and not model.knows(surprise.item) for surprise in found)
    assert all(model.bits(item) >= 0 for item in items_of(signal, new))


@few
@given(windows=st.lists(small_windows, min_size=1, max_size=4), a=small_windows, b=small_windows)
def test_evidence_adds(signal: Signal, windows: list[Window], a: Window, b: Window) -> None:
    model, _ = fit(signal, windows)
    apart = {s.item: s.bits for w in (a, b) for s in model.surprises(w)}
    together = {s.item: s.bits for s in model.surprises(a + b)}
    assert together == apart


@few
@given(windows=st.lists(small_windows, min_size=1, max_size=5), data=st.data())
def test_the_order_of_windows_in_a_block_does_not_matter(
    signal: Signal, windows: list[Window], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(windows))
    model, _ = fit(signal, windows, blocks=1)
    again, _ = fit(signal, shuffled, blocks=1)
    assert model.tables() == again.tables()


@few
@given(windows=st.lists(small_windows, min_size=1, max_size=5), new=small_windows)
def test_tables_hold_the_whole_model(signal: Signal, windows: list[Window], new: Window) -> None:
    model, _ = fit(signal, windows)
    tables = model.tables()
    assert {name: table.schema for name, table in tables.items()} == model.schemas
    again = type(model).from_tables(tables, ARCHITECTURE)
    assert again.tables() == tables
    assert again.completeness == model.completeness
    assert again.wholly_new_bits == model.wholly_new_bits
    assert again.surprises(new) == model.surprises(new)


@few
@given(windows=st.lists(small_windows, min_size=1, max_size=3), new=small_windows)
def test_everything_has_words(signal: Signal, windows: list[Window], new: Window) -> None:
    model, _ = fit(signal, windows)
    for item in items_of(signal, new):
        # What ends in no call at all (a symbol of ten zero bits) never happens, and has no name.
        assert model.describe(item) or item & 1023 == 0
        assert model.nearest(item)


ITEMS: dict[Signal, Callable[[int], dict[str, Any]]] = {
    Signal.NGRAMS: lambda n: {"ngrams": of_symbols([1, 1, 1, 1, 1, 10 + n])},
    Signal.EXECUTIONS: lambda n: {"executions": {Execution((NGINX, Image(f"/bin/{n}")), 33): 1}},
    Signal.CONNECTIONS: lambda n: {"connections": {Connection("in", "tcp", f"10.0.0.{n}", 80): 1}},
}
"""For each signal, items that differ in their last part alone."""


def bits_after(signal: Signal, numbers: list[int]) -> float:
    """Surprise of item 200 after windows of one item each."""
    model, _ = fit(signal, [window(i, **ITEMS[signal](n)) for i, n in enumerate(numbers)])
    (item,) = items_of(signal, window(0, **ITEMS[signal](200)))
    return model.bits(item)


def test_the_more_often_something_was_new_the_less_the_next_surprises(signal: Signal) -> None:
    never, seldom, often, always = (
        bits_after(signal, [0, 1] * ((120 - new) // 2) + list(range(2, new + 2)))
        for new in (0, 2, 20, 120)
    )
    assert never > seldom > often > always
    assert always < 1


def test_the_longer_nothing_was_new_the_more_something_surprises(signal: Signal) -> None:
    short, longer, long = (bits_after(signal, [0, 1] * half) for half in (10, 100, 1000))
    assert short < longer < long
    assert long > np.log2(2000)


def test_completeness_counts_windows_not_tokens(signal: Signal) -> None:
    busy = [window(i, **ITEMS[signal](7 if i else 8)) for i in range(20)]
    model, _ = fit(signal, [w + w + w for w in busy])
    assert model.completeness == (2, 1, 20)
    assert model.completeness.new_per_window == 1 / 20
