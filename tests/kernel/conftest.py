"""Known programs in cgroups of their own, counted by the real kernel."""

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from baseline.kernel import agents
from baseline.kernel.collector import pinned_versions
from baseline.kernel.doctor import examine
from baseline.kernel.program import PIN_ROOT, Settings, fingerprint
from baseline.kernel.source import KernelSource
from baseline.kernel.unloading import unload
from baseline.sighting import Sighting
from baseline.window import Window, total
from baseline.workloads.cgroups import CgroupSelector, cgroup2_mount

REQUIRED = os.environ.get("BASELINE_REQUIRE_KERNEL") == "1"
"""What is missing makes tests fail instead of being skipped."""

PYTHON = Path(sys.executable).resolve()

_SOURCES = Path(__file__).parents[1] / "programs"
_WARNINGS = ("-O1", "-Wall", "-Wextra", "-Werror")
_BARE = ("-static", "-nostdlib", "-ffreestanding", "-fno-pie", "-no-pie", "-fno-stack-protector")
_PROGRAMS = {
    "calls": ("calls.c", *_BARE),
    "calls_32": ("calls.c", *_BARE, "-m32"),
    "calls_int80": ("calls.c", *_BARE, "-DINT80"),
    "enter": ("enter.c",),
    "reuse_pid": ("reuse_pid.c",),
    "threads": ("threads.c", "-pthread"),
    "udp_together": ("udp_together.c", "-pthread"),
    "uring": ("uring.c", "-luring"),
}
"""Program -> its source and its compiler options."""


def missing(reason: str) -> None:
    """Skip the test, or fail it where nothing may be missing."""
    if REQUIRED:
        pytest.fail(f"{reason} (BASELINE_REQUIRE_KERNEL is set)", pytrace=False)
    pytest.skip(reason)


def require_tools(*tools: str) -> None:
    """Skip or fail without these programs."""
    for tool in tools:
        if shutil.which(tool) is None:
            missing(f"{tool} is not installed")


@cache
def _obstacle() -> str:
    """Why this machine cannot run kernel tests; empty where it can."""
    if os.geteuid() == 0 and (pinned_versions() or agents.Agent.others()):
        return "The kernel program is in use: end its commands, then run `baseline unload`"
    return "; ".join(f"{c.name}: {c.detail}. {c.fix}" for c in examine() if not c.ok)


