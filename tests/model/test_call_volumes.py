import itertools
import math
import re
from collections import Counter
from dataclasses import replace
from typing import Any

import naive_calls
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from synthetic_service import ARCHITECTURE, SECOND, counts_under_load, seconds_of

from baseline.model.call_volumes import (
    LEVELS,
    CallVolumes,
    PairCounts,
    _sides,
    level_range,
    levels,
    usual_bits,
)
from baseline.model.score import Volume
from baseline.model.volumes import VolumeModel
from baseline.window import Ledger, Tally, Window

some = settings(max_examples=40, deadline=None)

Rows = list[list[int]]


def tables_of_levels(most_calls: int = 4) -> st.SearchStrategy[Rows]:
    """Windows as levels of each call: few different ones, so that they come together often."""
    few = st.one_of(st.integers(0, 3), st.integers(0, 3), st.integers(0, LEVELS - 1))
    return st.integers(1, most_calls).flatmap(
        lambda calls: st.lists(st.lists(few, min_size=calls, max_size=calls), min_size=1)
    )


def binned(rows: Rows) -> np.ndarray:
    return np.array(rows, np.int8)


# --- levels --------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 2**62)))
def test_levels_are_the_nearest_octaves(counts: list[int]) -> None:
    # floats know 53 digits, so right at the edge of two bins a large count may be in either
    rounded = [int(float(count)) for count in counts]
    expected = [naive_calls.level(count) for count in rounded]
    assert levels(np.array(counts, np.int64)).tolist() == expected


def test_a_range_holds_the_counts_of_its_level_and_ranges_leave_no_gap() -> None:
    ranges = [level_range(level) for level in range(LEVELS)]
    assert ranges[:5] == [(0, 0), (1, 1), (2, 2), (3, 5), (6, 11)]
    for level, (low, high) in enumerate(ranges):
        assert levels(np.array([low, high])).tolist() == [level, level]
    assert all(low == high + 1 for (_, high), (low, _) in itertools.pairwise(ranges))


# --- counting ------------------------------------------------------------------------------------


def counted(pairs: PairCounts) -> dict[tuple[int, int, int, int], float]:
    """(call, level, other call, its level) -> windows."""
    states = list(zip(pairs.call.tolist(), pairs.level.tolist(), strict=True))
    rows, columns = np.nonzero(pairs.windows)
    return {
        (*states[i], *states[j]): pairs.windows[i, j]
        for i, j in zip(rows.tolist(), columns.tolist(), strict=True)
    }


@some
@given(tables_of_levels())
def test_pairs_are_counted_in_windows(rows: Rows) -> None:
    pairs = PairCounts.count(binned(rows))
    calls = range(len(rows[0]))
    expected: dict[tuple[int, int, int, int], float] = {}
    for row, one, other in itertools.product(rows, calls, calls):
        key = (one, row[one], other, row[other])
        expected[key] = expected.get(key, 0) + 1
    assert counted(pairs) == expected
    assert pairs.total == len(rows)
    states = list(zip(pairs.call.tolist(), pairs.level.tolist(), strict=True))
    assert states == sorted({(call, row[call]) for row in rows for call in calls})


def same(one: PairCounts, other: PairCounts) -> bool:
    return one.calls == other.calls and all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("call", "level", "windows")
    )


@some
@given(tables_of_levels(), st.data())
def test_counts_add_and_subtract(rows: Rows, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(rows)))
    more = data.draw(st.lists(st.sampled_from(rows), min_size=1))
    a, b, c = (PairCounts.count(binned(part)) for part in (rows[:cut], more, rows))
    assert same(a + b, PairCounts.count(binned(rows[:cut] + more)))
    assert same(a + b, b + a)
    assert same((a + b) + c, a + (b + c))
    assert same(a + b - b, a)


@some
@given(tables_of_levels(3), st.data())
def test_calls_of_others_were_never_made(rows: Rows, data: st.DataObject) -> None:
    calls = len(rows[0]) + data.draw(st.integers(0, 2))
    positions = sorted(data.draw(st.permutations(range(calls)))[: len(rows[0])])
    wider = np.zeros((len(rows), calls), np.int8)
    wider[:, positions] = rows
    assert same(
        PairCounts.count(binned(rows)).among(np.array(positions), calls), PairCounts.count(wider)
    )


