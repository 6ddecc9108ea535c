"""Windows of an interval, against those made of each one's entries."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from baseline.interval import NgramEntries
from baseline.window import NgramCounts

ENTRIES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 3)))
CHOSEN = st.lists(st.booleans(), min_size=4, max_size=4)


@given(ENTRIES, CHOSEN)
def test_histograms_of_windows_are_those_of_each(
    entries: list[tuple[int, int, int]], chosen: list[bool]
) -> None:
    numbers, rows, counts = np.array(entries, np.int64).reshape(-1, 3).T
    ngrams = numbers.astype(np.uint64)
    none = np.empty(0, np.int64)
    found = dict(NgramEntries(rows, ngrams, counts, none, none).histograms(np.array(chosen)))
    assert found == {
        row: NgramCounts.collect(ngrams[rows == row], counts[rows == row])
        for row in np.unique(rows[counts > 0]).tolist()
        if chosen[row]
    }
    for histogram in found.values():
        assert histogram.ngrams.base is None
        assert histogram.counts.base is None
