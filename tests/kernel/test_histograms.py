"""Histograms of all groups at once, against those of each."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from baseline.kernel.tables import _Growth
from baseline.window import NgramCounts

ENTRIES = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4), st.integers(0, 3)))


@given(ENTRIES)
def test_histograms_of_groups_are_those_of_each(entries: list[tuple[int, int, int]]) -> None:
    ngrams, groups, counts = np.array(entries, np.int64).reshape(-1, 3).T
    growth = _Growth(ngrams.astype(np.uint64), groups, counts)
    expected = {
        group: NgramCounts.collect(growth.keys[groups == group], counts[groups == group])
        for group in np.unique(groups[counts > 0]).tolist()
    }
    found = dict(growth.histograms())
    assert found == expected
    for histogram in found.values():
        assert histogram.ngrams.base is None
        assert histogram.counts.base is None
