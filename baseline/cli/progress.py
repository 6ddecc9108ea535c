"""A progress bar on a terminal, a line now and then on a pipe; and messages that do not tear it."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import ClassVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from baseline.cli.streams import for_terminal, takes_text


class _Untold:
    """Messages that stderr did not take, over all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = 0

    def add(self) -> None:
        with self._lock:
            self._number += 1

    def taken(self) -> int:
        """How many there were since this was asked last."""
        with self._lock:
            number, self._number = self._number, 0
        return number


_untold = _Untold()


def say(message: str) -> None:
    """Tell the user something on stderr; stdout is for data.

    Where nobody reads it, work goes on: what was not told is counted, and that is told later.
    """
    show(for_terminal(message, sys.stderr))


def show(text: str) -> None:
    """Tell the user something that has its lines already, such as a table, in the same way."""
    if not takes_text(sys.stderr):
        _untold.add()
        return
    bar = ProgressBar.shown
    with bar.hidden() if bar else nullcontext(), suppress(OSError):
        if number := _untold.taken():
            click.echo(f"{counted(number, 'message')} before this had no reader.", err=True)
        for line in text.split("\n"):
            if not takes_text(sys.stderr):  # it had room for some of it
                _untold.add()
                return
            click.echo(line, err=True)


def counted(number: int, noun: str) -> str:
    """``1 window``, ``1,200 windows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class ProgressBar:
    """How far live or replayed work has come.

    Args:
        doing: what the work is, such as ``Learning``.
        duration: seconds that it takes by the clock; ``None`` where the end is not known.
        pause: seconds from one line to the next where there is no terminal.
    """

    def __init__(self, doing: str, duration: float | None = None, *, pause: float = 60.0) -> None:
        self._doing = doing
        self._duration = duration
        self._pause = pause
        self._started = self._spoke = time.monotonic()
        self._windows = 0
        self._hiding = threading.RLock()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
            redirect_stdout=False,  # data goes where stdout goes, not above the bar
            transient=True,
        )
        self._task: TaskID = self._progress.add_task(doing, total=duration, note="")

    shown: ClassVar["ProgressBar | None"] = None
    """The bar that is on the terminal now."""

    def __enter__(self) -> "ProgressBar":
        if takes_text(sys.stderr):
            self._progress.start()
        ProgressBar.shown = self
        return self

    def __exit__(self, *_: object) -> None:
        ProgressBar.shown = None
        # Where nobody reads the terminal, the bar's thread waits for that until the process ends.
        if takes_text(sys.stderr):
            self._progress.stop()

    def advance(self, note: str = "", *, windows: int = 1) -> None:
        """So many more windows were seen."""
        self._windows += windows
        self._show(counted(self._windows, "window") + note)

    def report(self, status: str) -> None:
        """Tell how far the work has come: on the bar, or now and then in a line on a pipe."""
        self._show(status)
        now = time.monotonic()
        if self._progress.disable and now >= self._spoke + self._pause:
            self._spoke = now
            say(f"{self._doing} for {(now - self._started) / 60:.0f} min: {status}")

    def _show(self, note: str) -> None:
        if self._progress.disable:
            return
        elapsed = time.monotonic() - self._started
        self._progress.update(
            self._task,
            completed=elapsed if self._duration is None else min(elapsed, self._duration),
            note=note,
        )

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Take the bar off the terminal while something is written there, by any thread."""
        with self._hiding:
            self._progress.stop()
            try:
                yield
            finally:
                self._progress.start()
