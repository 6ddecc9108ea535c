"""Streams that nobody reads."""

import os
import pty
import termios
from contextlib import suppress


def stopped_terminal() -> tuple[int, int]:
    """Both ends of a terminal on which somebody pressed Ctrl-S; the reader's first."""
    ours, theirs = pty.openpty()
    termios.tcflow(theirs, termios.TCOOFF)
    return ours, theirs


def stuck_pipe() -> tuple[int, int]:
    """Both ends of a pipe that is full; the reader's first."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with suppress(BlockingIOError):
        while True:
            os.write(theirs, b"x" * 4096)
    os.set_blocking(theirs, True)
    return ours, theirs
