"""All services of the range."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from changing_load import Load, prepare

from baseline.demo.nginx import Nginx
from baseline.demo.postgres import Postgres
from baseline.demo.redis import Redis
from baseline.demo.service import Server
from baseline.demo.services import started
from baseline.errors import BaselineError
from baseline.workloads.cgroups import cgroup2_mount
from ranges.container import Container, ContainerTarget
from ranges.java import Java, JavaTarget
from ranges.nginx import NginxTarget
from ranges.postgres import PostgresTarget
from ranges.redis import RedisTarget
from ranges.ssh import Ssh, SshTarget
from ranges.target import PARENT, Target

AnyTarget = Target[Any]

KINDS: dict[str, tuple[type[Server], type[AnyTarget]]] = {
    server.name: (server, target)
    for server, target in (
        (Nginx, NginxTarget),
        (Redis, RedisTarget),
        (Postgres, PostgresTarget),
        (Ssh, SshTarget),
        (Java, JavaTarget),
        (Container, ContainerTarget),
    )
}
"""Name -> its server, and what the range does with it."""


@contextmanager
def targets(names: list[str]) -> Iterator[list[AnyTarget]]:
    """Services of these names, running while the context lasts.

    Raises:
        BaselineError: one of them is not installed, or does not start.
    """
    for name in names:
        _require(name)
    try:
        with ExitStack() as stack:
            yield [stack.enter_context(_replica(name)) for name in names]
    finally:
        with suppress(OSError):
            (cgroup2_mount() / PARENT).rmdir()


def _require(name: str) -> None:
    server, target = KINDS[name]
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
    for program in target.needs:
        if shutil.which(program, path=path) is None:
            raise BaselineError(
                f"{program}, which {name} needs, is not installed",
                f"Run: apt install {server.packages}; or leave {name} out, with --services",
            )


@contextmanager
def _replica(name: str, beside: Server | None = None) -> Iterator[AnyTarget]:
    kind, target = KINDS[name]
    with started(kind, f"{PARENT}/{name}/{2 if beside else 1}", beside) as server:
        prepare(server)
        yield target(server)


@contextmanager
def under_load(target: AnyTarget, seconds: float, seed: int) -> Iterator[None]:
    """Clients at work while the context lasts, at a rate that changes."""
    with Load(target.server, seconds, seed, target.client).running():
        yield


@contextmanager
def second_replica(target: AnyTarget, seconds: float, seed: int) -> Iterator[None]:
    """Another replica with clients of its own while the context lasts."""
    with _replica(target.name, target.server) as other, under_load(other, seconds, seed):
        yield
