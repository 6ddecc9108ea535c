import math

import naive_calls
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_service import ARCHITECTURE, SECOND, single_calls

from baseline.model.call_mix import CallMix
from baseline.model.score import Volume
from baseline.model.volumes import VolumeModel
from baseline.window import Window

counts = st.one_of(st.just(0), st.integers(0, 20), st.integers(0, 2**40))


def rows_of(calls: int, least: int = 1) -> st.SearchStrategy[list[list[int]]]:
    return st.lists(st.lists(counts, min_size=calls, max_size=calls), min_size=least, max_size=6)


@given(st.integers(1, 5).flatmap(lambda calls: rows_of(calls, least=2)))
def test_bits_are_those_of_the_obvious_sums(rows: list[list[int]]) -> None:
    training, *judged = rows
    bits = CallMix(np.array(training)).bits(np.array(judged))
    for window, found in zip(judged, bits.tolist(), strict=True):
        expected = naive_calls.mix_bits(training, window)
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert math.fsum(found) >= -1e-9


@given(st.integers(1, 5).flatmap(lambda calls: rows_of(calls, least=2)))
def test_company_changes_nothing(rows: list[list[int]]) -> None:
    mix = CallMix(np.array(rows[0]))
    together = mix.bits(np.array(rows))
    for row, bits in zip(rows, together, strict=True):
        assert mix.bits(np.array([row]))[0].tolist() == bits.tolist()


def test_only_the_shares_matter() -> None:
    training = np.array([7000, 2000, 1000])
    alike = np.array([[700, 200, 100], [70_000, 20_000, 10_000]])
    other = np.array([[100, 200, 700]])
    mix = CallMix(training)
    assert mix.bits(alike).sum(axis=1) == pytest.approx(0, abs=1e-3)
    assert mix.bits(other).sum() == pytest.approx(0.6 * math.log2(7), rel=0.01)
    assert mix.bits(other)[0, 2] > 0 > mix.bits(other)[0, 0]


def test_a_mix_drawn_as_in_training_is_no_nearer_for_being_short() -> None:
    """What few calls seem to be off by chance is taken off; what is left is noise."""
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    chance = np.random.default_rng(0)
    mix = CallMix((shares * 10**6).astype(int))
    for calls in (100, 1000, 10_000):
        bits = mix.bits(chance.multinomial(calls, shares, 400)).sum(axis=1)
        bias = (len(shares) - 1) / (2 * calls * math.log(2))
        assert bits.mean() < 0.6 * bias


def trace(start: int, seconds: int, *counts: int) -> Window:
    """A window that lasted as long as its process did."""
    end = start + seconds * SECOND
    return Window("web", "", start, end, end - start, single_calls(*counts))


def test_windows_of_different_lengths_are_judged_by_their_mix() -> None:
    chance = np.random.default_rng(1)
    shares = [0.5, 0.3, 0.19, 0.01]
    traces = [
        trace(i * 1000 * SECOND, seconds, *chance.multinomial(100 * seconds, shares))
        for i, seconds in enumerate(chance.integers(1, 500, 60).tolist())
    ]
    model, held_out = VolumeModel.fit(traces, [i // 6 for i in range(60)], ARCHITECTURE)
    assert model.length == 0
    usual, odd = (
        sum(s.bits for s in model.surprises(trace(0, seconds, *counts)))
        for seconds, counts in ((7, (350, 210, 133, 7)), (300, (300, 300, 9000, 9000)))
    )
    assert usual <= held_out.max() < odd
    (most,) = [s for s in model.surprises(trace(0, 9, 0, 0, 0, 99)) if s.bits > 0]
    assert most.item == Volume(4)
    assert model.nearest(most.item, traces[0]).endswith("of all calls")


@pytest.mark.parametrize("blocks", [1, 3])
def test_held_out_mixes_are_judged_by_all_other_blocks(blocks: int) -> None:
    chance = np.random.default_rng(2)
    rows = chance.integers(0, 50, (9, 4)).tolist()
    traces = [trace(i * 1000 * SECOND, 1 + i * i, *row) for i, row in enumerate(rows)]
    block_of = [i * blocks // 9 for i in range(9)]
    _, held_out = VolumeModel.fit(traces, block_of, ARCHITECTURE)
    for row, block, bits in zip(rows, block_of, held_out.tolist(), strict=True):
        others = [r for r, b in zip(rows, block_of, strict=True) if b != block]
        training = [sum(column) for column in zip(*others, strict=True)]
        expected = math.fsum(naive_calls.mix_bits(training, row)) if others else 0
        assert bits == pytest.approx(expected)
