"""Known programs in cgroups of their own, counted by the real kernel."""

import itertools
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from requirements import missing, require_kernel, require_tools
from watching import Cgroup, OtherCommand, Watch, Watched

from baseline.kernel.agents import RUN_DIRECTORY
from baseline.kernel.capabilities import Capability
from baseline.kernel.collector import pinned_versions
from baseline.kernel.program import PIN_ROOT, Settings, fingerprint
from baseline.kernel.unloading import unload
from baseline.workloads.cgroups import cgroup2_mount

_SOURCES = Path(__file__).parents[1] / "programs"
_WARNINGS = ("-O1", "-Wall", "-Wextra", "-Werror")
_BARE = ("-static", "-nostdlib", "-ffreestanding", "-fno-pie", "-no-pie", "-fno-stack-protector")
_PROGRAMS = {
    "calls": ("calls.c", *_BARE),
    "calls_32": ("calls.c", *_BARE, "-m32"),
    "calls_int80": ("calls.c", *_BARE, "-DINT80"),
    "end_together": ("end_together.c", "-pthread"),
    "enter": ("enter.c",),
    "herd": ("herd.c", "-pthread"),
    "reuse_pid": ("reuse_pid.c",),
    "reuse_thread_id": ("reuse_thread_id.c", "-pthread"),
    "service": ("service.c", "-luring", "-pthread"),
    "share_place": ("share_place.c",),
    "threads": ("threads.c", "-pthread"),
    "udp_together": ("udp_together.c", "-pthread"),
    "uring": ("uring.c", "-luring"),
    "wrap_pids": ("wrap_pids.c",),
}
"""Program -> its source and its compiler options."""


_CGROUP_PREFIX = f"baseline-test-{os.getpid()}-"
_numbers = itertools.count()
_USED = pytest.StashKey[bool]()


@pytest.fixture(autouse=True)
def _kernel(request: pytest.FixtureRequest) -> None:
    """What the mark ``kernel`` means."""
    if request.node.get_closest_marker("kernel"):
        require_kernel()
        request.config.stash[_USED] = True


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """After the last test here the program is unloaded, and nothing of us may be left behind."""
    is_last = nextitem is None or Path(__file__).parent not in nextitem.path.parents
    if is_last and item.config.stash.get(_USED, False):
        unload()
        assert not PIN_ROOT.exists()
        assert not RUN_DIRECTORY.exists()
        assert not list(cgroup2_mount().glob(f"{_CGROUP_PREFIX}*"))


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


@pytest.fixture
def cgroup(programs: dict[str, Path]) -> Iterator[Cgroup]:
    """A fresh cgroup."""
    created = Cgroup(f"{_CGROUP_PREFIX}{next(_numbers)}", programs)
    created.folder.mkdir()
    yield created
    created.remove()


@pytest.fixture(scope="module")
def settings() -> Settings:
    """Sizes of the kernel's tables; modules that want others replace this."""
    return Settings()


@pytest.fixture
def unloaded() -> Iterator[None]:
    """No program in the kernel when the test begins, so that all tables are empty, nor after it."""
    unload()
    yield
    unload()


@pytest.fixture
def one_processor() -> Iterator[None]:
    """What is started runs on one processor, and so in one table."""
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usual)})
    yield
    os.sched_setaffinity(0, usual)


@pytest.fixture
def watch(settings: Settings) -> Iterator[Callable[..., Watch]]:
    """Begins to watch what its selectors say, until the end of the test."""
    with ExitStack() as stack:

        def begin(*selectors: str, interval: float = 1.0) -> Watch:
            wanted = PIN_ROOT / fingerprint(settings)
            if any(version != wanted for version in pinned_versions()):
                unload()
            watch = Watch(*selectors, settings=settings, interval=interval)
            stack.enter_context(watch.source)
            return watch

        yield begin


@pytest.fixture
def watched(cgroup: Cgroup, watch: Callable[..., Watch]) -> Watched:
    """A fresh cgroup, watched."""
    return Watched(cgroup.path, cgroup.programs, cgroup.processes, watch=watch(cgroup.path))


@pytest.fixture
def pair(cgroup: Cgroup, watch: Callable[..., Watch]) -> tuple[Watch, Cgroup, Cgroup]:
    """Two workloads: one that fills a table, and its neighbour."""
    noisy, quiet = cgroup.child("noisy"), cgroup.child("quiet")
    return watch(noisy.path, quiet.path), noisy, quiet


@pytest.fixture
def command() -> Iterator[Callable[..., OtherCommand]]:
    """Starts commands of their own; those that still run at the end of the test are killed."""
    started: list[OtherCommand] = []

    def begin(
        selector: str,
        *,
        keep: bool = True,
        slot_bits: int = Settings().slot_bits,
        rights: tuple[int, Sequence[Capability]] | None = None,
    ) -> OtherCommand:
        started.append(OtherCommand(selector, keep=keep, slot_bits=slot_bits, rights=rights))
        return started[-1]

    yield begin
    for command in started:
        command.kill()
