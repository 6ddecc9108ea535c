"""Whose position is whose: who asks is neither taken for the reader, nor in its way."""

import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from baseline.kernel import position
from baseline.kernel.position import Position, PositionFile, left_behind, positions

SERIAL = 1009


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where positions are kept meanwhile."""
    monkeypatch.setattr(position, "_DIRECTORY", tmp_path)
    return tmp_path


@pytest.fixture
def left() -> Position:
    """What a reader kept that runs no more."""
    kept = Position(SERIAL, 1, time.monotonic(), ("demo/*",), 0, {})
    reader = PositionFile("demo")
    reader.save(kept)
    reader.close()
    return kept


def askers() -> list[Iterator[object]]:
    """Those who are in the middle of asking, in every way."""
    asking: list[Iterator[object]] = [positions(of_running=False), left_behind([SERIAL], "other")]
    for its in asking:
        next(its)
    return asking


def test_who_asks_is_in_nobodys_way(left: Position) -> None:
    asking = askers()
    assert list(positions(of_running=False)) == [left]
    reader = PositionFile("demo")
    assert reader.held
    assert reader.load() == left
    assert list(positions(of_running=False)) == []
    assert list(positions(of_running=True)) == [left]
    reader.close()
    assert list(positions(of_running=False)) == [left]
    del asking


def test_two_may_ask_at_one_instant(left: Position, folder: Path) -> None:
    with (folder / "demo.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # as the other one has it
        assert list(positions(of_running=False)) == [left]
        (said,) = left_behind([SERIAL], "other")
    assert said.startswith("A command that was killed left counts of demo/*: ")


def test_a_reader_waits_until_who_asks_has_the_answer(
    left: Position, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = (folder / "demo.lock").open()
    fcntl.flock(lock, fcntl.LOCK_SH)
    monkeypatch.setattr(time, "sleep", lambda _: lock.close())
    reader = PositionFile("demo")
    assert reader.held
    assert reader.load() == left
    reader.close()


def test_of_one_name_only_one_reads(left: Position) -> None:
    first, second = PositionFile("demo"), PositionFile("demo")
    assert first.held
    assert not second.held
    assert list(positions(of_running=True)) == [left]
    assert list(left_behind([SERIAL], "other")) == []
    first.close()
    second.close()
