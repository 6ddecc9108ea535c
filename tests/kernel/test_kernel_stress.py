"""Crowds: many cgroups at once or one after the other, forks in bursts, ids that run out, threads
that execute, processes that move.  Every call is known, and every one is counted."""

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import cycle
from pathlib import Path

import pytest
from expected import Names, ending_in, histories, lineage, ngrams, started
from requirements import missing
from watching import Cgroup, Watch, Watched

from baseline.kernel.bpf_syscall import BpfMap
from baseline.kernel.program import PIN_ROOT, Settings, fingerprint
from baseline.window import Tally, Window, total

pytestmark = pytest.mark.kernel

FEW = 11
"""Calls of a child of ``herd``, to which its number modulo 7 is added."""


def child_of_herd(number: int, *first: str) -> Counter[Names]:
    return histories([*first, *["getppid"] * (FEW + number % 7), "exit_group"])


def watched_until_end(watching: Watch, process: subprocess.Popen[bytes]) -> Iterator[Window]:
    """Windows from now until a process has ended well, each of which adds up."""
    for observation in watching.source.observations(stop=lambda: process.poll() is not None):
        if isinstance(observation, Window):
            assert observation.ledger.adds_up, observation.ledger
            assert observation.ledger.lost == 0
            yield observation
    assert process.returncode == 0


def free_groups() -> list[bytes]:
    """Group numbers that nobody has, while nothing is tracked or let go of."""
    table = BpfMap.open(PIN_ROOT / fingerprint(Settings()) / "free_groups")
    numbers = list(iter(table.pop, None))
    for number in numbers:
        table.update(b"", number)
    table.close()
    return numbers


