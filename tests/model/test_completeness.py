import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from synthetic_service import CLIENT, SHELL_STARTED, serving, window

from baseline.model.appearances import LEAST_WINDOWS, SLICES
from baseline.model.completeness import SignalCompleteness, State, WorkloadCompleteness
from baseline.model.completeness_accumulator import CompletenessAccumulator, completeness_of
from baseline.window import (
    Connection,
    Execution,
    Histogram,
    Image,
    Ledger,
    NgramCounts,
    Tally,
    Window,
)

Items = set[Hashable]
few = settings(max_examples=60, deadline=None)


def showing(number: int, *items: int, replica: str = "shop/web-1") -> Window:
    """A second in which these n-grams, programs and peers occurred."""
    return window(
        number,
        NgramCounts(np.array(sorted(set(items)), np.uint64), np.ones(len(set(items)), np.int64)),
        {Execution((Image(f"/bin/{item}"),), 0): 1 for item in items},
        {Connection("out", "tcp", f"10.0.0.{item}", 80): 1 for item in items},
        replica,
    )


def figures(windows: Sequence[Window], signal: Histogram = Histogram.NGRAMS) -> SignalCompleteness:
    return completeness_of(windows).signals[signal]


# The slow, obvious twin: sets of items, slice by slice.


def items_of(window: Window, signal: Histogram) -> Items:
    if signal == Histogram.NGRAMS:
        return set(window.ngrams.ngrams.tolist())
    return set(window.executions if signal == Histogram.EXECUTIONS else window.connections)


