"""Records nginx, redis and PostgreSQL side by side under a load that changes as real load does.

    sudo .venv/bin/python benchmarks/changing_load.py --minutes 40 --out RECORDING

Each service runs in a cgroup of its own. Its clients come and go (none to six) from addresses that
are now and then new; the rate of their requests follows a slow wave with steps, bursts and idle
stretches; the share of writing drifts; and requests of other kinds come rarely, some only a few
times an hour. What is asked for is random with a fixed seed; what the machine makes of it is not.

Runs of half an hour and more are recorded in pieces of some 20 minutes, RECORDING-0, RECORDING-1
and so on, of the same running services and without a gap between them.
"""

import argparse
import contextlib
import math
import random
import subprocess
import sys
import threading
import time
from bisect import bisect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from service_clients import CLIENTS, Client

from baseline.demo.postgres import Postgres
from baseline.demo.redis import RedisClient
from baseline.demo.service import Server, Service
from baseline.demo.services import SERVICES, running
from baseline.errors import BaselineError, UsageError

PARENT = "baseline-changing"
PIECE_MINUTES = 20
MOST_CLIENTS = 6
OFTENEST_UNUSUAL = 6.0
"""Mean seconds between two requests of the least rare unusual kind; each next is half as often."""


class Stretch(NamedTuple):
    """A time in which the load only follows its wave: from a step to the next."""

    end: float
    clients: int
    level: float


class Course:
    """How a load changes over time; times are seconds since it began.

    Args:
        seed: of its chances.
        seconds: how long it lasts.
    """

    def __init__(self, seed: str, seconds: float) -> None:
        choose = random.Random(seed)  # noqa: S311 - not for secrets
        self._wave_seconds = choose.uniform(6, 12) * 60
        self._drift_seconds = choose.uniform(10, 20) * 60
        self._phase = choose.uniform(0, math.tau)
        self._stretches = [self._stretch(choose, 0.0)]
        while self._stretches[-1].end < seconds:
            self._stretches.append(self._stretch(choose, self._stretches[-1].end))
        self._ends = [stretch.end for stretch in self._stretches]

    @staticmethod
    def _stretch(choose: random.Random, begin: float) -> Stretch:
        kind = choose.random()
        if kind < 0.15:
            return Stretch(begin + choose.expovariate(1 / 30), 0, 0.0)
        clients = choose.randint(1, MOST_CLIENTS)
        if kind < 0.3:
            return Stretch(begin + choose.uniform(3, 10), clients, 4.0)
        return Stretch(begin + choose.expovariate(1 / 60), clients, choose.lognormvariate(0.0, 0.5))

    def clients(self, when: float) -> int:
        """How many clients there are."""
        return self._at(when).clients

    def rate(self, when: float) -> float:
        """Requests of all clients together, as a multiple of the service's usual rate."""
        wave = math.sin(math.tau * when / self._wave_seconds + self._phase)
        return self._at(when).level * (1 + 0.7 * wave)

    def writing(self, when: float) -> float:
        """Share of requests that write or compute, between 0.1 and 0.9."""
        return 0.5 + 0.4 * math.sin(math.tau * when / self._drift_seconds - self._phase)

    def _at(self, when: float) -> Stretch:
        return self._stretches[min(bisect(self._ends, when), len(self._ends) - 1)]


