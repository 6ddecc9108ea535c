"""A command on a terminal, as a user sees it: what is on the screen, and keys to press."""

import fcntl
import os
import pty
import select
import struct
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
        pid: process id of the command.
        status: exit status as ``os.waitstatus_to_exitcode`` gives it, once it has ended.
    """

    def __init__(
        self, *command: object, columns: int = 80, lines: int = 24, **environment: str
    ) -> None:
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""
        self.status: int | None = None
        # Ours to hold, so that the terminal outlives the command and its modes can be read.
        self._ours, self._theirs = pty.openpty()
        self._set_size(columns, lines)
        self.modes_before = termios.tcgetattr(self._theirs)
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(self._theirs, termios.TIOCSCTTY)
            for stream in range(3):
                os.dup2(self._theirs, stream)
            os.closerange(3, 256)
            os.execve(command[0], list(map(str, command)), ENVIRONMENT | environment)  # type: ignore[arg-type] # noqa: S606

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
        if self.status is None:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
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
        self.until(self._has_ended)
        self._read()
        assert self.status is not None
        return self.status

    def _has_ended(self) -> bool:
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

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
