"""One contract for the models of all signals; novelty is what its obvious twin says."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_model import held_out_bits, item_bits, items_of
from strategies import small_windows
from synthetic_service import ARCHITECTURE, NGINX, SHELL, window

from baseline.model.score import NOVELTIES, Item, Seen, Signal, signal_of
from baseline.model.signal_model import SignalModel
from baseline.model.workload_model import SIGNAL_MODELS
from baseline.syscalls import pack
from baseline.window import (
    Connection,
    Execution,
    Image,
    Ledger,
    NgramCounts,
    Tally,
    Window,
)

few = settings(max_examples=20, deadline=None)  # of what is slow to make or to count
every_signal = pytest.mark.parametrize("signal", Signal)
every_novelty = pytest.mark.parametrize("signal", NOVELTIES)


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

trainings = st.one_of(
    st.lists(alike_windows, min_size=1, max_size=7), st.lists(small_windows, min_size=1, max_size=5)
)
any_window = st.one_of(alike_windows, small_windows)


def in_blocks(windows: list[Window], blocks: int) -> list[int]:
    return [i * blocks // len(windows) for i in range(len(windows))]


def fit(signal: Signal, windows: list[Window], blocks: int = 3) -> tuple[SignalModel, list[float]]:
    numbers = in_blocks(windows, blocks)
    model, held_out = SIGNAL_MODELS[signal].fit(windows, numbers, ARCHITECTURE)
    return model, held_out.tolist()


def learned(signal: Signal, windows: list[Window]) -> SignalModel:
    model, _ = fit(signal, windows)
    return model


def judged(model: SignalModel, window: Window) -> list[tuple[Item, int, float]]:
    """What carries bits, in a fixed order."""
    return sorted(model.surprises(window), key=repr)


# --- the contract --------------------------------------------------------------------------------


@every_signal
@few
@given(windows=trainings, blocks=st.integers(1, 4))
def test_every_window_of_training_is_judged(
    signal: Signal, windows: list[Window], blocks: int
) -> None:
    _, held_out = fit(signal, windows, blocks)
    assert len(held_out) == len(windows)
    assert all(0 <= bits < math.inf for bits in held_out)
    assert blocks > 1 or not any(held_out)  # without other blocks nothing is a surprise


@every_signal
@few
@given(windows=trainings, new=any_window)
def test_it_knows_what_was_there_and_when(
    signal: Signal, windows: list[Window], new: Window
) -> None:
    model = learned(signal, windows)
    shown = [(item, w) for w in windows for item in items_of(signal, w)]
    items = {item for item, _ in shown}
    assert model.windows == len(windows)
    assert model.items == len(items)
    for item in items | set(items_of(signal, new)):
        assert signal_of(item) == signal
        assert model.knows(item) == (item in items)
        with_it = [w for i, w in shown if i == item]
        assert model.seen(item) == (
            Seen(min(w.start for w in with_it), max(max(w.start, w.end) for w in with_it))
            if with_it
            else None
        )


@every_signal
@few
@given(windows=trainings, new=any_window)
def test_surprises_are_of_the_window(signal: Signal, windows: list[Window], new: Window) -> None:
    model = learned(signal, windows)
    for some in (new, *windows):
        found = model.surprises(some)
        items = [surprise.item for surprise in found]
        assert len(set(items)) == len(items)
        assert all(signal_of(item) == signal for item in items)
        assert all(s.bits and math.isfinite(s.bits) for s in found)
        assert math.fsum(s.bits for s in found) >= -1e-9
        assert all((s.occurrences > 0) == (s.item in items_of(signal, some)) for s in found)


@every_signal
@few
@given(windows=trainings, new=any_window)
def test_single_items_have_bits(signal: Signal, windows: list[Window], new: Window) -> None:
    model = learned(signal, windows)
    assert model.wholly_new_bits >= 0
    assert all(0 <= model.bits(item) < math.inf for item in items_of(signal, new))
    assert not any(model.bits(item) for w in windows for item in items_of(signal, w))


@every_signal
@few
@given(windows=trainings, new=any_window, other=any_window)
def test_company_changes_nothing(
    signal: Signal, windows: list[Window], new: Window, other: Window
) -> None:
    model = learned(signal, windows)
    alone = judged(model, new)
    model.surprises(other)
    assert judged(model, new) == alone


@every_signal
@few
@given(windows=trainings, data=st.data())
def test_the_order_of_windows_in_a_block_does_not_matter(
    signal: Signal, windows: list[Window], data: st.DataObject
) -> None:
    blocks = in_blocks(windows, 3)
    rows = [
        row
        for block in range(3)
        for row in data.draw(st.permutations([i for i, b in enumerate(blocks) if b == block]))
    ]
    kind = SIGNAL_MODELS[signal]
    model, held_out = kind.fit(windows, blocks, ARCHITECTURE)
    again, shuffled = kind.fit([windows[row] for row in rows], blocks, ARCHITECTURE)
    assert model.tables() == again.tables()
    assert shuffled.tolist() == pytest.approx(held_out[rows].tolist())


@every_signal
@few
@given(windows=trainings, new=any_window)
def test_tables_hold_the_whole_model(signal: Signal, windows: list[Window], new: Window) -> None:
    model = learned(signal, windows)
    tables = model.tables()
    assert {name: table.schema for name, table in tables.items()} == model.schemas
    again = type(model).from_tables(tables, ARCHITECTURE)
    assert again.tables() == tables
    assert (again.items, again.windows) == (model.items, model.windows)
    assert again.wholly_new_bits == model.wholly_new_bits
    assert judged(again, new) == judged(model, new)
    for item in items_of(signal, new):
        assert again.seen(item) == model.seen(item)
        assert again.nearest(item, new) == model.nearest(item, new)


@every_signal
@few
@given(windows=trainings, new=any_window)
def test_everything_has_words(signal: Signal, windows: list[Window], new: Window) -> None:
    model = learned(signal, windows)
    for item in items_of(signal, new):
        # What ends in no call at all (a symbol of ten zero bits) never happens, and has no name.
        assert model.describe(item) or (isinstance(item, int) and item & 1023 == 0)
    for surprise in model.surprises(new):
        assert model.nearest(surprise.item, new)
        assert isinstance(model.nearest(surprise.item, None), str)


@every_signal
@few
@given(a=trainings, b=trainings, c=trainings)
def test_merging_is_associative_and_commutative(
    signal: Signal, a: list[Window], b: list[Window], c: list[Window]
) -> None:
    one, two, three = (learned(signal, windows) for windows in (a, b, c))
    merged = type(one).merged
    together = merged([one, two, three]).tables()
    assert merged([three, one, two]).tables() == together
    assert merged([merged([one, two]), three]).tables() == together
    assert merged([one, merged([two, three])]).tables() == together
    assert merged([one]).tables() == one.tables()


@every_signal
@few
@given(windows=trainings, more=trainings, new=any_window)
def test_the_model_of_two_halves_knows_what_the_whole_knows(
    signal: Signal, windows: list[Window], more: list[Window], new: Window
) -> None:
    halves = [learned(signal, half) for half in (windows, more)]
    merged, whole = type(halves[0]).merged(halves), learned(signal, windows + more)
    assert (merged.items, merged.windows) == (whole.items, whole.windows)
    assert merged.wholly_new_bits == whole.wholly_new_bits
    for item in {i for w in (new, *windows, *more) for i in items_of(signal, w)}:
        assert merged.seen(item) == whole.seen(item)
        assert merged.bits(item) == whole.bits(item)
    if signal in NOVELTIES:
        assert merged.tables() == whole.tables()


@every_signal
@few
@given(windows=trainings, new=any_window, factor=st.floats(0.01, 1))
def test_a_discounted_model_knows_the_same_and_is_less_sure(
    signal: Signal, windows: list[Window], new: Window, factor: float
) -> None:
    model = learned(signal, windows)
    less = model.discounted(factor)
    assert less.items == model.items
    assert 1 <= less.windows <= model.windows
    for item in {i for w in (new, *windows) for i in items_of(signal, w)}:
        assert less.seen(item) == model.seen(item)
        assert less.describe(item) == model.describe(item)
    assert type(less).from_tables(less.tables(), ARCHITECTURE).tables() == less.tables()
    assert model.discounted(1).tables() == model.tables()


# --- novelty --------------------------------------------------------------------------------------


@every_novelty
@few
@given(windows=st.lists(alike_windows, min_size=1, max_size=7), new=alike_windows)
def test_an_item_is_as_surprising_as_the_obvious_count_says(
    signal: Signal, windows: list[Window], new: Window
) -> None:
    model = learned(signal, windows)
    found = {surprise.item: surprise.bits for surprise in model.surprises(new)}
    for item in items_of(signal, new):
        expected = item_bits(signal, windows, item)
        assert model.bits(item) == pytest.approx(expected)
        assert found.get(item, 0.0) == pytest.approx(expected)


@every_novelty
@few
@given(windows=st.lists(alike_windows, min_size=1, max_size=7), blocks=st.integers(1, 3))
def test_held_out_surprise_is_that_of_a_model_without_the_block(
    signal: Signal, windows: list[Window], blocks: int
) -> None:
    _, held_out = fit(signal, windows, blocks)
    expected = list(held_out_bits(signal, windows, in_blocks(windows, blocks)))
    assert held_out == pytest.approx(expected)


@every_novelty
@few
@given(windows=trainings, new=any_window)
def test_what_is_known_costs_nothing(signal: Signal, windows: list[Window], new: Window) -> None:
    model = learned(signal, windows)
    assert not any(model.surprises(known) for known in windows)
    found = model.surprises(new)
    assert all(surprise.bits > 0 and not model.knows(surprise.item) for surprise in found)


@every_novelty
@few
@given(windows=st.lists(small_windows, min_size=1, max_size=4), a=small_windows, b=small_windows)
def test_evidence_adds(signal: Signal, windows: list[Window], a: Window, b: Window) -> None:
    model = learned(signal, windows)
    apart = {s.item: s.bits for w in (a, b) for s in model.surprises(w)}
    together = {s.item: s.bits for s in model.surprises(a + b)}
    assert together == apart


@every_novelty
def test_where_counts_were_lost_what_is_new_is_new_all_the_same(signal: Signal) -> None:
    lost = Ledger(*[Tally(counted=9, lost=9)] * 3)
    model = after(signal, [0, 1] * 10)
    new = window(0, **ITEMS[signal](200))
    lossy = Window(**(vars(new) | {"ledger": lost}))
    assert model.surprises(lossy) == model.surprises(new) != []


ITEMS: dict[Signal, Callable[[int], dict[str, Any]]] = {
    Signal.NGRAMS: lambda n: {"ngrams": of_symbols([1, 1, 1, 1, 1, 10 + n])},
    Signal.CALLS: lambda n: {"ngrams": of_symbols([0, 0, 0, 0, 0, 10 + n])},
    Signal.EXECUTIONS: lambda n: {"executions": {Execution((NGINX, Image(f"/bin/{n}")), 33): 1}},
    Signal.CONNECTIONS_IN: lambda n: {
        "connections": {Connection("in", "tcp", f"10.0.0.{n}", 80): 1}
    },
    Signal.CONNECTIONS_OUT: lambda n: {
        "connections": {Connection("out", "tcp", f"10.0.0.{n}", 80): 1}
    },
}
"""For each signal of novelty, items that differ in their last part alone."""


def after(signal: Signal, numbers: list[int]) -> SignalModel:
    """Learned from windows of one item each; all calls are known where their order is judged."""
    calls = [[0, 0, 0, 0, 0, 10 + n] for n in range(256)] if signal == Signal.NGRAMS else []
    windows = [window(i, **ITEMS[signal](n)) for i, n in enumerate(numbers)]
    return learned(signal, [*windows, window(len(numbers), of_symbols(*calls))])


def bits_of_new(signal: Signal, model: SignalModel) -> float:
    """Surprise of item 200."""
    (item,) = items_of(signal, window(0, **ITEMS[signal](200)))
    return model.bits(item)


@every_novelty
def test_the_more_often_something_was_new_the_less_the_next_surprises(signal: Signal) -> None:
    never, seldom, often, always = (
        bits_of_new(signal, after(signal, [0, 1] * ((120 - new) // 2) + list(range(2, new + 2))))
        for new in (0, 2, 20, 120)
    )
    assert never > seldom > often > always
    assert always < 1


@every_novelty
def test_the_longer_nothing_was_new_the_more_something_surprises(signal: Signal) -> None:
    short, longer, long = (
        bits_of_new(signal, after(signal, [0, 1] * half)) for half in (10, 100, 1000)
    )
    assert short < longer < long
    assert long > np.log2(2000)


@every_novelty
def test_discounting_brings_the_surprise_of_so_short_a_learning(signal: Signal) -> None:
    long, short = after(signal, [0, 1] * 1000), after(signal, [0, 1] * 100)
    assert bits_of_new(signal, long.discounted(0.1)) == pytest.approx(bits_of_new(signal, short))


@every_novelty
def test_something_wholly_new_carries_what_the_model_says(signal: Signal) -> None:
    wholly_new = {
        Signal.NGRAMS: {"ngrams": of_symbols([2, 2, 2, 2, 2, 1])},
        Signal.CALLS: {"ngrams": of_symbols([2, 2, 2, 2, 2, 99])},
        Signal.EXECUTIONS: {"executions": {Execution((Image("/a"), Image("/b")), 5): 1}},
        Signal.CONNECTIONS_IN: {"connections": {Connection("in", "udp", "192.0.2.1", 53): 1}},
        Signal.CONNECTIONS_OUT: {"connections": {Connection("out", "udp", "192.0.2.1", 53): 1}},
    }[signal]
    known = ITEMS[signal](0) | {"ngrams": of_symbols([2, 2, 2, 2, 2, 2], [1, 1, 1, 1, 1, 1])}
    model = learned(signal, [window(i, **known) for i in range(50)])
    (surprise,) = model.surprises(window(0, **wholly_new))
    assert surprise.bits >= model.wholly_new_bits > 0
