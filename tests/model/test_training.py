from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import MIDNIGHT, ledgers
from synthetic_service import SECOND, window

from baseline.model.training import Training, joined
from baseline.window import Ledger, Tally, Window

spans = st.lists(
    st.tuples(st.integers(0, 20), st.integers(-1, 4)).map(
        lambda span: (span[0] * SECOND // 2, (span[0] + span[1]) * SECOND // 2)
    ),
    max_size=8,
)


@given(spans)
def test_joined_spans_cover_the_same_time(some: list[tuple[int, int]]) -> None:
    union = joined(some)
    assert joined(union) == union
    assert all(start <= end for start, end in union)
    assert all(later > end + SECOND for (_, end), (later, _) in pairwise(union))
    for half_second in range(-2, 50):
        time = half_second * SECOND // 2
        near = [abs(edge - time) <= SECOND for span in some for edge in span]
        if any(start <= time <= end for start, end in some):
            assert any(start <= time <= end for start, end in union)
        elif any(start <= time <= end for start, end in union):
            assert any(near)


@given(spans, st.data())
def test_the_order_of_spans_does_not_matter(
    some: list[tuple[int, int]], data: st.DataObject
) -> None:
    assert joined(data.draw(st.permutations(some))) == joined(some)


trainings = st.builds(
    Training,
    spans=spans.filter(bool).map(joined),
    observed=st.integers(1, 10**12),
    windows=st.integers(1, 10**6),
    replicas=st.integers(1, 9),
    ledger=ledgers(most=10**12),
)


@given(trainings, trainings, trainings)
def test_merging_is_associative_and_commutative(a: Training, b: Training, c: Training) -> None:
    assert Training.merged([a, b]) == Training.merged([b, a])
    left = Training.merged([Training.merged([a, b]), c])
    right = Training.merged([a, Training.merged([b, c])])
    assert left == right == Training.merged([a, b, c])
    assert Training.merged([a]) == a


def test_windows_of_replicas_are_counted_together() -> None:
    ledger = Ledger(ngrams=Tally(5, 3, 1, 1))
    windows = [replace(window(i, replica=r), ledger=ledger) for i in range(60) for r in "abc"]
    training = Training.of(windows)
    assert (training.replicas, training.windows) == (3, 180)
    assert training.observed == 180 * SECOND
    assert training.covered == training.end - training.start == 60 * SECOND
    assert training.windows_per_second == 3
    assert training.windows_per_week == 3 * 7 * 24 * 3600
    assert training.ledger.ngrams == Tally(900, 540, 180, 180)


def test_merging_halves_is_training_on_the_whole() -> None:
    hour = [window(i, replica="a" if i < 1800 else "b") for i in range(3600)]
    halves = [Training.of(hour[:1800]), Training.of(hour[1800:])]
    assert Training.merged(halves) == Training.of(hour)


def test_pauses_do_not_count_as_watched() -> None:
    two_days = [window(i) for i in (*range(60), *range(86_400, 86_460))]
    training = Training.of(two_days)
    assert training.spans == (
        (MIDNIGHT, MIDNIGHT + 60 * SECOND),
        (MIDNIGHT + 86_400 * SECOND, MIDNIGHT + 86_460 * SECOND),
    )
    assert training.covered == 120 * SECOND


@pytest.mark.parametrize("jump", [-3600, 3600])
def test_a_clock_that_is_set_changes_no_rate(jump: int) -> None:
    steady = [window(i) for i in range(60)]
    jumped = replace(window(60), end=MIDNIGHT + (61 + jump) * SECOND)
    training = Training.of([*steady, jumped])
    assert training.windows_per_second == pytest.approx(1, rel=0.05)


def test_time_that_only_another_clock_saw() -> None:
    no_wall_clock_time = Window("web", "a", MIDNIGHT, MIDNIGHT, SECOND)
    training = Training.of([no_wall_clock_time])
    assert training.covered == SECOND
