"""When ``watch`` has what it read kept as read."""

import time

import pytest

from baseline.cli.keeping import Keeping


@pytest.fixture
def keeping(monkeypatch: pytest.MonkeyPatch) -> Keeping:
    """One that has kept something a second ago."""
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    keeping = Keeping()
    assert keeping.commit(is_urgent=False) == 0, "from the beginning on, a kill loses nothing"
    monkeypatch.setattr(time, "monotonic", lambda: 101.0)
    return keeping


def test_of_quiet_windows_it_is_not_kept_at_once(keeping: Keeping) -> None:
    assert keeping.commit(is_urgent=False) is None


def test_what_was_told_is_kept_once_and_at_once(keeping: Keeping) -> None:
    keeping.told()
    assert keeping.commit(is_urgent=False) == 0
    assert keeping.commit(is_urgent=False) is None


def test_others_who_wait_are_not_kept_waiting(keeping: Keeping) -> None:
    assert keeping.commit(is_urgent=True) == 0


def test_after_seconds_it_is_kept_whatever_was_read(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 105.0)
    assert keeping.commit(is_urgent=False) == 0
    assert keeping.commit(is_urgent=False) is None