@pytest.fixture(autouse=True)
def _kernel_or_skip(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("kernel"):
        if _obstacle():
            missing(_obstacle())
        request.getfixturevalue("nothing_left_behind")


@pytest.fixture(scope="session")
def nothing_left_behind() -> Iterator[None]:
    """Unloads at the end, after which nothing of us may be on the machine."""
    yield
    unload()
    assert not PIN_ROOT.exists()
    assert not agents.RUN_DIRECTORY.exists()
    assert not list(cgroup2_mount().glob(f"{_cgroup_prefix()}*"))


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The programs of ``tests/programs``, compiled."""
    require_tools("gcc")
    folder = tmp_path_factory.mktemp("programs")
    for name, (source, *options) in _PROGRAMS.items():
        command = ["gcc", *_WARNINGS, str(_SOURCES / source), "-o", str(folder / name), *options]
        compiler = subprocess.run(command, capture_output=True, text=True, check=False)
        if compiler.returncode:
            missing(f"{source} does not compile here: {compiler.stderr.strip()}")
    return {name: folder / name for name in _PROGRAMS}


def _cgroup_prefix() -> str:
    return f"baseline-test-{os.getpid()}"


@dataclass
class Cgroup:
    """A cgroup for one test.

    Attributes:
        path: below the mount, as in ``Window.replica``.
        folder: its folder.
    """

    path: str
    programs: dict[str, Path]
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return cgroup2_mount() / self.path

    def child(self, name: str) -> "Cgroup":
        """A new cgroup below this one; it goes with it."""
        child = Cgroup(f"{self.path}/{name}", self.programs, self._processes)
        child.folder.mkdir()
        return child

    def start(
        self, program: str | Path, *arguments: object, how: str = "join", pipes: bool = False
    ) -> subprocess.Popen[bytes]:
        """Start a program inside, whose execve is the first call in here.

        Args:
            program: absolute path, or the name of one of ``tests/programs``.
            arguments: its arguments.
            how: "join" or "clone", see ``enter.c``.
            pipes: connect its stdin and stdout.
        """
        ends = subprocess.PIPE if pipes else None
        path = self.programs.get(str(program), program)
        process = subprocess.Popen(
            [self.programs["enter"], how, self.folder, path, *map(str, arguments)],
            stdin=ends or subprocess.DEVNULL,
            stdout=ends,
        )
        self._processes.append(process)
        return process

    def run(self, program: str | Path, *arguments: object, how: str = "join") -> None:
        """Run a program inside to its end, which must be a good one."""
        assert self.start(program, *arguments, how=how).wait() == 0

    def output(self, program: str | Path, *arguments: object) -> str:
        """The same, and what it wrote to stdout."""
        return finish(self.start(program, *arguments, pipes=True))

    def start_saying(self, program: str | Path, *arguments: object) -> subprocess.Popen[bytes]:
        """Start a program that writes a byte once it is ready and then reads one."""
        process = self.start(program, *arguments, pipes=True)
        assert process.stdout
        assert process.stdout.read(1)
        return process

    def start_waiting(self, program: str | Path, *arguments: object) -> subprocess.Popen[bytes]:
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
        for process in self._processes:
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


@pytest.fixture
def cgroup(programs: dict[str, Path]) -> Iterator[Cgroup]:
    """A fresh cgroup."""
    created = Cgroup(f"{_cgroup_prefix()}-{next(_numbers)}", programs)
    created.folder.mkdir()
    yield created
    created.remove()


_numbers = itertools.count()


class Watch:
    """A kernel source that is read when the test says so, and must add up each time.

    Attributes:
        sightings: those that came so far.
        said: what a user was told.
    """

    def __init__(self, *selectors: str, settings: Settings, interval: float) -> None:
        mount = cgroup2_mount()
        self.said: list[str] = []
        self.sightings: list[Sighting] = []
        self.windows: list[Window] = []
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


@pytest.fixture(scope="module")
def settings() -> Settings:
    """Sizes of the kernel's tables; modules that want others replace this."""
    return Settings()


@pytest.fixture
def watch(settings: Settings) -> Iterator[Callable[..., Watch]]:
    """Begins to watch what its selectors say, until the end of the test."""
    with contextlib.ExitStack() as stack:

        def begin(*selectors: str, interval: float = 1.0) -> Watch:
            wanted = PIN_ROOT / fingerprint(settings)
            if any(version != wanted for version in pinned_versions()):
                unload()
            watch = Watch(*selectors, settings=settings, interval=interval)
            stack.enter_context(watch.source)
            return watch

        yield begin


class Agent:
    """A command in a process of its own, see ``agent.py``."""

    def __init__(self, selector: str, *, keep: bool) -> None:
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("agent.py"), "keep" if keep else "go", selector],
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

    def end(self) -> None:
        """Let it end in order."""
        self.process.communicate()
        assert self.process.returncode == 0

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().rstrip()


@pytest.fixture
def agent() -> Iterator[Callable[..., Agent]]:
    """Starts commands of their own; those that still run at the end of the test are killed."""
    started: list[Agent] = []

    def start(selector: str, *, keep: bool = True) -> Agent:
        started.append(Agent(selector, keep=keep))
        return started[-1]

    yield start
    for agent in started:
        agent.process.kill()
        agent.process.communicate()


@pytest.fixture
def unloaded() -> None:
    """No program in the kernel when the test begins, so that all tables are empty."""
    unload()


@dataclass
class Watched(Cgroup):
    """A cgroup that is watched from before anything runs in it."""

    watch: Watch = field(kw_only=True)

    def window(self) -> Window:
        return self.watch.window(self)


@pytest.fixture
def watched(cgroup: Cgroup, watch: Callable[..., Watch]) -> Watched:
    """A fresh cgroup, watched."""
    return Watched(cgroup.path, cgroup.programs, cgroup._processes, watch=watch(cgroup.path))
