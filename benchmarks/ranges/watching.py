"""`baseline` as its users run it: commands of their own, and the alerts that they print."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from baseline.errors import BaselineError

SECONDS_TO_START = 60
SECONDS_TO_END = 60


class Told(NamedTuple):
    """A line that ``watch`` printed.

    Attributes:
        read: when it was read, in seconds since the epoch.
        alert: what it says.
    """

    read: float
    alert: dict[str, Any]


class Watching:
    """A running command: what it printed, and when.

    Args:
        arguments: of ``baseline``.
    """

    def __init__(self, *arguments: str | Path) -> None:
        command = [sys.executable, "-m", "baseline", *map(str, arguments)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._told: list[Told] = []
        self._talk: list[str] = []
        self._counting = threading.Event()
        self._readers = [
            threading.Thread(target=reader, daemon=True) for reader in (self._read, self._listen)
        ]
        for reader in self._readers:
            reader.start()

    @property
    def told(self) -> list[Told]:
        """Lines up to now."""
        return list(self._told)

    def await_counting(self) -> None:
        """Return when the kernel counts.

        Raises:
            BaselineError: the command has ended instead.
        """
        deadline = time.monotonic() + SECONDS_TO_START
        while not self._counting.wait(0.05):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise BaselineError(
                    f"baseline did not begin: {''.join(self._talk)[-300:].strip()}",
                    "Check `baseline doctor`",
                )

    def wait(self) -> str:
        """Wait for its end; returns what it said on stderr.

        Raises:
            BaselineError: it failed.
        """
        if self._process.wait():
            raise BaselineError(
                f"baseline failed: {''.join(self._talk)[-300:].strip()}", "Check `baseline doctor`"
            )
        for reader in self._readers:
            reader.join()
        return "".join(self._talk)

    def end(self) -> str:
        """Ask it to end; as :meth:`wait`."""
        self._process.terminate()
        return self.wait()

    def kill(self) -> None:
        """End it by force, if it still runs."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._told.append(Told(time.time(), json.loads(line)))

    def _listen(self) -> None:
        for line in self._process.stderr or ():
            self._talk.append(line)
            if "Counting" in line:
                self._counting.set()


@contextmanager
def running(*arguments: str | Path) -> Iterator[Watching]:
    """A command that counts already; it is gone when the context ends."""
    watching = Watching(*arguments)
    try:
        watching.await_counting()
        yield watching
    finally:
        watching.kill()


def selecting(selectors: Sequence[str]) -> list[str]:
    """The options for these."""
    return [f"--cgroup={selector}" for selector in selectors]
