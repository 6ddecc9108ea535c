"""What every service of the range has: clients, operations, and ways in for an intruder."""

import os
import pwd
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic

from service_clients import Client

from baseline.demo.attacker import ADDRESS
from baseline.demo.service import Step
from baseline.demo.services import AnyServer
from baseline.errors import BaselineError
from ranges.intruder import Implant, Intruder

PARENT = f"baseline-range-{os.getpid()}"
"""Folder of all cgroups of this range: there may be others."""

SECRETS = ("/etc/shadow", "/etc/passwd", "/etc/ssh/ssh_config", "/proc/self/environ")


class NoEffectError(BaselineError):
    """A step did not do what it is there for, so that nothing can be said about its detection."""


class Target(ABC, Generic[AnyServer]):
    """One workload of the range.

    Args:
        server: its first replica, running.
    """

    client: ClassVar[type[Client]]
    """Who uses it."""
    account: ClassVar[str] = ""
    """Whose rights an intruder has who came in through the service; empty for root."""
    needs: ClassVar[Sequence[str]]
    """Programs without which it cannot be."""
    techniques: ClassVar[Sequence[str]]
    """Orders for an implant that works inside."""

    def __init__(self, server: AnyServer) -> None:
        self.server = server

    @property
    def name(self) -> str:
        """Of the workload."""
        return self.server.name

    @property
    def selector(self) -> str:
        """What ``--cgroup`` takes; all replicas match."""
        return f"{self.name}={PARENT}/{self.name}/*"

    @abstractmethod
    def operations(self) -> Sequence[Step]:
        """What those who run it do again and again."""

    @abstractmethod
    def ways_in(self, intruder: Intruder) -> Sequence[Step]:
        """What an intruder does through the features of the service."""

    def victim(self) -> int:
        """A process of the service, as numbered where an implant runs."""
        return self.server.process.pid

    def scratch(self) -> Path:
        """A folder that an implant can write, as it is called where the implant runs."""
        folder = self.server.folder / "scratch"
        if not folder.exists():
            folder.mkdir()
            folder.chmod(0o777)
        return folder

    def start_inside(
        self, arguments: Sequence[str | Path], **options: Any
    ) -> subprocess.Popen[bytes]:
        """Start a program in the service's cgroup, with the rights of its account."""
        if self.account:
            account = pwd.getpwnam(self.account)
            rights = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
            arguments = ["/usr/bin/setpriv", *rights, *arguments]
        return self.server.cgroup.start(arguments, **options)

    def implant(self, intruder: Intruder) -> Implant:
        """Have an implant inside, which waits for orders."""
        return Implant(partial(self.start_inside, [intruder.implant]))

    def orders(self, intruder: Intruder) -> dict[str, Step]:
        """Technique -> what an implant does of it, once it is inside."""
        listener = f"{ADDRESS} {intruder.listener}"
        tool, crontabs = self.scratch() / "tool", self.scratch() / "cron.d"
        secrets = " ".join(SECRETS)
        wanted = {
            "shell": ("starts a shell", ""),
            "reverse": ("gives a shell away over a connection", listener),
            "beacon": ("asks its master for orders", listener),
            "fetch": ("downloads a program and runs it", f"{ADDRESS} {intruder.web} {tool}"),
            "memfd": ("runs a program from memory", ""),
            "scan": ("scans 200 ports", "127.0.0.77 20 219"),
            "mine": ("mines for 5 s", f"{listener} 5"),
            "ptrace": ("reads the service's memory by ptrace", "{victim}"),
            "unshare": ("tries namespaces and mounts of its own", ""),
            "secrets": ("reads secrets", secrets),
            "cron": ("leaves a crontab", str(crontabs)),
            "exfiltrate": ("sends data away slowly", f"{listener} 8"),
            "uring": ("reads secrets by io_uring", secrets),
        }

        def order(technique: str, words: str) -> None:
            intruder.order(self.name, f"{technique} {words.format(victim=self.victim())}")

        return {
            technique: Step(f"a helper {what}", partial(order, technique, words))
            for technique, (what, words) in wanted.items()
        }

    def scenarios(self, intruder: Intruder) -> list[Step]:
        """All that intruders do here, one step each."""
        orders = self.orders(intruder)
        return [*self.ways_in(intruder), *(orders[technique] for technique in self.techniques)]

    def restart(self) -> None:
        """End it in order and start it again."""
        self.server.stop()
        self.server.launch()


def require(answer: bytes, sign: bytes, what: str) -> None:
    """Refuse to go on with a step that had no effect.

    Raises:
        NoEffectError: the sign is not in the answer.
    """
    if sign not in answer:
        raise NoEffectError(
            f"{what} had no effect: it answered {answer[:60]!r}", "See whether the service runs"
        )


def signal_main(target: Target[Any], number: int) -> None:
    """Send a signal to the first process of the service."""
    os.kill(target.server.process.pid, number)
