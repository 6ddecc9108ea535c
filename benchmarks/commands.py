"""`baseline` commands that benchmarks start, and the lines that they print."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def baseline(*arguments: object, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A command that is asked to end with the context, if it has not ended before.

    Args:
        arguments: of the command.
        options: of :class:`subprocess.Popen`.
    """
    command = [sys.executable, "-m", "baseline", *map(str, arguments)]
    process = subprocess.Popen(command, text=True, **options)
    try:
        yield process
    finally:  # whoever reads its pipes finds their end
        process.terminate()
        process.wait()


class Alerts:
    """The alerts that a watch prints as JSON, and when each was read."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = lines
        self._read: list[tuple[int, str]] = []
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def _follow(self) -> None:
        for line in self._lines:
            self._read.append((time.monotonic_ns(), line))

    def until_now(self) -> list[tuple[int, dict[str, Any]]]:
        """Nanoseconds of the monotonic clock, and the alert."""
        return [(moment, json.loads(line)) for moment, line in list(self._read)]

    def all(self) -> list[tuple[int, dict[str, Any]]]:
        """The same, once the watch has ended; waits for that."""
        self._thread.join()
        return self.until_now()
