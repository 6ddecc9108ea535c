"""Cgroups in which known programs run, and the watch that counts them."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from restricted import restricted

from baseline.interference import Interference
from baseline.kernel.capabilities import Capability
from baseline.kernel.program import Settings
from baseline.kernel.source import KernelSource
from baseline.sighting import Sighting
from baseline.window import Window, total
from baseline.workloads.cgroups import CgroupSelector, cgroup2_mount

PYTHON = Path(sys.executable).resolve()


@dataclass
class Cgroup:
    """A cgroup for one test.

    Attributes:
        path: below the mount, as in ``Window.replica``.
        programs: the compiled ``tests/programs``, by name.
        processes: all that was started in it.
    """

    path: str
    programs: dict[str, Path]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Its folder."""
        return cgroup2_mount() / self.path

    def child(self, name: str) -> "Cgroup":
        """A new cgroup below this one; it goes with it."""
        child = Cgroup(f"{self.path}/{name}", self.programs, self.processes)
        child.folder.mkdir()
        return child

    def start(
        self, program: object, *arguments: object, how: str = "join", pipes: bool = False
    ) -> subprocess.Popen[bytes]:
        """Start a program inside, whose execve is the first call in here.

        Args:
            program: absolute path, or the name of one of ``tests/programs``.
            arguments: its arguments.
            how: "join" or "clone", see ``enter.c``.
            pipes: connect its stdin and stdout.
        """
        ends = subprocess.PIPE if pipes else None
        path = str(self.programs.get(str(program), program))
        process = subprocess.Popen(
            [self.programs["enter"], how, self.folder, path, *map(str, arguments)],
            stdin=ends or subprocess.DEVNULL,
            stdout=ends,
        )
        self.processes.append(process)
        return process

    def run(self, program: object, *arguments: object, how: str = "join") -> None:
        """Run a program inside to its end, which must be a good one."""
        assert self.start(program, *arguments, how=how).wait() == 0

    def output(self, program: object, *arguments: object) -> str:
        """The same, and what it wrote to stdout."""
        return finish(self.start(program, *arguments, pipes=True))

    def start_saying(self, program: object, *arguments: object) -> subprocess.Popen[bytes]:
        """Start a program that writes a byte once it is ready and then reads one."""
        process = self.start(program, *arguments, pipes=True)
        assert process.stdout
        assert process.stdout.read(1)
        return process

    def start_waiting(self, program: object, *arguments: object) -> subprocess.Popen[bytes]:
        """The same, asleep in that read."""
        process = self.start_saying(program, *arguments)
        while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
            pass
        return process

    def start_python(
        self, script: str, *arguments: object, within: str = ""
    ) -> subprocess.Popen[bytes]:
        """Start a Python script inside, with pipes.

        Args:
            script: its text.
            arguments: its arguments.
            within: name of the network namespace to run it in.
        """
        command: list[object] = [PYTHON, "-c", script, *arguments]
        if within:
            command = [Path(shutil.which("ip") or "ip"), "netns", "exec", within, *command]
        return self.start(str(command[0]), *command[1:], pipes=True)

    def python(self, script: str, *arguments: object, within: str = "") -> str:
        """The same, run to its end, which must be a good one; its stdout."""
        return finish(self.start_python(script, *arguments, within=within))

    def take(self, process: subprocess.Popen[bytes]) -> None:
        """Move a process in here."""
        (self.folder / "cgroup.procs").write_text(str(process.pid))

    def remove(self) -> None:
        """End what runs inside and remove it, with what is below."""
        if not self.folder.exists():
            return
        (self.folder / "cgroup.kill").write_text("1")
        for process in self.processes:
            process.communicate()
        while "populated 1" in (self.folder / "cgroup.events").read_text():
            pass
        for folder, _, _ in os.walk(self.folder, topdown=False):
            Path(folder).rmdir()


def finish(process: subprocess.Popen[bytes], text: bytes = b"") -> str:
    """Wait for a process with pipes to end well; the rest of its stdout."""
    out, _ = process.communicate(text)
    assert process.returncode == 0
    return out.decode()


def release(process: subprocess.Popen[bytes]) -> str:
    """Let a process that waits go on to its end."""
    return finish(process, b".")


@contextmanager
def steady_load(cgroup: Cgroup, calls: int) -> Iterator[list[int]]:
    """Two processes at a time make so many known calls each.

    Yields:
        What each made in all, with execve and exit; complete when the context ends.
    """
    made: list[int] = []
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            cgroup.run("calls", f"110:{calls}")
            made.append(calls + 2)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    try:
        yield made
    finally:
        done.set()
        for worker in workers:
            worker.join()


class Watch:
    """A kernel source that is read when the test says so, and must add up each time.

    Attributes:
        sightings: those that came so far.
        said: what a user was told.
        windows: those that were read so far.
        interferences: what somebody did to the counting so far.
    """

    def __init__(self, *selectors: str, settings: Settings, interval: float) -> None:
        mount = cgroup2_mount()
        self.said: list[str] = []
        self.sightings: list[Sighting] = []
        self.windows: list[Window] = []
        self.interferences: list[Interference] = []
        self.source = KernelSource(
            [CgroupSelector.parse(text, mount) for text in selectors],
            interval=interval,
            keep=True,  # so that the next test need not load again
            say=self.said.append,
            settings=settings,
        )

    def read(self) -> list[Window]:
        """One window of each workload, up to now."""
        new = []
        for observation in self.source.observations(0.001):
            if isinstance(observation, Sighting):
                self.sightings.append(observation)
            elif isinstance(observation, Interference):
                self.interferences.append(observation)
            else:
                assert observation.ledger.adds_up, observation.ledger
                new.append(observation)
        self.windows += new
        return new

    def window(self, cgroup: Cgroup) -> Window:
        """All that a cgroup did since the watch began."""
        self.read()
        return total(window for window in self.windows if window.replica == cgroup.path)

    def replicas(self) -> set[str]:
        """Paths of the cgroups that were reported."""
        self.read()
        return {window.replica for window in self.windows}


@dataclass
class Watched(Cgroup):
    """A cgroup that is watched from before anything runs in it."""

    watch: Watch = field(kw_only=True)

    def window(self) -> Window:
        """All that it did so far."""
        return self.watch.window(self)


class OtherCommand:
    """A command in a process of its own, see ``other_command.py``.

    Args:
        selector: what it watches.
        keep: whether the program stays loaded after its end.
        slot_bits: size of the n-gram table.
        rights: of whom, and with which capabilities, if not ours.
    """

    def __init__(
        self,
        selector: str,
        *,
        keep: bool,
        slot_bits: int,
        rights: tuple[int, Sequence[Capability]] | None = None,
    ) -> None:
        script = Path(__file__).with_name("other_command.py")
        options = ("keep" if keep else "go", selector, slot_bits)
        command = [*map(str, (sys.executable, script, *options))]
        self.process = subprocess.Popen(
            restricted(command, *rights) if rights else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "ready"

    def read(self) -> dict[str, list[int]]:
        """Replica -> calls, executions, connections that it has counted up to now."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        counts: dict[str, list[int]] = json.loads(self._line())
        return counts

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.communicate()

    def end(self) -> None:
        """Let it end in order."""
        self.process.communicate()
        assert self.process.returncode == 0

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().rstrip()
