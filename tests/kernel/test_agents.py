"""Which commands run: known from their locks, whoever asks meanwhile."""

import fcntl
from pathlib import Path

import pytest

from baseline.kernel.agents import Agent


def test_who_asks_is_not_taken_for_who_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Agent, "_directory", tmp_path)
    lines = f"{7:020}\nversion\ndemo/*"
    for process in ("1009", "2003"):
        (tmp_path / process).write_text(lines)
    with (tmp_path / "1009").open() as runs, (tmp_path / "2003").open() as asked:
        fcntl.flock(runs, fcntl.LOCK_EX)
        fcntl.flock(asked, fcntl.LOCK_SH)  # as another one has it that asks, too
        assert Agent.epochs() == [7]
        assert Agent.others() == {1009: ["demo/*"]}
    assert [path.name for path in tmp_path.iterdir()] == ["1009"], "the other one is dead"
