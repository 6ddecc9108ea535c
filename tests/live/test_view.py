from collections.abc import Sequence
from dataclasses import replace

import pytest
from shown import SHELL_STARTED, learned, row, snapshot, snapshot_of, window

from baseline.live.keys import Key
from baseline.live.overview import Snapshot
from baseline.live.view import Order, Page, View, in_order
from baseline.model.score import Signal
from baseline.window import Ledger, Tally

HEIGHT = 2
THREE = snapshot(row("a", 1), row("b", 3), row("c", 2))


def after(view: View, shown: Snapshot, *keys: Key) -> View:
    for key in keys:
        view = view.after(key, shown, HEIGHT)
    return view


def names(shown: Snapshot, order: Order) -> Sequence[str]:
    return [each.workload for each in in_order(shown, order)]


def test_orders() -> None:
    lossy = Ledger(ngrams=Tally(5, 3, lost=2))
    shown = snapshot(
        row("a", 9, bits=1.0, threshold=20.0),
        row("b", 5, bits=15.0, threshold=30.0, new={Signal.NGRAMS: 3}),
        row("c", 5, bits=14.0, threshold=20.0, new={Signal.EXECUTIONS: 4}),
        row("d", 7, bits=2.0, threshold=20.0, is_alerting=True),
        row("e", 8, ledger=lossy),
    )
    assert names(shown, Order.SCORE) == list("dcbae")
    assert names(shown, Order.CALLS) == list("aedbc")
    assert names(shown, Order.NEW) == list("cbade")
    assert names(shown, Order.LOST) == list("eabcd")
    assert names(shown, Order.NAME) == list("abcde")


def test_sorting_goes_round_all_orders_that_mean_something() -> None:
    for is_judged, orders in ((True, set(Order)), (False, set(Order) - {Order.SCORE})):
        view = View(Order.CALLS)
        seen = []
        for _ in orders:
            view = after(view, replace(THREE, is_judged=is_judged), Key.SORT)
            seen.append(view.order)
        assert set(seen) == orders
        assert view.order == Order.CALLS


@pytest.mark.parametrize(
    ("keys", "selected"),
    [
        ([], "b"),
        ([Key.DOWN], "c"),
        ([Key.DOWN] * 5, "a"),
        ([Key.DOWN] * 5 + [Key.UP], "c"),
        ([Key.UP], "b"),
        ([Key.PAGE_DOWN], "a"),
        ([Key.END, Key.PAGE_UP], "b"),
        ([Key.END], "a"),
        ([Key.END, Key.HOME], "b"),
    ],
)
def test_selecting_a_workload(keys: list[Key], selected: str) -> None:
    chosen = after(View(Order.CALLS), THREE, *keys).selected(THREE)
    assert chosen
    assert chosen.workload == selected


def test_what_is_selected_stays_so_when_its_place_changes() -> None:
    view = after(View(Order.CALLS), THREE, Key.DOWN)
    later = snapshot(row("a", 1), row("b", 3), row("c", 4))
    for shown in (THREE, later):
        chosen = view.selected(shown)
        assert chosen
        assert chosen.workload == "c"
    gone = view.selected(snapshot(row("a", 1), row("b", 3)))
    assert gone
    assert gone.workload == "b"


def test_until_something_was_selected_it_is_the_first() -> None:
    later = snapshot(row("a", 9), row("b", 3))
    chosen = View(Order.CALLS).selected(later)
    assert chosen
    assert chosen.workload == "a"


def test_to_the_alert_and_back() -> None:
    windows = [
        window(1, {1: 100, 2: 10, 3: 1}),
        window(2, {1: 100, 2: 10, 3: 1}, [SHELL_STARTED]),
        window(3, {1: 100, 2: 10, 30: 1, 31: 1, 32: 1}),
    ]
    shown = snapshot_of(windows, learned())
    (web,) = shown.rows
    latest, earlier = web.latest
    view = after(View(Order.SCORE), shown, Key.RIGHT)
    assert (view.page, view.workload) == (Page.ALERTS, "web")
    assert view.selected_alert(web) is latest
    view = after(view, shown, Key.DOWN, Key.DOWN)
    assert view.selected_alert(web) is earlier
    view = after(view, shown, Key.RIGHT)
    assert (view.page, view.alert) == (Page.ALERT, earlier.id)
    assert after(view, shown, Key.RIGHT) == view
    down = after(view, shown, Key.DOWN, Key.PAGE_DOWN, Key.UP)
    assert down.scrolled == 1 + HEIGHT - 1
    assert after(down, shown, Key.HOME).scrolled == 0
    back = after(down, shown, Key.LEFT)
    assert (back.page, back.scrolled) == (Page.ALERTS, 0)
    assert back.selected_alert(web) is earlier
    assert after(back, shown, Key.LEFT, Key.LEFT).page == Page.WORKLOADS


def test_an_open_alert_stays_open_when_another_comes() -> None:
    first = window(2, {1: 100, 2: 10, 3: 1}, [SHELL_STARTED])
    shown = snapshot_of([first], learned())
    view = after(View(Order.SCORE), shown, Key.RIGHT, Key.RIGHT)
    later = snapshot_of([first, window(3, {1: 100, 2: 10, 30: 1, 31: 1, 32: 1})], learned())
    (web,) = later.rows
    assert len(web.latest) == 2
    assert view.selected_alert(web) == web.latest[1]


def test_where_there_is_nothing_keys_do_nothing() -> None:
    nothing = snapshot()
    view = View(Order.SCORE)
    for key in (Key.UP, Key.DOWN, Key.RIGHT, Key.LEFT, Key.END):
        assert after(view, nothing, key) == view
    alone = snapshot(row("a"))
    alerts = after(view, alone, Key.RIGHT)
    assert alerts.page == Page.ALERTS
    for key in (Key.UP, Key.DOWN, Key.RIGHT):
        assert after(alerts, alone, key) == alerts


def test_pausing_and_leaving() -> None:
    view = after(View(Order.SCORE), THREE, Key.PAUSE)
    assert view.is_paused
    assert not after(view, THREE, Key.PAUSE).is_paused
    assert not view.is_over
    assert after(view, THREE, Key.QUIT).is_over
