"""Processes that do not outlive their test, also where it fails."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import AnyStr

Process = subprocess.Popen[str]

Start = Callable[..., Process]
"""Starts a command that ends with the test at the latest: the fixture ``start``."""


@contextmanager
def killed_at_the_end(process: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    """Kill it with the context, if it still runs then, and close its pipes."""
    with process:  # which alone would wait for it
        try:
            yield process
        finally:
            process.kill()
