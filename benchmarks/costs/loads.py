"""Real services and their usual load generators: requests a second, and how long one takes.

The services run on the upper half of the processors and their clients on the lower half
(``costs.cpus``), so that the service is what there is too little of.  Nothing waits for a disk.

Clients that are told a number of requests get as many each time, by the fastest rate until now:
were it fewer after a slow probe, their beginning would weigh more in the run that follows.
"""

import csv
import re
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from baseline.demo.cgroup import OwnCgroup
from baseline.demo.nginx import Nginx
from baseline.demo.postgres import Postgres
from baseline.demo.redis import Redis
from baseline.demo.service import Server
from baseline.demo.services import started
from baseline.errors import BaselineError
from costs.compiling import compiled
from costs.cpus import CLIENT_CPUS, SERVICE_CPUS, pinned
from costs.needed import require
from costs.probes import PARENT

FILES = 40
"""Files of the build."""
SESSIONS = 4
"""Of pgbench."""
_PGBENCH_SCALE = 10
_WAITING_SECONDS = 60
"""For a load generator, beside the time that it was told to take."""


class Throughput(NamedTuple):
    """What a load generator measured.

    Attributes:
        requests: how many were answered.
        rate: a second.
        p50_ms, p99_ms: milliseconds that one took; 0 where they do not come one by one.
    """

    requests: int
    rate: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0


class Load(ABC):
    """A load on a service that runs.

    Attributes:
        name: of the load.
        cgroup: of the service.
        threads: how the threads of the service are named.
    """

    name: str
    cgroup: OwnCgroup
    threads: tuple[str, ...]

    @abstractmethod
    def run(self, seconds: float) -> Throughput:
        """Go on for about so long.

        Raises:
            BaselineError: it failed.
        """


class Wrk(Load):
    """A small file from nginx, over sixteen connections that stay."""

    name = "nginx"
    threads = ("nginx",)

    def __init__(self, server: Server) -> None:
        self.cgroup = server.cgroup
        self._url = f"http://{server.address}:{server.port}/index.html"

    def run(self, seconds: float) -> Throughput:
        """Go on for about so long."""
        whole = max(1, round(seconds))  # wrk knows no others
        text = _output("wrk", "-t1", "-c16", f"-d{whole}s", "--latency", self._url)
        if "Non-2xx" in text:
            raise BaselineError(f"nginx did not answer as it should: {text}", "See its error.log")
        (requests,) = re.findall(r"(\d+) requests in", text)
        (rate,) = re.findall(r"Requests/sec: +([\d.]+)", text)
        quantiles = [
            float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]
            for number, unit in re.findall(r"(?:50|99)% +([\d.]+)(us|ms|s)", text)
        ]
        return Throughput(int(requests), float(rate), *quantiles)


class RedisBenchmark(Load):
    """GET or SET, over fifty connections."""

    threads = ("redis-server",)

    def __init__(self, server: Server, command: str) -> None:
        self.name = f"redis_{command}"
        self.cgroup = server.cgroup
        self._command = command
        self._port = server.port
        self._rate = 20_000.0

    def run(self, seconds: float) -> Throughput:
        """Go on for about so long."""
        requests = max(1000, int(self._rate * seconds))
        text = _output(
            *("redis-benchmark", "-p", str(self._port), "-t", self._command),
            *("-n", str(requests), "-c", "50", "-r", "10000", "--csv"),
        )
        row = list(csv.DictReader(text.splitlines()))[-1]
        rate = float(row["rps"])
        self._rate = max(self._rate, rate)
        return Throughput(
            requests, rate, float(row["p50_latency_ms"]), float(row["p99_latency_ms"])
        )


class Pgbench(Load):
    """One of pgbench's own scripts, over four sessions."""

    threads = ("postgres",)

    def __init__(self, server: Postgres, builtin: str, folder: Path) -> None:
        self.name = f"pgbench_{builtin.partition('-')[0]}"
        self.cgroup = server.cgroup
        self._server = server
        self._builtin = builtin
        self._folder = folder
        self._rate = 2_000.0

    def run(self, seconds: float) -> Throughput:
        """Go on for about so long."""
        log = self._folder / self.name
        transactions = max(
            10, round(self._rate * seconds / SESSIONS)
        )  # it times whole seconds only
        with pinned(CLIENT_CPUS):
            text = self._server.client(
                *("pgbench", "--no-vacuum", f"--client={SESSIONS}"),
                f"--transactions={transactions}",
                *(f"--builtin={self._builtin}", "--protocol=prepared"),
                *("--log", f"--log-prefix={log}"),
            ).decode()
        found = re.findall(r"tps = ([\d.]+)", text)
        if not found:
            raise BaselineError(f"pgbench failed: {text or 'no output'}", "Run it by hand")
        milliseconds: list[float] = []
        for path in self._folder.glob(f"{self.name}.*"):
            lines = path.read_text().splitlines()
            milliseconds += [int(line.split()[2]) / 1e3 for line in lines]  # logs microseconds
            path.unlink()
        rate = float(found[0])
        self._rate = max(self._rate, rate)
        p50, p99 = np.quantile(milliseconds, [0.5, 0.99])
        return Throughput(len(milliseconds), rate, float(p50), float(p99))


