import math

import naive_calibration
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baseline.model.combination import Combination
from baseline.model.held_out import HeldOut
from baseline.model.score import NOVELTIES, PEERS, Signal
from baseline.model.shift import shifts

few = settings(max_examples=25, deadline=None)

WHOLLY_NEW = {
    Signal.NGRAMS: 60.0,
    Signal.EXECUTIONS: 14.0,
    Signal.CALLS: 14.0,
    Signal.CONNECTIONS_IN: 14.0,
    Signal.CONNECTIONS_OUT: 14.0,
    Signal.VOLUMES: 0.0,
}

surprise = st.one_of(st.just(0.0), st.just(0.0), st.sampled_from([5.0, 14.0]), st.floats(0.01, 99))
surprises = st.fixed_dictionaries(dict.fromkeys(Signal, surprise))
loads = st.none() | st.integers(0, 10**6)
wholly_new = st.fixed_dictionaries(
    {s: st.one_of(st.just(0.0), st.floats(1, 99)) for s in Signal}
).map(lambda new: new | {Signal.VOLUMES: 0.0})


@st.composite
def held_outs(draw: st.DrawFn) -> HeldOut:
    rows = draw(st.lists(surprises, min_size=1, max_size=12))
    counted = st.integers(0, 10**6)
    counts = [{s: draw(counted) for s in NOVELTIES} for _ in rows]
    # Only where there are many of each load are they told apart.
    times = draw(st.sampled_from([1, 1, 10]))
    rows, counts = rows * times, counts * times
    return HeldOut(
        {s: np.array([row[s] for row in rows]) for s in Signal},
        {s: np.array([row[s] for row in counts]) for s in NOVELTIES},
        np.array([draw(st.integers(0, 1)) for _ in rows]),
    )


@few
@given(held_outs(), wholly_new, surprises, loads)
def test_it_is_what_the_obvious_sums_say(
    held_out: HeldOut, new: dict[Signal, float], by_signal: dict[Signal, float], load: int | None
) -> None:
    expected = naive_calibration.window_p_value(held_out, new, by_signal, load)
    assert Combination(held_out, new).p_value(by_signal, load) == pytest.approx(expected, rel=1e-4)


@given(held_outs(), wholly_new, st.sampled_from(NOVELTIES), st.integers(0, 10**9))
def test_surprise_counts_in_proportion_to_what_such_a_window_brings(
    held_out: HeldOut, new: dict[Signal, float], signal: Signal, counted: int
) -> None:
    share = float(Combination(held_out, new).share(signal, counted))
    assert share == pytest.approx(naive_calibration.share(held_out, new[signal], signal, counted))
    assert 0 < share <= 1


@given(held_outs(), wholly_new)
def test_a_window_like_one_of_training_is_as_rare_as_that(
    held_out: HeldOut, new: dict[Signal, float]
) -> None:
    """Where many windows are alike, one more of them is as normal as they are."""
    combination = Combination(held_out, new)
    for row in range(len(held_out)):
        scaled = {
            s: float(held_out.bits[s][row])
            * (float(combination.share(s, held_out.counts[s][row])) if s in NOVELTIES else 1)
            for s in Signal
        }
        bits = -math.log2(combination.p_value(scaled, int(held_out.counts[Signal.NGRAMS][row])))
        assert bits == pytest.approx(combination.held_out_bits[row])


more_of_one = st.tuples(st.sampled_from(list(Signal)), st.floats(0, 99))


@given(held_outs(), wholly_new, surprises, more_of_one, loads)
def test_more_surprise_is_never_less_rare(
    held_out: HeldOut,
    new: dict[Signal, float],
    by_signal: dict[Signal, float],
    more_of: tuple[Signal, float],
    load: int | None,
) -> None:
    combination = Combination(held_out, new)
    signal, more = more_of
    before, after = by_signal, by_signal | {signal: by_signal[signal] + more}
    assert combination.p_value(after, load) <= combination.p_value(before, load)
    nothing = dict.fromkeys(Signal, 0.0)
    assert combination.p_value(nothing, load) == combination.p_value({}, load) == 1