def obvious_slices(windows: Sequence[Window]) -> list[list[Window]]:
    replicas: dict[str, list[Window]] = {}
    for its in windows:
        replicas.setdefault(its.replica, []).append(its)
    length = max(len(windows) / SLICES, LEAST_WINDOWS)
    slices: list[list[Window]] = []
    for its_windows in replicas.values():
        number = max(round(len(its_windows) / length), 1)
        own: list[list[Window]] = [[] for _ in range(number)]
        for position, its in enumerate(its_windows):
            own[position * number // len(its_windows)].append(its)
        slices += own
    return slices


def obvious_figures(windows: Sequence[Window], signal: Histogram) -> dict[str, Any]:
    slices = obvious_slices(windows)
    shown = [set().union(*(items_of(w, signal) for w in part)) for part in slices]
    times = Counter(item for items in shown for item in items)
    uniques = [{item for item in items if times[item] == 1} for items in shown]
    seen: Items = set()
    largest_burst = 0
    for its in windows:
        new = items_of(its, signal) - seen
        seen |= new
        if not any(its is first for first in slices[0]):
            largest_burst = max(largest_burst, len(new))
    introducing = 0
    for part, alone in zip(slices, uniques, strict=True):
        left = set(alone)
        for its in part:
            introducing += bool(left & items_of(its, signal))
            left -= items_of(its, signal)
    return {
        "items": len(times),
        "windows": len(windows),
        "slices": len(slices),
        "uniques": Counter(len(alone) for alone in uniques if alone),
        "largest_burst": largest_burst,
        "unseen_mass": introducing / len(windows),
    }


contents = st.lists(st.integers(1, 30), max_size=4)
recordings = st.lists(
    st.tuples(st.sampled_from(["web-1", "web-2", "web-3"]), contents), min_size=1, max_size=90
).map(lambda rows: [showing(n, *items, replica=replica) for n, (replica, items) in enumerate(rows)])


@few
@given(recordings, st.sampled_from(Histogram))
def test_it_is_what_the_obvious_count_says(windows: list[Window], signal: Histogram) -> None:
    found = figures(windows, signal)
    for name, value in obvious_figures(windows, signal).items():
        assert getattr(found, name) == value
    assert found.seconds == pytest.approx(len(windows))
    assert found.unseen_mass <= found.unseen_mass_bound


@few
@given(recordings, st.lists(st.integers(0, 90)))
def test_asking_in_between_changes_nothing(windows: list[Window], asked: list[int]) -> None:
    accumulator = CompletenessAccumulator()
    for number, its in enumerate(windows):
        accumulator.add(its)
        if number in asked:
            assert accumulator.estimate() == completeness_of(windows[: number + 1])
    assert accumulator.estimate() == completeness_of(windows)


@few
@given(recordings, st.randoms(use_true_random=False))
def test_order_within_a_slice_does_not_matter(windows: list[Window], chance: Any) -> None:
    shuffled: list[Window] = []
    for part in obvious_slices(windows):
        shuffled += chance.sample(part, len(part))
    before, after = figures(windows), figures(shuffled)
    for name in ("items", "windows", "slices", "uniques"):
        assert getattr(after, name) == getattr(before, name)


@few
@given(recordings)
@example([showing(0, 1, 2, 3)])
def test_seeing_all_of_it_again_only_lowers_the_unseen_mass(windows: list[Window]) -> None:
    again = [replace(its, replica=f"again/{its.replica}") for its in windows]
    once, twice = figures(windows), figures([*windows, *again])
    assert twice.unseen_mass == 0
    assert twice.unseen_mass_bound <= once.unseen_mass_bound


@few
@given(recordings, st.lists(st.integers(1, 50), max_size=4))
def test_the_longer_nothing_is_new_the_lower_the_bound(
    windows: list[Window], pauses: list[int]
) -> None:
    settled = [*windows, *(replace(its, replica=f"again/{its.replica}") for its in windows)]
    bounds = [figures(settled).unseen_mass_bound]
    for pause in pauses:
        settled += [replace(windows[0], replica="quiet")] * pause
        bounds.append(figures(settled).unseen_mass_bound)
    assert bounds == sorted(bounds, reverse=True)


def changing(seed: int, windows: int) -> Iterator[Window]:
    """Kinds of requests, each rarer than the last and with n-grams of its own, under a load that
    changes from minute to minute."""
    chance = np.random.default_rng(seed)
    rates = 3.0 * 0.8 ** np.arange(60)
    sizes = 1 + chance.geometric(0.1, len(rates))
    ends = np.cumsum(sizes)
    load = 1.0
    for number in range(windows):
        load = chance.lognormal(0, 0.5) if number % 60 == 0 else load
        kinds = np.flatnonzero(chance.poisson(rates * load))
        own = [np.arange(ends[kind] - sizes[kind], ends[kind]) for kind in kinds]
        items = np.concatenate(own) if own else np.empty(0, np.int64)
        yield window(number, NgramCounts(np.sort(items).astype(np.uint64) + 1, np.ones_like(items)))


@pytest.mark.parametrize(("learned", "ahead"), [(8, 8), (60, 30), (240, 240), (240, 1200)])
def test_what_comes_is_inside_the_interval(learned: int, ahead: int) -> None:
    inside = []
    for seed in range(40):
        windows = list(changing(seed, learned + ahead))
        predicted = figures(windows[:learned]).new_items(ahead)
        known, met = (
            {item for its in part for item in items_of(its, Histogram.NGRAMS)}
            for part in (windows[:learned], windows[learned:])
        )
        inside.append(predicted.low <= len(met - known) <= predicted.high)
    assert np.mean(inside) >= 0.8


def test_figures_are_of_all_time_and_all_replicas() -> None:
    windows = list(islice(serving(1), 40))
    other = [replace(its, replica="shop/web-2") for its in windows]
    together = completeness_of([w for pair in zip(windows, other, strict=True) for w in pair])
    peers = together.signals[Histogram.CONNECTIONS]
    assert (peers.items, peers.windows, peers.seconds) == (1, 80, 40.0)


def test_a_clock_that_is_set_does_not_count_as_time() -> None:
    windows = [showing(n if n < 10 else n + 9999, 1) for n in range(20)]
    assert figures(windows).seconds == 20
    windows = [showing(n if n < 10 else n - 9999, 1) for n in range(20)]
    assert figures(windows).seconds == 10


# States


def losing(window: Window, tally: Tally, signal: Histogram = Histogram.NGRAMS) -> Window:
    return replace(window, ledger=Ledger(**{signal.value: tally}))


STEADY = [showing(n, 1, 2, 3) for n in range(400)]


@pytest.mark.parametrize(
    ("windows", "state", "reason"),
    [
        ([], State.EMPTY, "nothing was counted"),
        ([showing(n) for n in range(400)], State.EMPTY, "nothing was counted"),
        (STEADY[:100], State.PARTIAL, "100 windows, 297 without news are enough"),
        (STEADY, State.COMPLETE, "at most 0.7% of windows show anything new"),
        (
            [showing(n, 1, 2, n % 2 and n + 9) for n in range(400)],
            State.PARTIAL,
            "up to 73% of windows show new n-grams",
        ),
        (
            [window(n, connections={CLIENT: 1}) for n in range(399)]
            + [window(399, executions={SHELL_STARTED: 1})],
            State.PARTIAL,
            "up to 1.2% of windows show new executions",
        ),
        (
            [*STEADY, *(showing(n, 1, n) for n in range(400, 500))],
            State.UNSTABLE,
            "the last 2 min brought 100 new n-grams, expected at most 1",
        ),
        (
            [losing(STEADY[0], Tally(5, 4, 0, 1), Histogram.CONNECTIONS), *STEADY[1:]],
            State.LOSSY,
            "1 of 5 connections were lost",
        ),
        (
            [*STEADY[1:], losing(STEADY[0], Tally(12, 10))],
            State.LOSSY,
            "2 n-grams are unaccounted for",
        ),
    ],
)
def test_a_state_has_its_reason(windows: list[Window], state: State, reason: str) -> None:
    found = completeness_of(windows)
    assert (found.state, found.reason) == (state, reason)


def test_what_was_to_be_expected_is_not_unstable() -> None:
    unstable = []
    for seed in range(10):
        accumulator = CompletenessAccumulator()
        for its in islice(serving(seed), 200):
            accumulator.add(its)
            unstable.append(accumulator.estimate().state == State.UNSTABLE)
    assert np.mean(unstable) < 0.1


def test_no_time_has_no_figures() -> None:
    found = completeness_of([replace(showing(0, 1), end=showing(0).start, observed=0)])
    assert found.signals == {}
    assert found.unseen_mass_bound == 1


# On disk


@few
@given(recordings)
@example([])
def test_as_json_and_back_it_is_the_same(windows: list[Window]) -> None:
    completeness = completeness_of(windows)
    text = json.dumps(completeness.to_dict())
    assert WorkloadCompleteness.from_dict(json.loads(text)) == completeness


def spoiled(name: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda its: its["signals"]["ngrams"].update({name: value})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda its: its.update(state="perfect"),
        lambda its: its.update(state=["empty"]),
        lambda its: its.update(reason=None),
        lambda its: its.update(reason="x" * 10_000),
        lambda its: its.update(more=1),
        lambda its: its.pop("reason"),
        lambda its: its.update(signals=[]),
        lambda its: its["signals"].update(calls={}),
        lambda its: its["signals"].update(ngrams=None),
        lambda its: its["signals"].pop("connections"),
        lambda its: its["signals"]["ngrams"].pop("items"),
        spoiled("items", -1),
        spoiled("items", 2.5),
        spoiled("items", True),
        spoiled("items", 1 << 70),
        spoiled("items", 1),
        spoiled("windows", 0),
        spoiled("slices", 0),
        spoiled("slices", 1000),
        spoiled("largest_burst", 1000),
        spoiled("seconds", 0),
        spoiled("seconds", 5e-324),
        spoiled("seconds", float("nan")),
        spoiled("seconds", "60"),
        spoiled("unseen_mass", 0.99),
        spoiled("unseen_mass", -0.1),
        spoiled("unseen_mass_bound", 1.5),
        spoiled("uniques", {"1": 2}),
        spoiled("uniques", [[1, 2, 3]]),
        spoiled("uniques", [[0, 1]]),
        spoiled("uniques", [[1, 1], [1, 2]]),
        spoiled("uniques", [[1, 21]]),
        spoiled("uniques", [[1000, 1]]),
        spoiled("uniques", [["1", 1]]),
    ],
)
def test_nonsense_is_refused(spoil: Callable[[dict[str, Any]], object]) -> None:
    values = completeness_of(islice(serving(1), 60)).to_dict()
    WorkloadCompleteness.from_dict(values)
    spoil(values)
    with pytest.raises(ValueError, match=r".+"):
        WorkloadCompleteness.from_dict(values)


@pytest.mark.parametrize("values", [None, [], "complete", 3, {}])
def test_what_is_no_completeness_is_refused(values: Any) -> None:
    with pytest.raises(ValueError, match="other fields"):
        WorkloadCompleteness.from_dict(values)
