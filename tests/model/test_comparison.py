from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import small_windows
from synthetic_service import (
    ARCHITECTURE,
    CLIENT,
    CURL_STARTED,
    INTRUDER,
    NGINX,
    SHELL_STARTED,
    count_ngrams,
    intruded,
    serving,
    symbols,
    window,
)

from baseline.model.budget import Budget
from baseline.model.comparison import compare
from baseline.model.score import NOVELTIES, Signal
from baseline.model.workload_model import WorkloadModel
from baseline.window import Connection, Execution, Image, Window


@pytest.fixture(scope="module")
def minutes() -> list[Window]:
    """Ten minutes of a service under steady load."""
    return list(islice(serving(seed=11), 600))


def fit(windows: list[Window]) -> WorkloadModel:
    return WorkloadModel.fit(windows, ARCHITECTURE)


@pytest.fixture(scope="module")
def model(minutes: list[Window]) -> WorkloadModel:
    return fit(minutes[:300])


def test_a_model_does_not_differ_from_itself(model: WorkloadModel) -> None:
    comparison = compare(model, model)
    assert not comparison.has_changed
    assert comparison.heaviest_new == 0
    assert comparison.together == ()
    assert {s: shift.bits for s, shift in comparison.shifts.items()} == {
        Signal.VOLUMES: 0,
        Signal.EXECUTIONS: 0,
        Signal.CONNECTIONS_IN: 0,
        Signal.CONNECTIONS_OUT: 0,
    }


def test_more_of_the_same_brings_no_alert_and_no_shift(
    model: WorkloadModel, minutes: list[Window]
) -> None:
    comparison = compare(model, fit(minutes[300:]))
    assert comparison.alerts == ()
    assert not any(shift.beyond_sampling for shift in comparison.shifts.values())
    assert comparison.shifts[Signal.VOLUMES].bits < 0.001


def test_twice_the_load_is_no_shift(model: WorkloadModel) -> None:
    busy = fit(list(islice(serving(seed=12, requests=120), 300)))
    assert compare(model, busy).shifts[Signal.VOLUMES].beyond_sampling == 0


def test_an_intruder_is_new_with_its_surprise_to_the_older_model(
    model: WorkloadModel, minutes: list[Window]
) -> None:
    bad = replace(intruded(minutes[400]), start=minutes[400].start)
    after = fit([*minutes[300:400], bad, *minutes[401:500]])
    comparison = compare(model, after)
    new = {d.item: d for found in comparison.new.values() for d in found}
    assert {SHELL_STARTED, CURL_STARTED, INTRUDER} <= new.keys()
    for item, difference in new.items():
        assert not model.knows(item)
        signal = next(s for s, found in comparison.new.items() if difference in found)
        assert difference.bits == pytest.approx(model.signals[signal].bits(item))
    assert new[SHELL_STARTED].description == "/usr/bin/nginx > /usr/bin/dash (uid 33)"
    assert comparison.has_changed
    assert comparison.heaviest_new == max(d.bits for d in new.values())
    (alert,) = comparison.alerts
    assert alert.time == minutes[400].start
    assert {SHELL_STARTED, CURL_STARTED, INTRUDER} <= {d.item for d in alert.items}
    assert alert.bits == pytest.approx(model.score(bad).bits, rel=0.2)
    # Seen from the other side it is gone.
    gone = compare(after, model).gone
    assert {d.item for found in gone.values() for d in found} == set(new)
    assert [d.bits for d in gone[Signal.EXECUTIONS]] == [
        d.bits for d in comparison.new[Signal.EXECUTIONS]
    ]


def test_alerts_are_counted_by_the_budget(model: WorkloadModel, minutes: list[Window]) -> None:
    rare = count_ngrams(symbols("accept4 recvfrom getrandom close"))
    after = fit([*minutes[300:400], minutes[400] + window(0, rare), *minutes[401:500]])
    strict, loose = (
        compare(model.with_budget(Budget.parse(text)), after) for text in ("1/year", "30/minute")
    )
    assert [g.time for g in strict.together] == [g.time for g in loose.together]
    assert len(strict.alerts) < len(loose.alerts)


