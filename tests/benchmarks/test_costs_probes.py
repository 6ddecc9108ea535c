"""Each way to look at system calls did look, on the real kernel, and says so where it did not."""

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from costs import floor, probes
from costs.compiling import compiled
from costs.cpus import CPUS
from costs.probes import (
    ALL,
    PARENT,
    BccProgram,
    Empty,
    Nothing,
    Probe,
    Seen,
    Strace,
    Stream,
    Tracked,
    bcc_program,
)
from costs.switching import Switched
from costs.syscalls import LOADS, Loops
from requirements import require_tools

from baseline.demo.cgroup import OwnCgroup
from baseline.errors import KernelError
from baseline.kernel.source import KernelSource
from baseline.workloads.cgroups import CgroupSelector, cgroup2_mount

MILLISECONDS = 20


@pytest.fixture
def loops() -> Iterator[Loops]:
    require_tools("cc", "bpftrace", "perf", "strace", "unshare")
    with Loops(MILLISECONDS) as loops:
        yield loops


@pytest.mark.kernel
@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
def test_every_call_is_seen(kind: type[Probe], loops: Loops) -> None:
    with kind() as probe:
        timings = [loops.run(load, CPUS, probe) for load in LOADS]
    made = sum(timing.calls for timing in timings)
    assert made >= 3000
    assert all(0 < timing.fastest <= timing.median for timing in timings)
    probe.require(made)
    if not kind.counts:
        assert probe.seen is None
        assert kind in (Nothing, Empty)
    elif kind is probes.Untracked:
        assert probe.seen
        assert 0 < probe.seen.counted < 1000
    else:
        # The loops' own beginnings, and for bpftrace all others on the machine, come on top.
        assert probe.seen
        assert sum(probe.seen) >= made
        with pytest.raises(KernelError, match=f"{probe.name} saw"):
            probe.require(sum(probe.seen) + 1)


@pytest.mark.kernel
@pytest.mark.parametrize("kind", [Switched, Stream], ids=lambda kind: kind.name)
def test_what_is_off_its_hooks_sees_nothing_and_once_on_them_all(
    kind: type[Probe], loops: Loops
) -> None:
    with kind() as probe:
        on, off = [loops.run("getppid", CPUS, probe)], []
        for _ in range(3):
            probe.pause()
            off.append(loops.run("getppid", CPUS, probe))
            probe.resume()
            on.append(loops.run("getppid", CPUS, probe))
        probe.pause()
        off.append(loops.run("getppid", CPUS, probe))
    seen, made = sum(probe.seen or ()), sum(timing.calls for timing in on)
    least = min(timing.calls for timing in off)
    # The loops' own beginnings come on top, but they are fewer than the calls of any loop.
    assert made <= seen < made + least


@pytest.mark.kernel
def test_no_probe_at_all_means_that_ours_is_not_loaded() -> None:
    with OwnCgroup(f"{PARENT}/loop") as cgroup:
        selector = CgroupSelector.parse(cgroup.path, cgroup2_mount())
        with (
            KernelSource([selector], say=lambda _: None),
            pytest.raises(KernelError, match="baseline unload"),
            Nothing(),
        ):
            pass


@pytest.mark.kernel
def test_a_program_that_does_not_compile_is_one_sentence() -> None:
    with pytest.raises(KernelError, match="not attached: "), bcc_program("no C at all"):
        pass


@pytest.mark.kernel
def test_a_program_on_another_hook_does_not_pass_for_the_empty_one() -> None:
    class Elsewhere(Empty):
        text = "RAW_TRACEPOINT_PROBE(cgroup_mkdir) { return 0; }"

    with pytest.raises(KernelError, match="ran 0 times"), Elsewhere():
        pass


@pytest.mark.kernel
def test_all_that_would_beat_the_floor_is_tried_or_refused() -> None:
    require_tools("cc", "perf", "unshare")
    result = floor.measure(rounds=1, short=True, say=lambda _: None)["floor"]
    assert {*result["ns"], *result["refused"]} == {kind.name for kind in floor.TRIED}
    assert {"none", "empty", "one_call", "other_task", "seccomp", "dispatch"} <= {*result["ns"]}
    assert all(figures["median"] > 0 for figures in result["ns"].values())


@pytest.mark.kernel
def test_the_empty_program_runs_again_when_it_is_back_on_its_hook() -> None:
    with Empty() as probe:
        for _ in range(2):
            probe.pause()
            probe.resume()


@pytest.mark.parametrize(
    ("state", "answer", "is_so"),
    [
        ("on", "1003\n", True),
        ("on", "0\n", False),
        ("on", "", False),
        ("off", "0\n", True),
        ("off", "1000\n", False),
    ],
)
def test_a_program_is_on_its_hook_only_if_it_ran(state: str, answer: str, is_so: bool) -> None:
    program = BccProgram(1000, io.StringIO(), io.StringIO(answer))
    if is_so:
        program.switch(state)
    else:
        with pytest.raises(KernelError, match=f"cannot be switched {state}: it ran"):
            program.switch(state)


def test_reports_of_perf_and_strace_are_added_up() -> None:
    strace, perf = Strace(), probes.PerfTrace()
    table = (
        "% time     seconds  usecs/call     calls    errors syscall\n"
        "------ ----------- ----------- --------- --------- ------------------\n"
        " 97.62    0.032004           2     14000           getppid\n"
        "  0.61    0.000199          24         8         3 openat\n"
        "------ ----------- ----------- --------- --------- ------------------\n"
        "100.00    0.032203           2     14008         3 total\n"
    )
    with strace:
        for command in (["a"], ["b"]):
            around = strace.around(command)
            Path(around[around.index("-o") + 1]).write_text(table)
    assert strace.seen == Seen(28016)
    summary = (
        " loop (9281), 12070 events, 100.0%\n\n"
        "   syscall            calls  errors  total       min       avg       max       stddev\n"
        "                                     (msec)    (msec)    (msec)    (msec)        (%)\n"
        "   --------------- --------  ------ -------- --------- --------- ---------     ------\n"
        "   getppid             6000      0    72.706     0.010     0.012     0.101      0.44%\n"
        "   clock_nanosleep        8      0     0.120     0.013     0.015     0.019      6.03%\n"
    )
    with perf:
        around = perf.around(["a"])
        Path(around[around.index("-o") + 1]).write_text(summary)
    assert perf.seen == Seen(6008)


def test_a_loop_behind_its_own_flag_still_runs(tmp_path: Path) -> None:
    require_tools("cc")
    loop = compiled("syscall_loop", tmp_path)
    for option in ([], ["seccomp"], ["dispatch"]):
        done = subprocess.run(
            [loop, "getppid", "5", str(CPUS[0]), *option],
            capture_output=True,
            text=True,
            check=True,
        )
        median, calls, fastest = map(float, done.stdout.split())
        assert 0 < fastest <= median
        assert calls % 1000 == 0


def test_a_probe_that_ought_to_count_and_says_nothing_did_not_run() -> None:
    with pytest.raises(KernelError, match="baseline saw 0 of 1 calls"):
        Tracked().require(1)
