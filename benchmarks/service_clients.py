"""Clients of the demo's services: what they ask for usually, and what now and then."""

import contextlib
import http.client
import os
import random
import signal
import socket
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from baseline.demo.redis import RedisClient


class Client(ABC):
    """One client of a service, at an address of its own.

    Args:
        service: whose client it is.
        choose: where its chances come from.
    """

    usual_rate: ClassVar[float]
    """Requests a second of all clients together when the load is at its middle."""
    failures: ClassVar[tuple[type[Exception], ...]] = (OSError,)
    """What a client meets whose connection was closed."""

    def __init__(self, service: Any, choose: random.Random) -> None:
        self.service = service
        self.choose = choose
        # Few addresses come often and many once: the longer one looks, the rarer a new one is.
        number = int(choose.paretovariate(0.7)) % 60_000
        self.address = f"127.0.{1 + number // 250}.{1 + number % 250}"

    @abstractmethod
    def usual(self, writing: float) -> bool:
        """Make one of the usual requests; whether this client stays."""

    @abstractmethod
    def unusual(self) -> Sequence[Callable[[], object]]:
        """Requests of the rarer kinds, the rarest last; one is made in a client's life."""

    @abstractmethod
    def close(self) -> None:
        """Leave."""


class NginxClient(Client):
    """A browser: keeps its connection for some requests, or makes one for each."""

    usual_rate = 100
    failures = (OSError, http.client.HTTPException)

    def __init__(self, service: Any, choose: random.Random) -> None:
        super().__init__(service, choose)
        self._connection = http.client.HTTPConnection(
            service.address, service.port, timeout=10, source_address=(self.address, 0)
        )
        self._patience = choose.choice((1.0, 0.95))

    def usual(self, writing: float) -> bool:
        """Static files, or the page that Perl writes."""
        if self.choose.random() < writing:
            self._get(f"/page?name={self.choose.choice(('index', 'about'))}.html")
        else:
            self._get(self.choose.choices(("/", "/about.html", "/photo.jpg"), (6, 3, 1))[0])
        return self.choose.random() < self._patience - 0.05

    def unusual(self) -> Sequence[Callable[[], object]]:
        """What browsers, crawlers and operators do now and then."""
        return (
            lambda: self._get("/missing.html"),
            lambda: self._get("/photo.jpg", Range="bytes=1000-60000"),
            lambda: self._request("HEAD", "/photo.jpg"),
            lambda: self._request("POST", "/page?name=about.html", body=b"x" * 3_000),
            lambda: self._get("/", **{"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}),
            lambda: self._raw(b"GET / HTTP/1.0\r\n", b"Host: localhost\r\n", b"\r\n"),
            lambda: self._get("/photo.jpg", Range="bytes=0-99,5000-5099,-100"),
            lambda: self._request("POST", "/page?name=index.html", body=b"x" * 300_000),
            lambda: self._raw(b"nonsense\r\n\r\n"),
            lambda: self._raw(b"GET /photo.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n", read=False),
            lambda: os.kill(self._master(), signal.SIGUSR1),  # open the logs again
            lambda: self.service.cgroup.run(
                ["/usr/sbin/nginx", "-c", self.service.configuration, "-t"]
            ),
            lambda: os.kill(self._master(), signal.SIGHUP),  # read the configuration again
        )

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _get(self, path: str, **headers: str) -> None:
        self._request("GET", path, headers=headers)

    def _request(self, method: str, path: str, **options: Any) -> None:
        self._connection.request(method, path, **options)
        self._connection.getresponse().read()

    def _raw(self, *pieces: bytes, read: bool = True) -> None:
        self._connection.connect()
        for piece in pieces:
            self._connection.sock.sendall(piece)
            time.sleep(0.02)
        while read and self._connection.sock.recv(65536):
            pass

    def _master(self) -> int:
        return int((self.service.folder / "nginx.pid").read_text())


class RedisCacheClient(Client):
    """A program that uses redis as its cache and queue."""

    usual_rate = 150

    def __init__(self, service: Any, choose: random.Random) -> None:
        super().__init__(service, choose)
        self._client = RedisClient(service.port, self.address)

    def usual(self, writing: float) -> bool:
        """One command."""
        key = f"key:{self.choose.randrange(1000)}"
        if self.choose.random() < writing:
            kind = self.choose.random()
            if kind < 0.7:
                self._client.command("SET", key, "x" * self.choose.randrange(1, 2000))
            elif kind < 0.9:
                self._client.command("LPUSH", f"list:{self.choose.randrange(10)}", key)
            else:
                self._client.command("EXPIRE", key, "3")
        elif self.choose.random() < 0.9:
            self._client.command("GET", key)
        else:
            self._client.command("LRANGE", f"list:{self.choose.randrange(10)}", "0", "20")
        return self.choose.random() < 0.99

    def unusual(self) -> Sequence[Callable[[], object]]:
        """What programs and operators do now and then."""
        send, port = self._client.pipeline, self.service.port
        return (
            lambda: send("INFO"),
            lambda: send(*(f"GET key:{number}" for number in range(100))),
            lambda: send("MULTI", "INCR counter", "SET key:1 y", "EXEC"),
            lambda: send("SCAN 0 COUNT 500", "SCAN 0 MATCH list:*"),
            lambda: send(*(f"LTRIM list:{number} 0 100" for number in range(10))),
            lambda: send(f"SET big {'x' * 400_000}", "EXPIRE big 5"),
            lambda: send("GET big", "KEYS *"),
            lambda: send(*(f"SADD many {number}" for number in range(2000)), "UNLINK many"),
            lambda: self.service.cgroup.run(["/usr/bin/redis-cli", "-p", str(port), "PING"]),
            lambda: send("BGSAVE"),
            lambda: send("BGREWRITEAOF"),
            lambda: send("CLIENT LIST", "SLOWLOG GET 10", "MEMORY STATS"),
        )

    def close(self) -> None:
        """Hang up."""
        self._client.close()


_WRITING = (
    "BEGIN",
    "UPDATE pgbench_accounts SET abalance = abalance + 1"
    " WHERE aid = (SELECT 1 + (random() * 99999)::int)",
    "UPDATE pgbench_tellers SET tbalance = tbalance + 1"
    " WHERE tid = (SELECT 1 + (random() * 9)::int)",
    "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 1, 1, 1, now())",
    "COMMIT",
)
_READING = (
    "SELECT abalance FROM pgbench_accounts WHERE aid = (SELECT 1 + (random() * 99999)::int)",
    "SELECT sum(abalance) FROM pgbench_accounts WHERE aid BETWEEN 50000 AND 50500",
)
_UNUSUAL = (
    "SELECT * FROM pgbench_accounts WHERE aid < 3000 ORDER BY abalance",
    "SELECT nonsense",
    "CREATE TEMP TABLE some AS SELECT * FROM pgbench_accounts LIMIT 2000",
    "SELECT count(*) FROM pgbench_accounts a JOIN pgbench_accounts b USING (bid)"
    " WHERE a.aid < 100 AND b.aid < 1000",
    "ANALYZE pgbench_tellers",
    "SELECT * FROM pgbench_accounts ORDER BY filler, abalance LIMIT 10",
    "VACUUM pgbench_tellers",
    "COPY (SELECT * FROM pgbench_accounts WHERE aid < 20000) TO STDOUT",
    "CREATE INDEX balances ON pgbench_tellers (tbalance); DROP INDEX balances",
    "TRUNCATE pgbench_history",
    "COPY pgbench_accounts TO PROGRAM 'gzip > backup'",
    "CHECKPOINT",
)


class PostgresClient(Client):
    """A program with one session, in as much of PostgreSQL's protocol as it needs."""

    usual_rate = 25

    def __init__(self, service: Any, choose: random.Random) -> None:
        super().__init__(service, choose)
        self._socket = socket.create_connection(
            ("127.0.0.1", service.port), 30, source_address=(self.address, 0)
        )
        self._answers = self._socket.makefile("rb")
        names = b"user\0postgres\0database\0postgres\0\0"
        self._socket.sendall(struct.pack("!ii", 8 + len(names), 3 << 16) + names)
        self._read_answer()

    def usual(self, writing: float) -> bool:
        """A transaction that writes, as TPC-B has it, or one that reads."""
        if self.choose.random() < writing:
            for statement in _WRITING:
                self.run(statement)
        else:
            self.run(self.choose.choices(_READING, (9, 1))[0])
        return self.choose.random() < 0.98

    def unusual(self) -> Sequence[Callable[[], object]]:
        """What reports and administrators do now and then."""
        return (
            partial(self.service.client, "psql", "-c", "SELECT count(*) FROM pgbench_tellers"),
            *(partial(self.run, statement) for statement in _UNUSUAL),
        )

    def run(self, statement: str) -> None:
        """Run a statement and read all of its answer; errors are an answer too."""
        body = statement.encode() + b"\0"
        self._socket.sendall(b"Q" + struct.pack("!i", 4 + len(body)) + body)
        self._read_answer()

    def close(self) -> None:
        """Say good-bye and hang up."""
        with contextlib.suppress(OSError):
            self._socket.sendall(b"X" + struct.pack("!i", 4))
        self._answers.close()
        self._socket.close()

    def _read_answer(self) -> None:
        kind = b""
        while kind != b"Z":
            head = self._answers.read(5)
            if len(head) < 5:
                raise ConnectionError("the server hung up")
            kind, (length,) = head[:1], struct.unpack("!i", head[1:])
            self._answers.read(length - 4)


CLIENTS: dict[str, type[Client]] = {
    "nginx": NginxClient,
    "redis": RedisCacheClient,
    "postgres": PostgresClient,
}