@pytest.mark.usefixtures("unloaded")
def test_a_thousand_cgroups_at_once(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    crowd = cgroup.child("crowd")
    watching = watch(f"{crowd.path}/*", interval=0.5)
    process = subprocess.Popen(
        [cgroup.programs["herd"], "together", crowd.folder, "1000", str(FEW)]
    )
    own: dict[str, list[Window]] = {}
    for window in watched_until_end(watching, process):
        own.setdefault(window.replica, []).append(window)
    assert len(own) == 1000
    for number in range(1000):
        counts = ngrams(total(own[f"{crowd.path}/{number}"]))
        assert counts == child_of_herd(number, "read"), number


@pytest.mark.usefixtures("unloaded")
def test_ten_thousand_cgroups_one_after_the_other(
    cgroup: Cgroup, watch: Callable[..., Watch]
) -> None:
    """More than there are group numbers: those of the dead are given out again."""
    crowd = cgroup.child("crowd")
    stays = crowd.child("stays")
    watching = watch(f"{crowd.path}/*", interval=0.5)
    free = len(free_groups())
    command = [cgroup.programs["herd"], "brief", crowd.folder, "10007", str(FEW)]
    process = subprocess.Popen(command)
    own: dict[str, list[Window]] = {}
    for window in watched_until_end(watching, process):
        own.setdefault(window.replica, []).append(window)
    assert not [line for line in watching.said if "are not counted" in line or "Warning" in line]
    assert set(own) == {stays.path, *(f"{crowd.path}/{number}" for number in range(10_007))}
    for number in range(10_007):
        counts = ngrams(total(own[f"{crowd.path}/{number}"]))
        assert counts == child_of_herd(number), number
    while len(free_groups()) < free:  # a test that waits in vain ends by its timeout
        time.sleep(0.05)
        watching.read()
    stays.run("calls", "110:1009")
    assert watching.window(stays).ledger.ngrams == Tally(counted=1011, recorded=1011)


def test_a_storm_of_forks(watched: Watched) -> None:
    children = 5003
    process = watched.start("calls", "storm", children, "110:3")
    windows = list(watched_until_end(watched.watch, process))
    parent = ["fork"] * children + ["wait4"] * children + ["exit_group"]
    child = ["getppid"] * 3 + ["exit_group"]
    assert ngrams(total(windows)) == histories(["execve"], parent, *[child] * children)
    assert started(total(windows)) == {lineage([watched.programs["calls"]]): 1}


def test_a_storm_of_programs(watched: Watched) -> None:
    """Each child of the burst executes: none loses its lineage, none is counted twice."""
    children = 1009
    calls = watched.programs["calls"]
    helper = calls.with_name("storm-helper")
    with suppress(FileExistsError):
        helper.hardlink_to(calls)
    process = watched.start("calls", "storm", children, "exec", helper, "110:3")
    windows = list(watched_until_end(watched.watch, process))
    assert started(total(windows)) == {lineage([calls]): 1, lineage([calls, helper]): children}
    assert ending_in(ngrams(total(windows)), "getppid") == 3 * children


def test_process_ids_that_run_out_and_begin_anew(watched: Watched) -> None:
    if not Path("/proc/sys/kernel/ns_last_pid").exists():
        missing("This kernel does not let process ids be chosen (CONFIG_CHECKPOINT_RESTORE)")
    rounds = 101
    children, parent = 16 * rounds, watched.programs["wrap_pids"]
    programs = [parent.with_name(f"wrapped-{number}") for number in range(3)]
    for program in programs:
        with suppress(FileExistsError):
            program.hardlink_to(watched.programs["calls"])
    wrapped, reused = map(int, watched.output(parent.name, rounds, 3, *programs).split())
    assert wrapped > rounds / 2
    assert reused > 5 * rounds, "too few ids were used again for this test to say anything"
    window = watched.window()
    counts = ngrams(window)
    last = ["execve", "exit_group"]
    histories_of_children = histories(*[["getppid"] * 3 + [last[i % 2]] for i in range(children)])
    assert {names: counts[names] for names in histories_of_children} == histories_of_children
    assert ending_in(counts, "getppid") == children * 3
    executed = Counter(programs[i % 3] for i in range(children // 2))
    assert started(window) == {lineage([parent]): 1} | {
        lineage([parent, program]): count for program, count in executed.items()
    }


def test_threads_that_execute(watched: Watched) -> None:
    """Another than the first takes the process over while the rest is busy, a hundred times."""
    processes = 101
    herd, calls = watched.programs["herd"], watched.programs["calls"]
    watched.run("herd", "exec", processes, calls, "110:7")
    window = watched.window()
    assert started(window) == {lineage([herd]): 1, lineage([herd, calls]): processes}
    program = histories(*[["getppid"] * 7 + ["exit_group"]] * processes)
    counts = ngrams(window)
    assert {names: counts[names] for names in program if names[0] == "getppid"} == program
    assert ending_in(counts, "getppid") == 7 * processes


def test_processes_that_move_under_load(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    """Back and forth between two workloads while they call: each call is one's or the other's."""
    calls, moves, processes = 1_000_003, 101, 3
    here, there = cgroup.child("here"), cgroup.child("there")
    watching = watch(here.path, there.path, interval=0.03)
    # It has said so when it is inside: moved before, it would make calls of its start in there.
    running = [here.start_saying("calls", "say", f"110:{calls}") for _ in range(processes)]
    sides = cycle((there, here))
    moved = 0

    def moved_until_the_end() -> bool:
        nonlocal moved
        alive = [process for process in running if process.poll() is None]
        side = next(sides)
        for process in alive:
            with suppress(ProcessLookupError):  # it has ended meanwhile
                side.take(process)
                moved += 1
        if moved < moves:  # however fast they are, there is somebody to move
            running.extend(
                here.start_saying("calls", "say", f"110:{calls}")
                for _ in range(processes - len(alive))
            )
        return not alive and moved >= moves

    own: dict[str, list[Window]] = {here.path: [], there.path: []}
    for observation in watching.source.observations(stop=moved_until_the_end):
        if isinstance(observation, Window):
            assert observation.ledger.adds_up, observation.ledger
            own[observation.replica].append(observation)
    assert all(process.returncode == 0 for process in running)
    counts = ngrams(total(own[here.path])), ngrams(total(own[there.path]))
    assert min(ending_in(its, "getppid") for its in counts) > 1009
    assert sum(ending_in(its, "getppid") for its in counts) == calls * len(running)
    assert sum(its.total() for its in counts) == (calls + 3) * len(running)
