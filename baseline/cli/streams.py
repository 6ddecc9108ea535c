"""Streams that may be stuck because nobody reads them."""

import select
from contextlib import suppress
from typing import TextIO


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
