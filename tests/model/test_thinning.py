import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline.model.novelty import escape_bits
from baseline.model.thinning import MOST_WINDOWS, fewer_appearances, fewer_windows

factors = st.floats(0.001, 1)
limits = st.one_of(st.integers(1, 50), st.just(MOST_WINDOWS))


@given(windows=st.integers(1, 10**6), factor=factors, most=limits)
def test_fewer_windows_are_some_and_never_more(windows: int, factor: float, most: int) -> None:
    fewer = int(fewer_windows(np.array(windows), factor, most))
    assert 1 <= fewer <= min(windows, most)
    assert fewer >= min(windows, 2, most)
    assert fewer <= max(windows * factor + 1, 2)


@given(
    context=st.integers(1, 10**6),
    shares=st.lists(st.floats(0, 1), max_size=30),
    factor=factors,
    most=limits,
)
def test_what_was_seen_stays_seen_in_no_more_windows_than_its_context(
    context: int, shares: list[float], factor: float, most: int
) -> None:
    seen = np.array([max(1, round(share * context)) for share in shares], np.int64)
    windows = np.full(len(seen), context)
    fewer = fewer_appearances(seen, windows, factor, most)
    limit = fewer_windows(windows, factor, most)
    assert ((fewer >= 1) & (fewer <= limit)).all()
    assert (fewer[seen > 1] >= np.minimum(limit[seen > 1], 2)).all()  # never only once


@given(context=st.integers(1, 1000), count=st.integers(0, 30))
def test_at_full_weight_all_stays_as_it_was(context: int, count: int) -> None:
    seen = np.arange(count) % context + 1
    windows = np.full(count, context)
    assert fewer_appearances(seen, windows, 1.0, MOST_WINDOWS).tolist() == seen.tolist()
    assert fewer_windows(windows, 1.0, MOST_WINDOWS).tolist() == windows.tolist()


@pytest.mark.parametrize(("factor", "most"), [(0.1, MOST_WINDOWS), (0.1, 50), (0.02, 10**6)])
def test_the_rate_of_novelty_stays_and_only_its_weight_falls(factor: float, most: int) -> None:
    seen = np.array([1, 3, 2, 9] * 100)  # a hundred were seen once, three hundred a few times
    windows = np.full(len(seen), 1000)
    fewer = fewer_appearances(seen, windows, factor, most)
    (left,) = fewer_windows(np.array([1000]), factor, most).tolist()
    once = int((fewer == 1).sum())
    assert once / left == pytest.approx(100 / 1000, rel=0.15)
    before, after = (
        float(escape_bits(np.array(n), np.array(q))) for n, q in ((1000, 100), (left, once))
    )
    assert after == pytest.approx(before, abs=0.4)


def test_those_seen_once_are_thinned_evenly() -> None:
    fewer = fewer_appearances(np.ones(100, np.int64), np.full(100, 10_000), 0.125, MOST_WINDOWS)
    once = np.flatnonzero(fewer == 1)
    assert set(np.diff(once).tolist()) == {8}
