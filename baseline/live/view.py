"""What of a snapshot is on the screen, and what each key makes of that."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from baseline.alerts.alert import Alert
from baseline.live.keys import Key
from baseline.live.overview import Row, Snapshot


class Order(StrEnum):
    """What the workloads are sorted by: most of it first, names from A to Z."""

    SCORE = "score"
    CALLS = "calls"
    NEW = "new"
    LOST = "lost"
    NAME = "name"


_SORTED_BY: dict[Order, Callable[[Row], Any]] = {
    Order.SCORE: lambda row: (not row.is_alerting, -row.fullness),
    Order.CALLS: lambda row: -row.calls,
    Order.NEW: lambda row: -sum(row.new.values()),
    Order.LOST: lambda row: -row.unaccounted,
    Order.NAME: lambda row: row.workload,
}


def in_order(snapshot: Snapshot, order: Order) -> list[Row]:
    """The rows, sorted; those that are alike by name."""
    return sorted(snapshot.rows, key=lambda row: (_SORTED_BY[order](row), row.workload))


class Page(StrEnum):
    """What fills the screen."""

    WORKLOADS = "workloads"
    ALERTS = "alerts"
    ALERT = "alert"


_FAR = 1 << 30
_BEFORE = {Page.WORKLOADS: Page.WORKLOADS, Page.ALERTS: Page.WORKLOADS, Page.ALERT: Page.ALERTS}


@dataclass(frozen=True)
class View:
    """Where the user is.

    Selected is what bears a name, so that it stays selected when its place changes.

    Attributes:
        order: of the workloads.
        page: what fills the screen.
        workload: name of the selected one; ``None`` for whichever is first.
        alert: identifier of its selected alert; ``None`` for the latest.
        scrolled: lines of the alert that are above the screen.
        is_paused: the snapshot stays as it is.
        is_over: the user wants to leave.
    """

    order: Order
    page: Page = Page.WORKLOADS
    workload: str | None = None
    alert: str | None = None
    scrolled: int = 0
    is_paused: bool = False
    is_over: bool = False

    def after(self, key: Key, snapshot: Snapshot, height: int) -> "View":
        """The view once a key was pressed.

        Args:
            key: the key.
            snapshot: what is shown.
            height: lines that ``page up`` and ``page down`` go by.
        """
        match key:
            case Key.QUIT:
                return replace(self, is_over=True)
            case Key.PAUSE:
                return replace(self, is_paused=not self.is_paused)
            case Key.SORT:
                return replace(self, order=self._next_order(snapshot))
            case Key.RIGHT:
                return self._beyond(snapshot)
            case Key.LEFT:
                return replace(self, page=_BEFORE[self.page], scrolled=0)
        steps = {
            Key.UP: -1,
            Key.DOWN: 1,
            Key.PAGE_UP: -height,
            Key.PAGE_DOWN: height,
            Key.HOME: -_FAR,
            Key.END: _FAR,
        }
        return self._moved(steps[key], snapshot)

    def selected(self, snapshot: Snapshot) -> Row | None:
        """The selected workload; ``None`` where there is none at all."""
        rows = in_order(snapshot, self.order)
        return rows[self.place(rows)] if rows else None

    def selected_alert(self, row: Row) -> Alert | None:
        """The selected alert of the selected workload."""
        return row.latest[self.alert_place(row)] if row.latest else None

    def place(self, rows: Sequence[Row]) -> int:
        """Number of the selected one among rows."""
        return next((n for n, row in enumerate(rows) if row.workload == self.workload), 0)

    def alert_place(self, row: Row) -> int:
        """Number of the selected one among a workload's alerts."""
        return next((n for n, alert in enumerate(row.latest) if alert.id == self.alert), 0)

    def _next_order(self, snapshot: Snapshot) -> Order:
        orders = [order for order in Order if snapshot.is_judged or order != Order.SCORE]
        place = orders.index(self.order) if self.order in orders else -1
        return orders[(place + 1) % len(orders)]

    def _beyond(self, snapshot: Snapshot) -> "View":
        row = self.selected(snapshot)
        if row is None:
            return self
        view = replace(self, workload=row.workload)
        if self.page == Page.WORKLOADS:
            return replace(view, page=Page.ALERTS, alert=None)
        alert = self.selected_alert(row)
        if alert is None or self.page == Page.ALERT:
            return view
        return replace(view, page=Page.ALERT, alert=alert.id, scrolled=0)

    def _moved(self, step: int, snapshot: Snapshot) -> "View":
        if self.page == Page.ALERT:
            return replace(self, scrolled=max(self.scrolled + step, 0))
        rows = in_order(snapshot, self.order)
        if not rows:
            return self
        place = self.place(rows)
        if self.page == Page.WORKLOADS:
            return replace(self, workload=rows[_within(place + step, len(rows))].workload)
        row = rows[place]
        if not row.latest:
            return self
        chosen = row.latest[_within(self.alert_place(row) + step, len(row.latest))]
        return replace(self, alert=chosen.id)


def _within(place: int, number: int) -> int:
    return min(max(place, 0), number - 1)