class Load:
    """The clients of one service; its time runs from here on.

    Args:
        service: a running service.
        seconds: how long the load will last at most.
        seed: of its chances.
        client: who its clients are, where they are not those of the demo's service of its name.
    """

    def __init__(
        self, service: Server, seconds: float, seed: int, client: type[Client] | None = None
    ) -> None:
        self._service = service
        self._seed = f"{seed} {service.name}"
        self._course = Course(self._seed, seconds)
        self._client = client or CLIENTS[service.name]
        self._begun = time.monotonic()
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Clients at work while the context lasts."""
        threads = [
            threading.Thread(target=self._usual, args=(number,)) for number in range(MOST_CLIENTS)
        ]
        threads.append(threading.Thread(target=self._unusual))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _usual(self, number: int) -> None:
        choose = random.Random(f"{self._seed} {number}")  # noqa: S311 - not for secrets
        client: Client | None = None
        while not self._stop.is_set():
            now = time.monotonic() - self._begun
            clients = self._course.clients(now)
            if number >= clients:
                client = client and client.close()
                self._stop.wait(0.2)
                continue
            pause = choose.expovariate(self._course.rate(now) / clients * self._client.usual_rate)
            if pause > 0.2:  # the rate may change; exponential waiting times have no memory
                self._stop.wait(0.2)
                continue
            self._stop.wait(pause)
            stays = False
            with contextlib.suppress(*self._client.failures):
                client = client or self._client(self._service, choose)
                stays = client.usual(self._course.writing(now))
            if not stays:
                client = client and client.close()
        if client:
            client.close()

    def _unusual(self) -> None:
        choose = random.Random(f"{self._seed} unusual")  # noqa: S311 - not for secrets
        while not self._stop.wait(choose.expovariate(2 / OFTENEST_UNUSUAL)):
            with (
                contextlib.suppress(*self._client.failures),
                contextlib.closing(self._client(self._service, choose)) as client,
            ):
                kinds = client.unusual()
                rarity = int(-math.log2(1 - choose.random()))  # 0 with 1/2, 1 with 1/4 ...
                kinds[min(rarity, len(kinds) - 1)]()


def prepare(service: Server) -> None:
    """Let a service take clients from all loopback addresses, not only from 127.0.0.1."""
    if service.name == "redis":
        with contextlib.closing(RedisClient(service.port)) as client:
            client.command("CONFIG", "SET", "protected-mode", "no")
    elif isinstance(service, Postgres):
        with (service.folder / "data" / "pg_hba.conf").open("a") as file:
            file.write("host all all 127.0.0.0/8 trust\n")
        service.client("psql", "-c", "SELECT pg_reload_conf()")


@contextmanager
def under_changing_load(seconds: float, seed: int = 0) -> Iterator[list[Service]]:
    """The three services, running and under load while the context lasts.

    Raises:
        BaselineError: one of them does not start.
    """
    with ExitStack() as stack:
        services = [stack.enter_context(running(name, PARENT)) for name in SERVICES]
        for service in services:
            prepare(service)
            stack.enter_context(Load(service, seconds, seed).running())
        yield services


def record(minutes: float, out: Path, seed: int = 0) -> list[Path]:
    """Record the services under changing load; returns the recordings in order of time.

    Raises:
        BaselineError: there is a recording already, a service does not start, or recording failed.
    """
    pieces = max(1, round(minutes / PIECE_MINUTES))
    paths = [out.with_name(f"{out.name}-{number}") for number in range(pieces)]
    if pieces == 1:
        paths = [out]
    for path in paths:
        if path.exists():
            raise UsageError(f"{path} exists", "Choose another name")
    with under_changing_load(minutes * 60 + 60, seed) as services:
        selectors = [f"--cgroup={service.name}={service.cgroup.path}" for service in services]
        for path in paths:
            # What is kept in the kernel goes on counting: the next recording begins there.
            keep = ["--keep"] * (path != paths[-1])
            duration = f"--duration={minutes * 60 / pieces:.0f}s"
            command = [sys.executable, "-m", "baseline", "record", *selectors, duration, *keep]
            if subprocess.run([*command, "--out", path], check=False).returncode:
                raise BaselineError(f"{path} was not recorded", "See above why")
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--out", type=Path, required=True, metavar="RECORDING")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    try:
        paths = record(arguments.minutes, arguments.out, arguments.seed)
    except BaselineError as error:
        sys.exit(str(error))
    print(*paths, sep="\n")


if __name__ == "__main__":
    main()
