"""What every service of the demo can do."""

import signal
import socket
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from baseline.demo.cgroup import OwnCgroup
from baseline.errors import BaselineError

_SECONDS_TO_START = 30
_SECONDS_TO_END = 10


class Step(NamedTuple):
    """One thing that an intruder does.

    Attributes:
        title: what, as in "the intruder TITLE".
        take: does it; returns when it is done.
    """

    title: str
    take: Callable[[], object]


class Server(ABC):
    """A real server from Debian's packages, in a cgroup of its own, on loopback addresses.

    Args:
        cgroup: where it runs.
        folder: an empty folder for its configuration and data.
    """

    name: str
    packages: str
    """Debian packages that it needs."""
    ended_by = signal.SIGTERM
    """What asks it to end in order."""
    address = "127.0.0.1"
    """Where it listens."""
    process: subprocess.Popen[bytes]
    """Its first process, once it was launched."""

    def __init__(self, cgroup: OwnCgroup, folder: Path) -> None:
        self.cgroup = cgroup
        self.folder = folder
        self.port = free_port()

    def start(self) -> None:
        """Prepare and launch it; returns when it answers."""
        self.prepare()
        self.launch()

    @abstractmethod
    def prepare(self) -> None:
        """Write its configuration, once."""

    @abstractmethod
    def launch(self) -> None:
        """Start what is prepared, for the first time or again; returns when it answers."""

    def stop(self) -> None:
        """End it in order, or by force where that takes too long."""
        self.process.send_signal(self.ended_by)
        try:
            self.process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:  # noqa: B027 - most have nothing
        """Take away what does not end with its cgroup."""

    def await_port(self) -> None:
        """Return when the server accepts connections.

        Raises:
            BaselineError: it does not within half a minute.
        """
        deadline = time.monotonic() + _SECONDS_TO_START
        while time.monotonic() < deadline:
            try:
                socket.create_connection((self.address, self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise BaselineError(
            f"{self.name} did not start", f"Check that it is installed: apt install {self.packages}"
        )


class Service(Server):
    """A server with its clients, and an intruder who knows a way in."""

    @abstractmethod
    def work(self, stop: threading.Event) -> None:
        """Be its clients, with changing requests, until told to stop."""

    @abstractmethod
    def intrusion(self) -> AbstractContextManager[Sequence[Step]]:
        """What an intruder does first; the intruder's own server runs while the context lasts."""

    @contextmanager
    def under_load(self) -> Iterator[None]:
        """Clients at work while the context lasts."""
        stop = threading.Event()
        clients = threading.Thread(target=self.work, args=(stop,), name=f"{self.name} clients")
        clients.start()
        try:
            yield
        finally:
            stop.set()
            clients.join()


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
