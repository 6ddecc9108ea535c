"""Many small workloads, each a cgroup of its own with a real process, and an agent beside them."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from baseline.demo.cgroup import OwnCgroup
from baseline.errors import BaselineError
from baseline.workloads.cgroups import cgroup2_mount
from costs.compiling import compiled
from costs.cpus import processor_seconds

SECONDS_TO_START = 300
PORT = 9  # the discard port: nobody listens, the attempt is what is counted

_MIB = 1 << 20
_MINUTE, _HOUR = 60, 3600


@dataclass(frozen=True)
class Pace:
    """What each workload of a crowd does in a second.

    Attributes:
        requests: of about ten system calls each.
        connections: to a peer.
        executions: of a program.
        kinds: of calls that come in any order, eight a request: they make n-grams distinct.
    """

    requests: float = 10
    connections: float = 0.1
    executions: float = 0.1
    kinds: int = 0

    def arguments(self) -> list[str]:
        """As the program takes them."""
        numbers = (self.requests, self.connections, PORT, self.executions, self.kinds)
        return [f"{number:g}" for number in numbers]


STEADY = Pace()


def service(folder: Path) -> Path:
    """The program that all workloads run, compiled into a folder."""
    return compiled("small_service", folder, "-static")


class Crowd:
    """So many workloads at one pace, running while the context lasts.

    Args:
        program: what :func:`service` gave.
        number: of workloads.
        pace: of each.

    Attributes:
        glob: for `--cgroup`.
        names: of the workloads, as `baseline` names them.
    """

    def __init__(self, program: Path, number: int, pace: Pace = STEADY) -> None:
        self._arguments = [str(program), *pace.arguments()]
        self._parent = f"baseline-costs-{os.getpid()}"
        self._folder = cgroup2_mount() / self._parent
        self._processes: list[subprocess.Popen[bytes]] = []
        self.glob = f"{self._parent}/*"
        self.names = [f"{self._parent}/{index:04}" for index in range(number)]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.push(self)  # what has begun until then ends, too
            for name in self.names:
                cgroup = OwnCgroup(name)
                cgroup.folder.mkdir(parents=True)
                self._processes.append(cgroup.start(self._arguments))
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()  # one that was just started is not in its cgroup yet
            process.wait()
        (self._folder / "cgroup.kill").write_text("1")  # what they have started
        for folder in (*self._folder.glob("*/"), self._folder):
            _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a cgroup whose last processes may still be ending."""
    for _ in range(100):
        with suppress(OSError):
            folder.rmdir()
            return
        time.sleep(0.05)


NOTHING_LOST = "nothing lost"


def lost(said: str) -> str:
    """What a command says in the end that it lost: ``NOTHING_LOST``, or of what how much.

    Raises:
        BaselineError: it says nothing of it.
    """
    ends = re.findall(r"^(?:Watched|Wrote) .*; ([^;.]+)\.", said, re.M)
    if not ends:
        raise BaselineError(f"baseline did not end in order: {said[-500:]}", "Run it by hand")
    return ends[-1]


class Memory(NamedTuple):
    """What a process holds, in MiB, as ``/proc/PID/smaps_rollup`` has it.

    Attributes:
        rss: all that is resident, the kernel's tables that are mapped among it.
        pss: the same, what is shared divided by those who share it.
        anonymous: its own.
    """

    rss: float
    pss: float
    anonymous: float


class Agent:
    """A `baseline` command in a cgroup of its own, which counts its time to the microsecond.

    Args:
        arguments: its arguments.
        folder: for what it says.
    """

    def __init__(self, arguments: Sequence[str | Path], folder: Path) -> None:
        self._arguments = [sys.executable, "-m", "baseline", *map(str, arguments)]
        self._log = folder / "agent.log"
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        cgroup = OwnCgroup(f"baseline-costs-agent-{os.getpid()}")
        self._cgroup = self._stack.enter_context(cgroup)
        log = self._stack.enter_context(self._log.open("w"))
        self.began = time.monotonic()
        # As it is installed: compiled once, and not at every start.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        self.process = cgroup.start(self._arguments, stderr=log, env=environment)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._stack.close()

    def end(self) -> None:
        """End it in order, as Ctrl-C does."""
        self.process.terminate()
        self.process.wait(60)

    def wait_for(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait until something is so, while the command runs."""
        while not is_so():
            if self.process.poll() is not None:
                sys.exit(f"The agent ended with {self.process.returncode}: {self.said()[-500:]}")
            if time.monotonic() > self.began + SECONDS_TO_START:
                sys.exit(f"The agent took over {SECONDS_TO_START} s until {what}")
            time.sleep(0.01)

    def wait_for_counting(self, workloads: int) -> None:
        """Wait until it counts so many."""
        self.wait_for(
            lambda: len(re.findall(r"^Counting ", self.said(), re.M)) >= workloads,
            f"it counted {workloads} workloads",
        )

    def said(self) -> str:
        """What it told its user."""
        return self._log.read_text()

    def lost(self) -> str:
        """What it lost, once it has ended.

        Raises:
            BaselineError: it failed, or does not say.
        """
        if self.process.wait():
            raise BaselineError(f"baseline failed: {self.said()[-500:]}", "Run it by hand")
        return lost(self.said())

    def require_all(self) -> None:
        """Wait for its end, and insist that it lost nothing.

        Raises:
            BaselineError: it failed, or lost something.
        """
        if (what := self.lost()) != NOTHING_LOST:
            raise BaselineError(f"baseline lost counts: {what}", "See what else the machine does")

    def cpu_seconds(self) -> float:
        """CPU time that it has had, of all its threads, in the kernel too."""
        return processor_seconds(self._cgroup)

    def memory(self) -> Memory:
        """What it holds now."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        sizes = dict(re.findall(r"^(\w+): +(\d+) kB", text, re.M))
        return Memory(*(int(sizes[name]) * 1024 / _MIB for name in ("Rss", "Pss", "Anonymous")))


class Cost(NamedTuple):
    """What an agent takes.

    Attributes:
        first_percent: of one core in its first minute, when much is new to the kernel.
        cpu_seconds_an_hour: CPU time of its first hour.
        memory: at the end of what was measured.
        lost: of all that the workloads did: who counts less of it is cheaper.
    """

    first_percent: float
    cpu_seconds_an_hour: float
    memory: Memory
    lost: str

    @property
    def cpu_percent(self) -> float:
        """Of one core, over that hour."""
        return 100 * self.cpu_seconds_an_hour / _HOUR


def cost_of(agent: Agent, *, first: float, then: float) -> Cost:
    """What an agent takes that has just begun to count; it is ended then.

    Args:
        agent: it.
        first: seconds that are taken for its first minute.
        then: seconds after these, which are taken for the rest of the hour.
    """
    early, late = (_share(agent, seconds) for seconds in (first, then))
    hour = early * _MINUTE + late * (_HOUR - _MINUTE)
    memory = agent.memory()
    agent.end()
    return Cost(100 * early, hour, memory, agent.lost())


def _share(agent: Agent, seconds: float) -> float:
    """Of one core that it takes in so many seconds."""
    began, before = time.monotonic(), agent.cpu_seconds()
    time.sleep(seconds)
    return (agent.cpu_seconds() - before) / (time.monotonic() - began)