def test_many_windows_are_counted_like_few() -> None:
    rows = np.random.default_rng(0).integers(0, 5, (20_000, 3)).astype(np.int8)
    parts = [PairCounts.count(part) for part in np.array_split(rows, 50)]
    assert same(PairCounts.count(rows), sum(parts[1:], parts[0]))


# --- the tree ------------------------------------------------------------------------------------


@some
@given(tables_of_levels(), st.sampled_from([1, 0.25]))
@example([list(levels) for levels in itertools.product(range(4), repeat=2)], 0.25)
@example(np.random.default_rng(2).integers(0, 3, (300, 3)).tolist(), 1)  # share nothing
def test_no_forest_shares_more_information(rows: Rows, weight: float) -> None:
    parents = CallVolumes(PairCounts.count(binned(rows)).times(weight)).parents.tolist()
    edges = [(call, parent) for call, parent in enumerate(parents) if parent >= 0]
    assert naive_calls.is_forest(edges)
    shared = [naive_calls.mutual_information(rows, *edge, weight) for edge in edges]
    assert sum(shared) == pytest.approx(naive_calls.best_forest(rows, weight))
    assert all(information > 0 for information in shared)


# --- bits ----------------------------------------------------------------------------------------


@some
@given(tables_of_levels(3), st.data(), st.sampled_from([1, 0.25]))
def test_bits_are_those_of_the_obvious_tables(
    rows: Rows, data: st.DataObject, weight: float
) -> None:
    volumes = CallVolumes(PairCounts.count(binned(rows)).times(weight))
    any_level = st.one_of(st.integers(0, 5), st.integers(0, LEVELS - 1))
    calls = len(rows[0])
    new = data.draw(st.lists(any_level, min_size=calls, max_size=calls))
    for row in (rows[0], new):
        expected = naive_calls.volume_bits(rows, volumes.parents.tolist(), row, weight)
        assert volumes.bits(binned([row]))[0].tolist() == pytest.approx(expected, rel=1e-5)


@some
@given(tables_of_levels(3), st.sampled_from([1, 0.25]))
def test_the_levels_of_a_call_share_one_probability(rows: Rows, weight: float) -> None:
    calls = len(rows[0])
    # The first call is the one that is made most; so often that all levels are told apart.
    rows = [[LEVELS - 1, *(min(level, LEVELS - 2) for level in row)] for row in rows]
    volumes = CallVolumes(PairCounts.count(binned(rows)).times(weight))
    for row, call in itertools.product(rows, range(1, calls + 1)):
        every = np.tile(binned([row]), (LEVELS, 1))
        every[:, call] = np.arange(LEVELS)
        assert (2.0 ** -volumes.bits(every)[:, call]).sum() == pytest.approx(1)
    every = np.tile(binned([rows[0]]), (LEVELS, 1))
    every[:, 0] = np.arange(LEVELS)
    load = 2.0 ** -volumes.bits(every)[:, 0]
    assert load[:2].sum() == pytest.approx(1)
    assert (load[1:] == load[1]).all()


@some
@given(tables_of_levels(), st.data())
def test_neither_order_nor_company_matters(rows: Rows, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(rows))
    volumes = CallVolumes(PairCounts.count(binned(rows)))
    again = CallVolumes(PairCounts.count(binned(shuffled)))
    together = volumes.bits(binned(shuffled))
    for row, bits in zip(shuffled, together, strict=True):
        assert volumes.bits(binned([row]))[0].tolist() == bits.tolist()
    assert np.array_equal(together, again.bits(binned(shuffled)))


@some
@given(tables_of_levels(3), st.data())
def test_a_count_is_taken_on_the_less_surprising_side_of_a_border(
    rows: Rows, data: st.DataObject
) -> None:
    volumes = CallVolumes(PairCounts.count(binned(rows)))
    any_count = st.one_of(st.integers(0, 200), st.integers(0, 2**30))
    calls = len(rows[0])
    counts = data.draw(st.lists(any_count, min_size=calls, max_size=calls))
    expected = naive_calls.volume_bits_of_counts(rows, volumes.parents.tolist(), counts)
    bits = volumes.bits_of_counts(np.array([counts]))
    assert bits[0].tolist() == pytest.approx(expected, rel=1e-5)
    together = volumes.bits_of_counts(np.array([counts[::-1], counts]))
    assert together[1].tolist() == bits[0].tolist()


