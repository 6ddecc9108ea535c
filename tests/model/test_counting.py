"""Ways of counting that are fast, beside those that are obvious."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import small_windows

from baseline.model.call_counts import count_in
from baseline.model.calls import CallModel
from baseline.model.ngram_incidence import _distinct
from baseline.model.volumes import VolumeModel
from baseline.syscalls import symbols_of
from baseline.window import Window


@given(st.lists(st.integers(0, 99)), st.sampled_from([100, 10**6]))
def test_distinct_numbers_are_a_sorted_set(numbers: list[int], below: int) -> None:
    assert _distinct(np.array(numbers, np.int64), below).tolist() == sorted(set(numbers))


@given(st.lists(small_windows, min_size=1, max_size=4))
def test_calls_of_many_windows_are_counted_as_those_of_each(windows: list[Window]) -> None:
    expected = [list(CallModel.histogram(window).items()) for window in windows]
    assert [list(its.items()) for its in CallModel.histograms(windows)] == expected


@given(small_windows, small_windows)
def test_calls_of_one_window_are_counted_as_those_of_many(known: Window, other: Window) -> None:
    symbols = np.unique(symbols_of(known.ngrams.ngrams))
    nothing = np.zeros(len(symbols))
    seen = np.zeros((len(symbols), 2), np.int64)
    model = VolumeModel(
        symbols, np.ones(len(symbols), np.int64), seen, nothing, None, 1, 0, "x86_64"
    )
    for window in (known, other):
        if len(symbols):
            counted, expected = model._count_in(window), count_in([window], symbols)
            assert counted.dtype == expected.dtype
            assert np.array_equal(counted, expected)