class Build(Load):
    """make and cc on small files: four processes for each."""

    name = "build"
    threads = ("make", "sh", "cc", "cc1", "as")

    def __init__(self, cgroup: OwnCgroup, folder: Path) -> None:
        self.cgroup = cgroup
        self._folder = folder
        for number in range(FILES):
            text = f"int square_{number}(int x) {{ return x * x + {number}; }}\n"
            (folder / f"part{number}.c").write_text(text)
        objects = " ".join(f"part{number}.o" for number in range(FILES))
        (folder / "Makefile").write_text(f"all: {objects}\n")

    def run(self, seconds: float) -> Throughput:
        """Build it once, however long that takes."""
        for path in self._folder.glob("*.o"):
            path.unlink()
        began = time.monotonic()
        with pinned(SERVICE_CPUS):
            make = ("make", "-s", f"-j{len(SERVICE_CPUS)}", "-C", str(self._folder))
            status = self.cgroup.start(make).wait(_WAITING_SECONDS)
        if status:
            raise BaselineError("The build failed", "Check that make and cc are installed")
        return Throughput(FILES, FILES / (time.monotonic() - began))


class Exec(Load):
    """``/bin/true``, one after the other."""

    name = "exec"
    threads = ("exec_loop", "true")

    def __init__(self, cgroup: OwnCgroup, folder: Path) -> None:
        self.cgroup = cgroup
        self._loop = compiled("exec_loop", folder)

    def run(self, seconds: float) -> Throughput:
        """Go on for about so long."""
        with pinned(SERVICE_CPUS[-1:]):
            process = self.cgroup.start(
                [self._loop, str(int(seconds * 1000)), "/bin/true"], stdout=subprocess.PIPE
            )
        output, _ = process.communicate(timeout=seconds + _WAITING_SECONDS)
        if process.returncode:
            raise BaselineError("/bin/true could not be started over and over", "Try it by hand")
        rate, p50, p99, requests = output.split()
        return Throughput(int(requests), float(rate), float(p50), float(p99))


class _Cache(Redis):
    """redis as a cache: nothing is written to a disk."""

    def prepare(self) -> None:
        """Decide on its options."""
        super().prepare()
        self._options += ["--appendonly", "no", "--save", ""]


@contextmanager
def loads() -> Iterator[list[Load]]:
    """All loads, their services running meanwhile.

    Raises:
        BaselineError: a service does not start, or a program is missing.
    """
    require("wrk", "redis-benchmark", "make", "cc")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sources, logs = folder / "sources", folder / "logs"
        sources.mkdir()
        logs.mkdir()
        with pinned(SERVICE_CPUS):
            nginx = stack.enter_context(started(Nginx, f"{PARENT}/nginx"))
            redis = stack.enter_context(started(_Cache, f"{PARENT}/redis"))
            postgres = stack.enter_context(started(Postgres, f"{PARENT}/postgres"))
        postgres.client("pgbench", "--initialize", "--quiet", f"--scale={_PGBENCH_SCALE}")
        postgres.client("psql", "-c", "ALTER SYSTEM SET synchronous_commit = off")
        postgres.client("psql", "-c", "SELECT pg_reload_conf()")
        cgroup = stack.enter_context(OwnCgroup(f"{PARENT}/work"))
        yield [
            Wrk(nginx),
            RedisBenchmark(redis, "get"),
            RedisBenchmark(redis, "set"),
            Pgbench(postgres, "select-only", logs),
            Pgbench(postgres, "tpcb-like", logs),
            Build(cgroup, sources),
            Exec(cgroup, folder),
        ]


def _output(*command: str) -> str:
    with pinned(CLIENT_CPUS):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        text, _ = process.communicate(timeout=_WAITING_SECONDS)
    except subprocess.TimeoutExpired as cause:
        process.kill()
        process.wait()
        raise BaselineError(f"{command[0]} did not end", "Run it by hand") from cause
    if process.returncode:
        raise BaselineError(f"{command[0]} failed: {text}", "Run it by hand")
    return text
