"""A signal in the midst of a replay, at the same window each time."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from baseline.cli import sources
from baseline.recordings.replay import replay
from baseline.window import Window


def interrupt_replay(monkeypatch: pytest.MonkeyPatch, number: signal.Signals, after: int) -> None:
    """Let this process get a signal when so many windows were replayed."""

    def interrupted(*arguments: Any, **options: Any) -> Iterator[Window]:
        for index, window in enumerate(replay(*arguments, **options)):
            if index == after:
                os.kill(os.getpid(), number)
            yield window

    monkeypatch.setattr(sources, "replay_recordings", interrupted)
