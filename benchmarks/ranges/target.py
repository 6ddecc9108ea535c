"""What every service of the range has: clients, operations, and ways in for an intruder."""

import os
import pwd
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple

from service_clients import Client

from baseline.demo.attacker import ADDRESS
from baseline.demo.service import Step
from baseline.demo.services import AnyServer
from baseline.errors import BaselineError
from ranges.intruder import Implant, Intruder
from ranges.judging import Kind

PARENT = f"baseline-range-{os.getpid()}"
"""Folder of all cgroups of this range: there may be others."""

SECRETS = ("/etc/shadow", "/etc/passwd", "/etc/ssh/ssh_config", "/proc/self/environ")
"""What intruders look for first."""

ATTEMPTS = ("ptrace", "unshare")
"""What the kernel may refuse: it is the attempt that counts."""

SECONDS_TO_END = 30
"""Of a program that operations run inside."""


class Scenario(NamedTuple):
    """One thing that an intruder does.

    Attributes:
        title: what.
        take: does it; returns when it is done.
        kind: how it comes to be done.
    """

    title: str
    take: Callable[[], object]
    kind: Kind = Kind.WAY_IN


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
    """What is done by programs of the intruder's that run inside."""

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

    def implant(self, intruder: Intruder) -> Implant:
        """Have an implant inside, with the rights of the service's account."""
        start = self._start_as_account if self.account else self.server.cgroup.start
        return Implant(partial(start, [str(intruder.implant)]))

    def _start_as_account(
        self, arguments: Sequence[str], **options: Any
    ) -> subprocess.Popen[bytes]:
        """Start a program inside that never had other rights there than the account's.

        Joining a cgroup takes the rights of who opened its file (Linux 5.16), so root opens it, and
        the shell has it as its stderr until it becomes the program.
        """
        account = pwd.getpwnam(self.account)
        join = 'exec 3>&2 2>/dev/null; echo 0 >&3 && exec "$@" 3>&-'
        with (self.server.cgroup.folder / "cgroup.procs").open("w") as group:
            return subprocess.Popen(
                ["/bin/sh", "-c", join, "join", *arguments],
                user=account.pw_uid,
                group=account.pw_gid,
                extra_groups=(),
                start_new_session=True,
                stderr=group,
                **options,
            )

    def run_inside(self, arguments: Sequence[str], **options: Any) -> None:
        """Run a program inside to its end.

        Raises:
            NoEffectError: it failed.
        """
        require_success(self.server.cgroup.start(arguments, **options), arguments[0])

    def orders(self, intruder: Intruder) -> list[Scenario]:
        """What programs of the intruder's do inside: started for it, or there already."""
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
            with self.implant(intruder) as implant:
                obey(implant, technique, words)

        def order_resident(technique: str, words: str) -> None:
            obey(intruder.implants[self.name], technique, words)

        def obey(implant: Implant, technique: str, words: str) -> None:
            answer = implant.order(f"{technique} {words.format(victim=self.victim())}")
            if technique not in ATTEMPTS:
                require(answer.encode(), b"done", technique)

        chosen = [(technique, *wanted[technique]) for technique in self.techniques]
        return [
            *(
                Scenario(f"a helper {what}", partial(order, t, words), Kind.HELPER)
                for t, what, words in chosen
            ),
            *(
                Scenario(f"an implant {what}", partial(order_resident, t, words), Kind.IMPLANT)
                for t, what, words in chosen
            ),
        ]

    def scenarios(self, intruder: Intruder) -> list[Scenario]:
        """All that intruders do here."""
        return [*(Scenario(*step) for step in self.ways_in(intruder)), *self.orders(intruder)]

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


def require_success(process: subprocess.Popen[bytes], what: str) -> None:
    """Wait for the end of a program, and refuse to go on where it failed.

    Raises:
        NoEffectError: it did.
    """
    if status := process.wait(SECONDS_TO_END):
        raise NoEffectError(
            f"{what} had no effect: its exit status is {status}", "See whether the service runs"
        )


def signal_main(target: Target[Any], number: int) -> None:
    """Send a signal to the first process of the service."""
    os.kill(target.server.process.pid, number)