def test_held_out_windows_are_the_normal_time_of_the_sequential_test() -> None:
    chance = np.random.default_rng(0)
    normal = of_windows({s: chance.exponential(3, 300) for s in Signal})
    combination = Combination(normal, WHOLLY_NEW)
    highest = shifts(combination.held_out_bits, normal.replica).max()
    assert combination.shift.threshold(1 / 301) == pytest.approx(max(highest, 8.2), abs=4)
    assert combination.shift.threshold(1e-9) > highest


def of_windows(bits: dict[Signal, np.ndarray], counts: int = 1000) -> HeldOut:
    windows = len(next(iter(bits.values())))
    return HeldOut(
        {s: bits.get(s, np.zeros(windows)) for s in Signal},
        dict.fromkeys(NOVELTIES, np.full(windows, counts)),
        np.zeros(windows, np.int64),
    )


def test_what_is_new_adds_up_in_proportion_to_the_window() -> None:
    """Twenty new things in ten million calls are what two are in a million."""
    bits = np.array([60.0, 0.0, 0.0, 60.0, 0.0] * 20)
    normal = Combination(of_windows({Signal.NGRAMS: bits}, counts=10**6), WHOLLY_NEW)
    few_new, ten_times = (
        60 * new * normal.share(Signal.NGRAMS, counted)
        for new, counted in ((2, 10**6), (20, 10**7))
    )
    assert ten_times < 3 * few_new
    nothing_new = Combination(of_windows({Signal.NGRAMS: 0 * bits}), WHOLLY_NEW)
    assert nothing_new.share(Signal.NGRAMS, 10**9) == 1


@pytest.mark.parametrize(("highest", "told"), [(0, True), (6.9, True), (7.1, False), (30, False)])
def test_what_is_wholly_new_is_told_unless_normal_time_comes_half_as_far(
    highest: float, told: bool
) -> None:
    bits = np.zeros(100)
    bits[7] = highest
    combination = Combination(of_windows({Signal.EXECUTIONS: bits}, counts=0), WHOLLY_NEW)
    assert combination.is_wholly_new(Signal.EXECUTIONS, 14.0) == told
    assert not combination.is_wholly_new(Signal.EXECUTIONS, 13.9)
    assert not combination.is_wholly_new(Signal.VOLUMES, 1000.0)
    others = [Signal.NGRAMS, Signal.CALLS, *PEERS] + [Signal.EXECUTIONS] * told
    assert combination.wholly_new_p_value == pytest.approx(
        sum(combination.by_signal[s].p_value(WHOLLY_NEW[s]) for s in others)
    )


SIGNALS = len(Signal)
DEPENDENCE = {
    "independent": lambda chance, size: chance.exponential(4, (SIGNALS, size)),
    "all the same": lambda chance, size: np.tile(chance.exponential(4, size), (SIGNALS, 1)),
    "one or another": lambda chance, size: (
        chance.exponential(4, size)
        * (chance.integers(0, SIGNALS, size) == np.arange(SIGNALS)[:, None])
    ),
    "mostly nothing": lambda chance, size: (
        chance.exponential(4, (SIGNALS, size)) * (chance.random((SIGNALS, size)) < 0.1)
    ),
}


@pytest.mark.parametrize("dependence", DEPENDENCE)
@pytest.mark.parametrize("p_value", [0.2, 0.05, 1 / 300])
def test_the_combination_keeps_the_promise_whatever_the_dependence(
    dependence: str, p_value: float
) -> None:
    """Of 99 windows: inside the data, and where one alarm is promised in three recordings."""
    chance = np.random.default_rng(3)
    draw = DEPENDENCE[dependence]
    shares = []
    for _ in range(400):
        combination = Combination(
            of_windows(dict(zip(Signal, draw(chance, 99), strict=True))), WHOLLY_NEW
        )
        new = draw(chance, 100)
        evidence = sum(
            -np.log2(combination.by_signal[s].p_values(bits * share))
            for s, bits in zip(Signal, new, strict=True)
            for share in [combination.share(s, 1000) if s in NOVELTIES else 1]
        )
        p_values = combination.calibration.p_values(evidence, np.full(100, 1000))
        shares.append((p_values <= p_value).mean())
    error = float(np.std(shares)) / math.sqrt(len(shares))
    assert np.mean(shares) <= 1.2 * p_value + 3 * error
