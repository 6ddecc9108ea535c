"""The live table on a terminal: drawn anew with what comes, and at the press of a key."""

import time
from dataclasses import replace

from baseline.cli.stopping import LONGEST_WAIT, StopSignals
from baseline.live.overview import Overview
from baseline.live.pages import Pages
from baseline.live.terminal import Terminal
from baseline.live.view import View

_LEAST_PAUSE = 0.1
"""Seconds between two drawings where no key asks for one: replays may be faster than eyes."""

_NOTE_SECONDS = 10.0


class LiveScreen(StopSignals):
    """Shows an overview until the user has seen enough.

    A source asks several times a second whether to stop, and a replay sleeps between windows; this
    is when keys are obeyed and the screen is drawn, so that nothing happens at the same time.

    Args:
        terminal: taken already.
        overview: what is shown.
        view: what of it is shown first.
    """

    def __init__(self, terminal: Terminal, overview: Overview, view: View) -> None:
        super().__init__()
        self._terminal = terminal
        self._overview = overview
        self._view = view
        self._pages = Pages(terminal.console)
        self._snapshot = overview.snapshot()
        self._note = ""
        self._noted = 0.0
        self._height = 1
        self._is_stale = False
        self._drawn = 0.0

    def __call__(self) -> bool:
        """Obey keys and draw what is due; whether to stop."""
        self._attend(0)
        return super().__call__()

    @property
    def woken(self) -> None:
        """Nothing: keys are obeyed when the source asks."""

    def sleep(self, seconds: float) -> None:
        """Obey keys and draw for so long, or until it is time to stop."""
        end = time.monotonic() + seconds
        while not self._requested and (left := end - time.monotonic()) > 0:
            self._attend(min(left, LONGEST_WAIT))

    def refresh(self) -> None:
        """There is something new to show."""
        self._is_stale = True
        if time.monotonic() >= self._noted + _NOTE_SECONDS:
            self._note = ""

    def note(self, message: str) -> None:
        """Show a message, until the next one or for long enough to be read."""
        self._note = message
        self._noted = time.monotonic()
        self._draw()

    def _attend(self, seconds: float) -> None:
        try:
            keys = self._terminal.keys(seconds)
        except (EOFError, OSError):
            self._requested = True
            return
        for key in keys:
            self._view = self._view.after(key, self._snapshot, self._height)
        self._requested |= self._view.is_over
        is_due = self._is_stale and not self._view.is_paused
        if (
            keys
            or self._terminal.has_changed()
            or (is_due and time.monotonic() >= self._drawn + _LEAST_PAUSE)
        ):
            self._draw()

    def _draw(self) -> None:
        if self._is_stale and not self._view.is_paused:
            self._snapshot = self._overview.snapshot()
            self._is_stale = False
        screen = self._pages.screen(self._view, self._snapshot, self._note)
        self._view = replace(self._view, scrolled=min(self._view.scrolled, screen.furthest))
        self._height = screen.height
        try:
            self._terminal.show(screen.lines)
        except OSError:
            self._requested = True
        self._drawn = time.monotonic()