def test_what_is_only_rarer_is_a_shift_of_the_mix(model: WorkloadModel) -> None:
    chance = np.random.default_rng(3)
    wait, *request = symbols("epoll_wait accept4 recvfrom newfstatat openat fstat close")
    other = symbols("accept4 recvfrom writev close")

    def second(number: int, share: float) -> Window:
        calls = []
        for _ in range(60):
            calls += [wait, *(request if chance.random() < share else other)]
        return window(number, count_ngrams(calls), connections={CLIENT: 60})

    often, seldom, again = (
        fit([second(n, share) for n in range(200)]) for share in (0.8, 0.2, 0.8)
    )
    shift = compare(often, seldom).shifts[Signal.VOLUMES]
    assert shift.bits > 0.1
    changes = {c.description: c for c in shift.changes}
    assert sum(c.bits for c in shift.changes) == pytest.approx(shift.bits)
    openat, writev = changes["openat"], changes["writev"]
    assert openat.after < openat.before
    assert writev.after > writev.before
    assert openat.is_beyond_sampling
    assert writev.is_beyond_sampling
    assert not changes["accept4"].is_beyond_sampling
    same = compare(often, again).shifts[Signal.VOLUMES]
    assert same.bits < 0.001
    assert same.beyond_sampling == 0


def test_programs_that_start_more_often_are_a_shift() -> None:
    job = Execution((NGINX, Image("/usr/bin/rotate")), 0)
    check = Execution((NGINX, Image("/usr/bin/check")), 0)

    def seconds(every: int) -> list[Window]:
        return [
            window(n, executions={check: 1} | ({job: 1} if n % every == 0 else {}))
            for n in range(300)
        ]

    shift = compare(fit(seconds(30)), fit(seconds(3))).shifts[Signal.EXECUTIONS]
    changes = {c.description: c for c in shift.changes}
    rotate = changes["/usr/bin/nginx > /usr/bin/rotate (uid 0)"]
    assert (rotate.before, rotate.after) == pytest.approx((10 / 310, 100 / 400))
    assert rotate.is_beyond_sampling
    chance = compare(fit(seconds(30)), fit(seconds(29))).shifts[Signal.EXECUTIONS]
    assert chance.beyond_sampling == 0
    assert chance.bits > 0


def test_ever_new_clients_are_new_and_weigh_next_to_nothing() -> None:
    def clients(first: int) -> WorkloadModel:
        return fit(
            [
                window(
                    n,
                    connections={
                        Connection("in", "tcp", f"198.{first}.{n % 250}.{n // 250}", 443): 1
                    },
                )
                for n in range(300)
            ]
        )

    comparison = compare(clients(51), clients(52))
    new = comparison.new[Signal.CONNECTIONS_IN]
    assert len(new) == 300
    assert max(d.bits for d in new) < 3
    assert comparison.alerts == ()


trainings = st.lists(small_windows, min_size=1, max_size=4).filter(
    lambda windows: any(w.observed for w in windows)
)


@settings(max_examples=25, deadline=None)
@given(a=trainings, b=trainings)
def test_every_item_is_new_gone_or_known_to_both(a: list[Window], b: list[Window]) -> None:
    before, after = fit(a), fit(b)
    comparison = compare(before, after)
    for signal in NOVELTIES:
        new, gone = ({d.item for d in side[signal]} for side in (comparison.new, comparison.gone))
        both = before.signals[signal].items - len(gone)
        assert both == after.signals[signal].items - len(new)
        assert not any(before.knows(item) for item in new)
        assert not any(after.knows(item) for item in gone)
    assert sum(len(g.items) for g in comparison.together) == sum(map(len, comparison.new.values()))
    for shift in comparison.shifts.values():
        assert shift.bits >= 0
        assert all(c.bits >= 0 and 0 <= c.p_value <= 1 for c in shift.changes)
