from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline.model.share_changes import Occurred, _variance, shift

NAMES = {item: item for item in "abcd"}

windows_of_items = st.lists(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 50), min_size=1, max_size=4),
    min_size=1,
    max_size=12,
)


def occurred(windows: list[dict[str, int]], *, with_squares: bool = True) -> Occurred:
    """What would be known of such windows."""
    counts: Counter[str] = Counter()
    squares: Counter[str] = Counter()
    for window in windows:
        counts.update(window)
        squares.update({item: n * n for item, n in window.items()})
    sizes = np.array([sum(window.values()) for window in windows], float)
    return Occurred(
        dict(counts), sizes.sum() ** 2 / (sizes**2).sum(), dict(squares) if with_squares else {}
    )


@given(windows=windows_of_items, with_squares=st.booleans())
def test_the_variance_is_bounded_from_above(
    windows: list[dict[str, int]], with_squares: bool
) -> None:
    size = 200
    for window in windows:
        window["d"] = size - sum(n for item, n in window.items() if item != "d")
    known = occurred(windows, with_squares=with_squares)
    for item, count in known.counts.items():
        share = count / (size * len(windows))
        of_item = np.array([window.get(item, 0) for window in windows])
        variance = ((of_item - share * size) ** 2).sum() / (size * len(windows)) ** 2
        assert _variance(known, item, size * len(windows)) >= variance * (1 - 1e-9)


@given(a=windows_of_items, b=windows_of_items)
def test_what_items_carry_adds_up_to_the_relative_entropy(
    a: list[dict[str, int]], b: list[dict[str, int]]
) -> None:
    before, after = occurred(a), occurred(b)
    found = shift(before, after, NAMES)
    both = sorted(set(before.counts) & set(after.counts))
    assert sorted(c.description for c in found.changes) == both
    shares = [np.array([side.counts[i] for i in both], float) for side in (before, after)]
    p, q = (s / s.sum() for s in shares)
    assert found.bits == pytest.approx(float((q * np.log2(q / p)).sum()), abs=1e-9)
    assert all(c.bits >= 0 for c in found.changes)


def test_two_samples_of_the_same_differ_by_chance() -> None:
    """A thousand pairs of trainings of one service: next to none may be called a shift."""
    random = np.random.default_rng(5)
    called = 0
    for _ in range(1000):
        sides = []
        for _ in range(2):
            sizes = random.integers(20, 200, 40)
            # Windows differ by more than draws do: each has shares of its own.
            shares = random.dirichlet([8, 4, 2, 0.5], 40)
            drawn = [random.multinomial(n, p) for n, p in zip(sizes, shares, strict=True)]
            sides.append([{i: int(n) for i, n in zip("abcd", d, strict=True) if n} for d in drawn])
        found = shift(occurred(sides[0]), occurred(sides[1]), NAMES)
        called += found.beyond_sampling > 0
    assert called <= 3


def test_twice_the_share_in_every_window_is_no_chance() -> None:
    random = np.random.default_rng(6)

    def windows(share: float) -> list[dict[str, int]]:
        return [
            {"a": int(n * share), "b": n - int(n * share)} for n in random.integers(500, 1500, 180)
        ]

    found = shift(occurred(windows(0.02)), occurred(windows(0.04)), NAMES)
    assert found.changes[0].description == "a"
    assert found.changes[0].is_beyond_sampling
    again = shift(occurred(windows(0.02)), occurred(windows(0.02)), NAMES)
    assert again.beyond_sampling == 0


def test_nothing_in_common_is_no_shift() -> None:
    found = shift(occurred([{"a": 3}]), occurred([{"b": 3}]), NAMES)
    assert (found.bits, found.changes) == (0.0, ())
