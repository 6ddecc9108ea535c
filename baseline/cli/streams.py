"""Streams that may be stuck because nobody reads them, or may be a terminal."""

import os
import select
from contextlib import suppress
from typing import TextIO

from baseline.printable import printable


def takes_text(stream: TextIO, seconds: float = 0.0) -> bool:
    """Whether a stream takes some lines without making us wait for its reader.

    A pipe that is ready has room for 4,096 bytes (pipe(7)); files always are.

    Args:
        stream: where text shall go.
        seconds: how long it may take to become ready.
    """
    with suppress(OSError):  # it is no file at all
        ready = select.poll()
        ready.register(stream.fileno(), select.POLLOUT)
        return bool(ready.poll(seconds * 1000))
    return True


def are_one_terminal(first: TextIO, second: TextIO) -> bool:
    """Whether what is written to one stream appears between what is written to the other."""
    if not (first.isatty() and second.isatty()):
        return False
    return os.fstat(first.fileno()).st_rdev == os.fstat(second.fileno()).st_rdev


def for_terminal(message: str, stream: TextIO) -> str:
    """The message in lines that end between words, where the stream is a terminal."""
    try:
        width = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):  # it is none
        return printable(message)
    from baseline.fitting import WIDTH, wrapped  # brings rich

    return "\n".join(wrapped(message, width or WIDTH, folds=False))
