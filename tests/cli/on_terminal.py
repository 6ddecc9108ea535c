"""A command on a terminal, as a user sees it: what is on the screen, and keys to press."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import pyte
from running import BASELINE, ENVIRONMENT

UP, DOWN, RIGHT, LEFT = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D"
LONGEST_WAIT = 120.0
"""Seconds after which what has not come is not going to."""


class OnTerminal:
    """A command whose terminal we are; ended with the context at the latest.

    Attributes:
        screen: what is on the terminal.
        written: all that came to it.
        process: the command.
        modes_before: how the terminal treated keys before it.
    """

    def __init__(
        self, *command: object, columns: int = 80, lines: int = 24, **environment: str
    ) -> None:
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""
        # Ours to hold, so that the terminal outlives the command and its modes can be read.
        self._ours, self._theirs = pty.openpty()
        self._set_size(columns, lines)
        self.modes_before = termios.tcgetattr(self._theirs)
        # setsid makes it the controlling terminal, from which Ctrl-Z and hanging up come.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *map(str, command)],
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            env=ENVIRONMENT | environment,
        )

    @classmethod
    def top(cls, *arguments: object, columns: int = 80, lines: int = 24) -> Self:
        """``baseline top`` with these arguments."""
        return cls(BASELINE, "top", *arguments, columns=columns, lines=lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        if self._ours >= 0:
            os.close(self._ours)
            os.close(self._theirs)

    @property
    def lines(self) -> list[str]:
        """What is on the screen, without trailing blanks."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def modes(self) -> list[object]:
        """How the terminal treats keys now."""
        return termios.tcgetattr(self._theirs)

    def press(self, *keys: str) -> None:
        """Press keys."""
        os.write(self._ours, "".join(keys).encode())

    def resize(self, columns: int, lines: int) -> None:
        """Make the terminal of another size, as a user does with its window."""
        self.screen.resize(lines, columns)
        self._set_size(columns, lines)

    def hang_up(self) -> None:
        """Go away, as a connection does that breaks."""
        os.close(self._theirs)
        os.close(self._ours)
        self._ours = self._theirs = -1

    def until(self, holds: Callable[[], bool]) -> None:
        """Read on until this holds of the screen."""
        end = time.monotonic() + LONGEST_WAIT
        while not holds():
            assert time.monotonic() < end, "\n".join(self.lines)
            self._read()

    def until_shown(self, text: str) -> list[str]:
        """Read on until there is a line with this text; all lines then."""
        self.until(lambda: any(text in line for line in self.lines))
        return self.lines

    def until_ended(self) -> int:
        """Read on until the command has ended; its exit status, negative for a signal."""
        self.until(lambda: self.process.poll() is not None)
        self._read()
        return self.process.returncode

    def _read(self) -> None:
        if self._ours < 0:
            time.sleep(0.02)
        while self._ours >= 0 and select.select([self._ours], [], [], 0.02)[0]:
            data = os.read(self._ours, 1 << 16)
            self.written += data
            self._stream.feed(data)

    def _set_size(self, columns: int, lines: int) -> None:
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, size)
