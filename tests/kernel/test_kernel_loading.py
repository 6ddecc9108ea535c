"""The program's life: loaded once, taken over, left behind on purpose only, taken away whole."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from inspecting import bpftool, maps_of, succeed
from watching import Cgroup, OtherCommand

from baseline.errors import KernelError, OutputError
from baseline.kernel.agents import RUN_DIRECTORY
from baseline.kernel.btf import KernelTypes
from baseline.kernel.collector import Collector, loader_python, pinned_versions
from baseline.kernel.doctor import examine
from baseline.kernel.program import (
    CGROUP_HOOKS,
    COUNT_CALL,
    LINK_PREFIX,
    MAPS,
    PIN_ROOT,
    RAW_TRACEPOINTS,
    SYSTEM_CALLS,
    THREAD_BYTES,
    Settings,
    fingerprint,
)
from baseline.kernel.structs import run_queue_type
from baseline.kernel.unloading import unload
from baseline.workloads.cgroups import cgroup2_mount

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("unloaded")]

PIN = PIN_ROOT / fingerprint(Settings())


def run_known(cgroup: Cgroup) -> None:
    cgroup.run("calls", "110:1009")


def test_everything_is_pinned_once(command: Callable[..., OtherCommand], cgroup: Cgroup) -> None:
    command(cgroup.path, keep=False)
    links = {LINK_PREFIX + name for name in (*RAW_TRACEPOINTS, *CGROUP_HOOKS)}
    assert {path.name for path in PIN.iterdir()} == {*MAPS, *links}
    assert pinned_versions() == [PIN]


def test_the_doctor_says_how_much_memory_the_tables_take(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    command(cgroup.path)
    links = [PIN / f"{LINK_PREFIX}{name}" for name in (*RAW_TRACEPOINTS, *CGROUP_HOOKS)]
    maps = {name: its for link in links for name, its in maps_of(link).items()}
    assert maps["threads"]["bytes_value"] == THREAD_BYTES
    assert maps["threads"]["max_entries"] == Settings().places_of_threads
    *_, loading = examine()
    (said,) = re.findall(r"tables take about (\d+) MiB", loading.detail)
    # Names are cut off; of those that only the program can open only this one is large.
    large = {name[:15] for name in MAPS} | {"threads"}
    taken = sum(maps[name]["bytes_memlock"] for name in large)
    assert int(said) in {taken >> 20, (taken - 4096) >> 20}  # beside its places it has a head
    assert sum(its["bytes_memlock"] for its in maps.values()) - taken < 1 << 20


@pytest.mark.parametrize("hook", CGROUP_HOOKS)
def test_connect_and_sendmsg_need_no_state_of_tasks(
    command: Callable[..., OtherCommand], cgroup: Cgroup, hook: str
) -> None:
    """Before Linux 6.16 the kernel refuses it to them, and so to load the program at all."""
    command(cgroup.path)
    assert "tracked" in maps_of(PIN / f"{LINK_PREFIX}{hook}")
    assert "displaced" not in maps_of(PIN / f"{LINK_PREFIX}{hook}")


def load(*arguments: str) -> dict[str, str]:
    """The answer of a loader that is alone, called with these arguments of its Python."""
    request = {
        "settings": {},
        "pin": str(PIN),
        "cgroup_mount": str(cgroup2_mount()),
        "alone": True,
    }
    done = subprocess.run(
        [loader_python(), *arguments],
        input=json.dumps(request),
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


UNDER_A_FORMER_NAME = """
from baseline.kernel import bcc_loader as loader
name, other = "io_uring_submit_req", "not_of_this_kernel"
written = loader.program_text
loader.program_text = lambda *given: written(*given).replace(name, other)
loader.RAW_TRACEPOINTS = [other if its == name else its for its in loader.RAW_TRACEPOINTS]
loader.FORMER_NAMES = {other: name}
loader.main()
"""


def test_a_tracepoint_may_have_had_another_name() -> None:
    assert load("-c", UNDER_A_FORMER_NAME) == {}
    pin = PIN / f"{LINK_PREFIX}not_of_this_kernel"
    link = json.loads(succeed(bpftool("--json", "link", "show", "pinned", pin)))
    assert link["tp_name"] == "io_uring_submit_req"


def test_calls_are_counted_by_what_this_kernel_runs_fastest(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    command(cgroup.path)
    pin = PIN / f"{LINK_PREFIX}{SYSTEM_CALLS}"
    link = json.loads(succeed(bpftool("--json", "link", "show", "pinned", pin)))
    program = json.loads(succeed(bpftool("--json", "prog", "show", "id", link["prog_id"])))
    fastest, anywhere = COUNT_CALL
    wanted = fastest if run_queue_type(KernelTypes()) else anywhere
    assert wanted.startswith(program["name"]), "its name is cut by the kernel"


def test_the_compiler_leaves_with_the_loader(
    cgroup: Cgroup, command: Callable[..., OtherCommand]
) -> None:
    process = command(cgroup.path).process
    mapped = Path(f"/proc/{process.pid}/maps").read_text().lower()
    assert "python" in mapped
    assert "llvm" not in mapped
    assert "libbcc" not in mapped


def test_the_last_command_takes_the_program_away(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    first, second = command(cgroup.path, keep=False), command(cgroup.path, keep=False)
    first.end()
    assert PIN.exists()
    run_known(cgroup)
    assert second.read() == {cgroup.path: [1011, 1, 0]}
    second.end()
    assert not PIN_ROOT.exists()


def test_keep_leaves_it_counting(command: Callable[..., OtherCommand], cgroup: Cgroup) -> None:
    command(cgroup.path, keep=True).end()
    run_known(cgroup)
    with Collector(cgroup2_mount()) as collector:
        assert collector.counters["calls"].sum() == 1011
    assert PIN.exists(), "a command that ends does not undo what another was told to keep"


def test_a_killed_command_leaves_it_counting_and_the_next_takes_it_over(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    killed = command(f"{cgroup.path}/*", keep=False)
    run_known(cgroup.child("web"))
    killed.process.kill()
    killed.process.wait()
    run_known(cgroup.child("born-meanwhile"))
    successor = command(f"{cgroup.path}/*", keep=False)
    with Collector(cgroup2_mount()) as collector:
        assert collector.counters["calls"].sum() == 2 * 1011, "it is the same program"
    successor.end()
    assert not PIN_ROOT.exists()


def test_a_killed_command_does_not_mislead_a_later_program(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    killed, ends = command(cgroup.path, keep=False), command(cgroup.path, keep=False)
    run_known(cgroup)
    assert killed.read() == ends.read() == {cgroup.path: [1011, 1, 0]}
    killed.kill()
    run_known(cgroup)
    ends.end()
    assert pinned_versions() == [PIN], "somebody may come back to read on"
    assert unload() == [f"Unloaded {PIN}"]
    later = command(cgroup.path, keep=False)
    run_known(cgroup)
    assert later.read() == {cgroup.path: [1011, 1, 0]}


def test_unload_leaves_nothing(command: Callable[..., OtherCommand], cgroup: Cgroup) -> None:
    command(cgroup.path, keep=True).end()
    assert unload() == [f"Unloaded {PIN}"]
    assert not PIN_ROOT.exists()
    assert not RUN_DIRECTORY.exists()
    assert unload() == []


def test_unload_does_not_disturb_who_still_counts(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    running = command(cgroup.path, keep=False)
    lines = unload()
    assert lines[0] == f"Unloaded {PIN}"
    assert str(running.process.pid) in lines[1]
    assert not PIN_ROOT.exists()
    run_known(cgroup)
    assert running.read() == {cgroup.path: [1011, 1, 0]}
    running.end()


def refused(match: str, settings: Settings | None = None) -> KernelError:
    """Start as a command does, and be refused."""
    with (
        pytest.raises(KernelError, match=match) as refusal,
        Collector(cgroup2_mount(), settings=settings),
    ):
        pass
    return refusal.value


def starts() -> None:
    """Start as a command does."""
    with Collector(cgroup2_mount()):
        assert pinned_versions() == [PIN]


def test_beside_another_version_that_is_used_it_is_refused(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    running = command(cgroup.path, keep=True)
    other = Settings(slot_bits=12)
    error = refused(f"Another version .* is used by process {running.process.pid}", other)
    assert "SIGKILL" in error.way_out
    assert pinned_versions() == [PIN]


@pytest.mark.parametrize("pin", ["slots", "link_sys_enter", "link_connect6"])
def test_incomplete_pins_are_refused(pin: str) -> None:
    with Collector(cgroup2_mount(), keep=True):
        pass
    (PIN / pin).unlink()
    error = refused("incomplete")
    assert "baseline unload" in error.way_out
    unload()
    starts()


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside another version"])
def test_who_fails_after_loading_leaves_nothing_of_it(
    command: Callable[..., OtherCommand], cgroup: Cgroup, beside: bool
) -> None:
    if beside:
        command(cgroup.path, keep=False, slot_bits=12).kill()
        shutil.rmtree(RUN_DIRECTORY / "agents")
    before = pinned_versions()
    RUN_DIRECTORY.mkdir(mode=0o700, exist_ok=True)
    (RUN_DIRECTORY / "agents").write_text("a file in the place of the folder")
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OutputError), Collector(cgroup2_mount(), keep=True):
        pass
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    assert pinned_versions() == before
    assert PIN_ROOT.exists() == beside
    assert not (PIN_ROOT / "keep").exists()
    assert not list(RUN_DIRECTORY.glob("*.new"))


def test_what_an_interrupted_loading_left_is_cleared_away() -> None:
    (PIN_ROOT / "loading-half").mkdir(parents=True)
    starts()
    assert not PIN_ROOT.exists()


def test_who_is_not_root_is_refused() -> None:
    script = """if True:
        import os
        from baseline.errors import KernelError
        from baseline.kernel.collector import Collector
        from baseline.workloads.cgroups import cgroup2_mount
        os.setuid(65534)
        try:
            Collector(cgroup2_mount()).__enter__()
        except KernelError as error:
            print(error)"""
    output = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert output.stdout.startswith("Reading what the kernel counts needs CAP_BPF, ")


def test_without_the_bpf_file_system_it_is_refused() -> None:
    script = """if True:
        from baseline.errors import KernelError
        from baseline.kernel.collector import Collector
        from baseline.workloads.cgroups import cgroup2_mount
        try:
            Collector(cgroup2_mount()).__enter__()
        except KernelError as error:
            print(error)"""
    hide = 'while umount /sys/fs/bpf 2>/dev/null; do :; done; exec "$@"'
    output = subprocess.run(
        ["unshare", "-m", "sh", "-c", hide, "sh", sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "mount -t bpf" in output.stdout


def test_without_bcc_it_is_refused() -> None:
    # -S: without the folder in which distributions install BCC
    answer = load("-S", "-m", "baseline.kernel.bcc_loader")
    assert "BCC is not installed" in answer["problem"]
    assert "python3-bpfcc" in answer["way_out"]
    assert not PIN.exists()
