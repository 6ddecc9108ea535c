"""The user's terminal while the live table is on it: keys one by one, and a screen of its own.

Whatever ends the table, the terminal is then as it was: the context manager restores it, and
Ctrl-Z does before the process stops.
"""

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from types import FrameType, TracebackType
from typing import Any, Self

from rich.console import Console
from rich.text import Text

from baseline.live.keys import Key, KeyDecoder

_ESCAPE_SECONDS = 0.05
"""After Escape, how long the rest of a sequence may take to come."""

_MOST_BYTES = 1024
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[2K", "\x1b[J"


class Terminal:
    """The terminal, taken while the context lasts.

    Attributes:
        console: how to write on it.
    """

    def __init__(self) -> None:
        self.console = Console(highlight=False, markup=False, emoji=False)
        self._keyboard = sys.stdin.fileno()
        self._decoder = KeyDecoder()
        self._modes: list[Any] | None = None
        self._is_changed = False
        self._wants_to_stop = False
        self._stack = ExitStack()

    @staticmethod
    def is_there() -> bool:
        """Whether stdin and stdout are a terminal that can do more than print."""
        streams = (sys.stdin, sys.stdout)
        return all(s and s.isatty() for s in streams) and not Console().is_dumb_terminal

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for number, handler in (
                (signal.SIGTSTP, self._stop_soon),
                (signal.SIGWINCH, self._change),
                (signal.SIGCONT, self._change),  # somebody else may have written meanwhile
            ):
                stack.callback(signal.signal, number, signal.signal(number, handler))
            stack.callback(self._give_back)
            self._take()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def show(self, lines: Sequence[Text]) -> None:
        """Put these lines on the screen: as many as it has, in one piece, so that none flickers.

        Raises:
            OSError: the terminal is gone.
        """
        with self.console.capture() as drawn:
            self.console.print(Text("\n").join(lines), no_wrap=True, overflow="crop", end="")
        # Cleared first: at the end, a full line's last character would go.
        text = "\r\n".join(_CLEAR_LINE + line for line in drawn.get().split("\n"))
        sys.stdout.write(_HOME + text)
        sys.stdout.flush()

    def keys(self, seconds: float) -> list[Key]:
        """Keys that were pressed; waits at most so long for the first one.

        Raises:
            EOFError, OSError: the terminal is gone.
        """
        if self._wants_to_stop:
            self._stop()
        if not self._can_read(seconds):
            return []
        keys = self._decoder.feed(self._read())
        while self._decoder.is_waiting and self._can_read(_ESCAPE_SECONDS):
            keys += self._decoder.feed(self._read())
        return keys + self._decoder.finish()

    def has_changed(self) -> bool:
        """Whether its size or what is on it may have changed since this was last asked."""
        changed, self._is_changed = self._is_changed, False
        return changed

    def _can_read(self, seconds: float) -> bool:
        return bool(select.select([self._keyboard], [], [], seconds)[0])

    def _read(self) -> bytes:
        data = os.read(self._keyboard, _MOST_BYTES)
        if not data:
            raise EOFError
        return data

    def _take(self) -> None:
        self._modes = termios.tcgetattr(self._keyboard)
        tty.setcbreak(self._keyboard)
        self.console.set_alt_screen(True)
        self.console.show_cursor(False)
        self._is_changed = True

    def _give_back(self) -> None:
        with suppress(OSError):  # a terminal that is gone needs nothing
            # Otherwise tmux keeps lines of this screen for the other one, once it was resized.
            sys.stdout.write(_HOME + _CLEAR_BELOW)
            self.console.show_cursor(True)
            self.console.set_alt_screen(False)
            sys.stdout.flush()
        if self._modes is not None:
            with suppress(termios.error):
                termios.tcsetattr(self._keyboard, termios.TCSADRAIN, self._modes)

    def _stop(self) -> None:
        """Stop as if nobody had handled Ctrl-Z; go on when the shell says so."""
        self._wants_to_stop = False
        self._give_back()
        ours = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, ours)
        self._take()

    def _stop_soon(self, number: int, frame: FrameType | None) -> None:
        self._wants_to_stop = True

    def _change(self, number: int, frame: FrameType | None) -> None:
        self._is_changed = True
