"""The services there are, and running one."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from baseline.demo.cgroup import OwnCgroup
from baseline.demo.nginx import Nginx
from baseline.demo.postgres import Postgres
from baseline.demo.redis import Redis
from baseline.demo.service import Service

SERVICES: dict[str, type[Service]] = {kind.name: kind for kind in (Nginx, Redis, Postgres)}


@contextmanager
def running(name: str, parent: str = "baseline-demo") -> Iterator[Service]:
    """A service, started, in the cgroup ``PARENT/NAME``; gone without a trace afterwards.

    Raises:
        BaselineError: it does not start.
    """
    with (
        tempfile.TemporaryDirectory(prefix=f"baseline-{name}-") as folder,
        OwnCgroup(f"{parent}/{name}") as cgroup,
    ):
        Path(folder).chmod(0o755)  # services drop their rights and still have to get in
        service = SERVICES[name](cgroup, Path(folder))
        service.start()
        yield service