@some
@given(tables_of_levels(), st.integers(0, 5))
def test_what_is_seen_beside_the_parent(rows: Rows, beside: int) -> None:
    volumes = CallVolumes(PairCounts.count(binned(rows)))
    for call, parent in enumerate(volumes.parents.tolist()):
        expected = Counter(row[call] for row in rows if parent < 0 or row[parent] == beside)
        seen = volumes.seen_with(call, beside)
        assert seen.shape == (LEVELS,)
        assert {level: seen[level] for level in np.flatnonzero(seen).tolist()} == expected


@pytest.mark.parametrize("windows", [1, 50, 100, 1000])
def test_usual_bits_are_exceeded_once_in_a_hundred_windows(windows: int) -> None:
    held_out = np.random.default_rng(0).exponential([0.01, 3, 30], (windows, 3))
    usual = usual_bits(held_out)
    assert usual[0] == 1
    assert ((held_out > usual).sum(axis=0)[1:] <= math.ceil(windows / 100)).all()
    assert ((held_out >= usual).sum(axis=0)[1:] >= windows // 100).all()


# --- the model of a workload's windows -----------------------------------------------------------

BLOCKS = 4


def in_blocks(windows: list[Window]) -> list[int]:
    return [i * BLOCKS // len(windows) for i in range(len(windows))]


def fit(windows: list[Window]) -> tuple[VolumeModel, np.ndarray]:
    return VolumeModel.fit(windows, in_blocks(windows), ARCHITECTURE)


@pytest.fixture(scope="module")
def counts() -> list[list[int]]:
    """How often eight calls were made in each of some seconds under changing load."""
    return counts_under_load(0, (20 * 4 ** np.random.default_rng(0).random(40)).tolist())


def test_held_out_volumes_are_judged_by_all_other_blocks(counts: list[list[int]]) -> None:
    few_counts = [row[:3] for row in counts[:12]]
    windows = seconds_of(few_counts)
    _, held_out = fit(windows)
    rows, blocks = levels(np.array(few_counts)).tolist(), in_blocks(windows)
    bits = []
    for row, block in zip(few_counts, blocks, strict=True):
        others = [r for r, b in zip(rows, blocks, strict=True) if b != block]
        parents = CallVolumes(PairCounts.count(binned(others))).parents.tolist()
        bits.append(naive_calls.volume_bits_of_counts(others, parents, row))
    expected = []
    for row, block in zip(bits, blocks, strict=True):
        others = [b for b, its in zip(bits, blocks, strict=True) if its != block]
        usual = np.maximum(np.quantile(others, 0.99, axis=0), 1)
        expected.append(np.maximum(np.array(row) - usual, 0).sum())
    assert any(expected)
    assert held_out == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("seconds", [60, 120])
def test_held_out_volumes_are_as_unusual_as_new_ones(seconds: int) -> None:
    """Also where learning was so short that what is usual is next to the highest that was seen."""
    higher = []
    for seed in range(8):
        chance = np.random.default_rng(seed)
        means = chance.gamma(4, 5, 40)
        windows = seconds_of(chance.poisson(means, (seconds + 200, 40)).tolist())
        model, held_out = fit(windows[:seconds])
        new = [sum(s.bits for s in model.surprises(window)) for window in windows[seconds:]]
        higher.append(np.mean(np.array(new) > np.quantile(held_out, 0.9)))
    assert np.mean(higher) < 0.12


def test_surprises_are_what_exceeds_the_usual(counts: list[list[int]]) -> None:
    model, _ = fit(seconds_of(counts))
    odd = [0, *counts[0][1:7], 99 * counts[0][7]]
    volumes = CallVolumes(PairCounts.count(levels(np.array(counts))))
    bits = volumes.bits_of_counts(np.array([odd]))[0]
    (usual,) = [model.tables()["volumes"]["usual_bits"].to_pylist()]
    expected = {
        Volume(i + 1): (odd[i], pytest.approx(b - u))
        for i, (b, u) in enumerate(zip(bits.tolist(), usual, strict=True))
        if b > u
    }
    (window,) = seconds_of([odd])
    assert {s.item: (s.occurrences, s.bits) for s in model.surprises(window)} == expected
    assert Volume(8) in expected


def test_calls_that_were_never_seen_are_the_business_of_others(counts: list[list[int]]) -> None:
    model, _ = fit(seconds_of(counts))
    (usual, with_others) = seconds_of([counts[0], [*counts[0], 5, 5]])
    assert model.surprises(with_others) == model.surprises(usual)


LOSSY = {"ledger": Ledger(ngrams=Tally(counted=9, lost=9))}
SHORT, LONG = {"observed": SECOND // 3}, {"observed": 3 * SECOND}


@pytest.mark.parametrize("change", [LOSSY, SHORT, LONG])
def test_windows_that_cannot_tell_are_neither_judged_nor_learned(
    counts: list[list[int]], change: dict[str, Any]
) -> None:
    windows = seconds_of(counts)
    # few calls of each, the last of each block
    odd = [replace(window, **change) for window in seconds_of([[1] * 8] * BLOCKS)]
    size = len(windows) // BLOCKS
    with_odd = [
        window
        for block in range(BLOCKS)
        for window in (*windows[block * size : (block + 1) * size], odd[block])
    ]
    model, held_out = fit(windows)
    again, with_odd_held_out = fit(with_odd)
    assert again.tables()["volume_pairs"] == model.tables()["volume_pairs"]
    assert again.windows == model.windows + BLOCKS
    assert not with_odd_held_out[size :: size + 1].any()
    assert np.delete(with_odd_held_out, np.s_[size :: size + 1]).tolist() == held_out.tolist()
    (window,) = seconds_of([[1] * 8])
    assert model.surprises(window)
    assert not model.surprises(replace(window, **change))


def test_a_few_windows_of_another_length_do_not_take_away_that_of_the_others(
    counts: list[list[int]],
) -> None:
    """What was caught up on after a kill, and what is left of a window at the end."""
    (caught_up, left) = (replace(seconds_of(counts)[0], **change) for change in (LONG, SHORT))
    few = seconds_of(counts[:5])
    assert fit([*few[:3], caught_up, *few[3:]])[0].length == SECOND
    assert fit([*few[:3], caught_up, *few[3:], left])[0].length == SECOND
    assert fit([*few, caught_up, left, left])[0].length == 0


def test_a_recording_of_lossy_windows_is_judged_by_nothing(counts: list[list[int]]) -> None:
    model, held_out = fit([replace(window, **LOSSY) for window in seconds_of(counts)])
    assert not held_out.any()
    assert model.items == 8


def test_two_halves_have_counted_the_same_pairs(counts: list[list[int]]) -> None:
    windows = seconds_of(counts)
    whole, _ = fit(windows)
    halves = [fit(windows[:20])[0], fit(windows[20:])[0]]
    merged = VolumeModel.merged(halves)
    assert merged.tables()["volume_pairs"] == whole.tables()["volume_pairs"]
    assert merged.length == SECOND


def test_volumes_have_words(counts: list[list[int]]) -> None:
    model, _ = fit(seconds_of(counts))
    row = list(counts[0])
    row[1] *= 50
    (window,) = seconds_of([row])
    said = {s.item: model.nearest(s.item, window) for s in model.surprises(window)}
    assert re.fullmatch(r"with \d+ to \d+ \w+: (usually \d+ to \d+|not seen)", said[Volume(2)])
    silent = seconds_of([[0] * 8])[0]
    root = next(c for c in range(8) if not model.nearest(Volume(c + 1), silent).startswith("with"))
    assert re.fullmatch(r"usually \d+ to \d+", model.nearest(Volume(root + 1), silent))


@given(st.lists(st.integers(0, 1 << 20), min_size=1) | st.lists(st.integers(0, 5000), min_size=1))
def test_sides_of_counts_are_levels_of_counts_nearby(counts: list[int]) -> None:
    """Those of small counts come from a table."""
    numbers = np.array(counts, np.int64)
    near = naive_calls.NEAR_BORDER
    expected = [[naive_calls.level(c * f) for c in counts] for f in (1, 1 / near, near)]
    assert _sides(numbers).tolist() == expected
