import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_model import escape_bits as naive_bits

from baseline.model.novelty import discount, escape_bits


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=20))
def test_it_is_the_formula(contexts: list[tuple[int, int]]) -> None:
    windows = np.array([w for w, _ in contexts], np.int64)
    singletons = np.array([s for _, s in contexts], np.int64)
    expected = [naive_bits(w, s) for w, s in contexts]
    assert escape_bits(windows, singletons).tolist() == pytest.approx(expected)


def test_closed_contexts_cost_one_and_a_half_times_the_order_of_magnitude() -> None:
    windows = np.array([100, 10_000, 1_000_000])
    bits = escape_bits(windows, np.zeros(3, np.int64))
    assert np.diff(bits) == pytest.approx(1.5 * math.log2(100), abs=0.2)


def test_the_probability_of_something_new_is_about_the_observed_rate() -> None:
    """New items come in a tenth of the windows: so says the estimate of every such recording."""
    chance = np.random.default_rng(3)
    new = chance.random((200, 500)) < 0.1
    singletons = new.sum(axis=1)
    estimated = 2 ** -escape_bits(np.full(200, 500), singletons)
    assert estimated.mean() == pytest.approx(0.1, rel=0.05)


@given(st.lists(st.integers(1, 2**40), min_size=1), st.floats(1e-6, 1))
def test_what_is_discounted_is_never_nothing(counts: list[int], factor: float) -> None:
    ascending = np.array(sorted(counts), np.int64)
    less = discount(ascending, factor)
    assert (less >= 1).all()
    assert (less <= ascending).all()
    assert less.tolist() == sorted(less.tolist())
    assert discount(ascending, 1).tolist() == ascending.tolist()
