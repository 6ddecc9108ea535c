"""When ``watch`` has what it read kept as read."""

import time

import pytest

from baseline.cli.keeping import Keeping


class Clock:
    """The monotonic clock, and whether alerts have arrived by then."""

    def __init__(self) -> None:
        self.now = 100.0
        self.have_arrived = True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    return clock


@pytest.fixture
def keeping(clock: Clock) -> Keeping:
    """One that has kept something a second ago."""
    keeping = Keeping(lambda: clock.have_arrived)
    assert keeping.commit(is_urgent=False) == 0, "from the beginning on, a kill loses nothing"
    clock.now = 101.0
    return keeping


def test_of_quiet_windows_it_is_not_kept_at_once(keeping: Keeping) -> None:
    assert keeping.commit(is_urgent=False) is None


def test_what_was_told_is_kept_once_and_at_once(keeping: Keeping) -> None:
    keeping.told()
    assert keeping.commit(is_urgent=False) == 0
    assert keeping.commit(is_urgent=False) is None


def test_others_who_wait_are_not_kept_waiting(keeping: Keeping, clock: Clock) -> None:
    assert keeping.commit(is_urgent=True) == 0
    clock.have_arrived = False
    keeping.told()
    assert keeping.commit(is_urgent=True) == 0


def test_after_seconds_it_is_kept_whatever_was_read(keeping: Keeping, clock: Clock) -> None:
    clock.now = 105.0
    assert keeping.commit(is_urgent=False) == 0
    assert keeping.commit(is_urgent=False) is None


def test_what_was_told_is_not_kept_before_it_has_arrived(keeping: Keeping, clock: Clock) -> None:
    clock.have_arrived = False
    keeping.told()
    assert keeping.commit(is_urgent=False) is None
    clock.now = 106.0
    assert keeping.commit(is_urgent=False) is None
    clock.have_arrived = True
    clock.now = 107.0
    assert keeping.commit(is_urgent=False) == 0
    assert keeping.commit(is_urgent=False) is None


def test_what_never_arrives_is_not_waited_for_for_ever(keeping: Keeping, clock: Clock) -> None:
    clock.have_arrived = False
    keeping.told()
    clock.now = 159.0
    assert keeping.commit(is_urgent=False) is None
    clock.now = 160.0
    assert keeping.commit(is_urgent=False) == 0
