"""Streams that nobody reads."""

import os
from contextlib import suppress


def stuck_pipe() -> tuple[int, int]:
    """Both ends of a pipe that is full; the reader's first."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with suppress(BlockingIOError):
        while True:
            os.write(theirs, b"x" * 4096)
    os.set_blocking(theirs, True)
    return ours, theirs
