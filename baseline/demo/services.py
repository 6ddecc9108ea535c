"""The services there are, and running one."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

from baseline.demo.cgroup import OwnCgroup
from baseline.demo.nginx import Nginx
from baseline.demo.postgres import Postgres
from baseline.demo.redis import Redis
from baseline.demo.service import Server, Service

AnyServer = TypeVar("AnyServer", bound=Server)

SERVICES: dict[str, type[Service]] = {kind.name: kind for kind in (Nginx, Redis, Postgres)}


def running(name: str, parent: str = "baseline-demo") -> AbstractContextManager[Service]:
    """A service, started, in the cgroup ``PARENT/NAME``; gone without a trace afterwards.

    Raises:
        BaselineError: it does not start.
    """
    return started(SERVICES[name], f"{parent}/{name}")


@contextmanager
def started(
    kind: Callable[[OwnCgroup, Path], AnyServer], path: str, beside: Server | None = None
) -> Iterator[AnyServer]:
    """A server of any kind, started, in the cgroup of this path; gone without a trace afterwards.

    Args:
        kind: which.
        path: below the cgroup2 mount.
        beside: another replica, whose port it takes, at an address of its own.

    Raises:
        BaselineError: it does not start.
    """
    with (
        tempfile.TemporaryDirectory(prefix=f"{path.replace('/', '-')}-") as folder,
        OwnCgroup(path) as cgroup,
    ):
        Path(folder).chmod(0o755)  # services drop their rights and still have to get in
        server = kind(cgroup, Path(folder))
        if beside:
            server.address, server.port = "127.0.0.2", beside.port
        try:
            server.start()
            yield server
        finally:
            server.close()
