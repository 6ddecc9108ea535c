"""A new version of the program takes over from the old one: each call is counted once."""

import ctypes
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from expected import lineage, started
from watching import Cgroup, OtherCommand, finish, steady_load

from baseline.kernel.bpf_syscall import BpfMap
from baseline.kernel.collector import Collector, pinned_versions, remove_pins
from baseline.kernel.program import PIN_ROOT, Settings, fingerprint, possible_cpus
from baseline.kernel.source import KernelSource
from baseline.kernel.succession import take_over
from baseline.window import Window
from baseline.workloads.cgroups import CgroupSelector, cgroup2_mount

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("unloaded")]

OLD = 12
"""Another size of the n-gram table makes another version."""

CALLS = 30_011

LIBC = ctypes.CDLL(None)


def pins(*slot_bits: int) -> list[str]:
    return sorted(fingerprint(Settings(slot_bits=bits)) for bits in slot_bits)


def loaded() -> list[str]:
    return sorted(path.name for path in pinned_versions())


def test_nothing_is_missed_and_nothing_counted_twice_under_load(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    old = command(cgroup.path, slot_bits=OLD)
    with steady_load(cgroup, CALLS) as calls:
        before = old.read()[cgroup.path]
        old.kill()
        already = len(calls)
        new = command(cgroup.path)
        while len(calls) < already + 8:
            pass
    after = new.read()[cgroup.path]
    assert before[0] + after[0] == sum(calls)
    assert before[1] + after[1] == len(calls)
    assert loaded() == pins(Settings().slot_bits)


def test_the_old_version_stays_until_its_last_counts_were_taken(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    old = command(cgroup.path, slot_bits=OLD)
    cgroup.run("calls", "110:1009")
    assert old.read() == {cgroup.path: [1011, 1, 0]}
    cgroup.run("calls", "110:1009")
    old.kill()
    killed = command(cgroup.path)  # has read, and is killed before anyone has taken it
    killed.kill()
    assert loaded() == pins(OLD, Settings().slot_bits)
    cgroup.run("calls", "110:1009")
    new = command(cgroup.path)
    cgroup.run("calls", "110:1009")
    assert new.read() == {cgroup.path: [3 * 1011, 3, 0]}
    assert loaded() == pins(Settings().slot_bits)


def test_what_appears_for_a_killed_reader_is_counted_for_it(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    """Another command changes the version meanwhile, and does not track the same."""
    mine, others = cgroup.child("mine"), cgroup.child("others")
    stays = mine.child("stays")  # reading waits for the first
    killed = command(f"{mine.path}/*", slot_bits=OLD)
    killed.read()
    killed.kill()
    early = mine.child("early")
    early.run("calls", "110:1009")
    other = command(others.path, keep=False)
    assert other.read() == {others.path: [0, 0, 0]}
    late = mine.child("late")
    late.run("calls", "110:1009")
    other.read()
    successor = command(f"{mine.path}/*")
    assert successor.read() == {
        stays.path: [0, 0, 0],
        early.path: [1011, 1, 0],
        late.path: [1011, 1, 0],
    }
    assert loaded() == pins(Settings().slot_bits)


def test_a_version_that_nobody_waits_for_goes(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    old = command(cgroup.path, keep=False, slot_bits=OLD)
    old.end()
    assert not PIN_ROOT.exists()
    old = command(cgroup.path, keep=True, slot_bits=OLD)
    old.kill()  # before anything was taken, so there is nothing to go on from
    cgroup.run("calls", "110:1009")
    new = command(cgroup.path, keep=True)
    assert loaded() == pins(Settings().slot_bits)
    assert new.read() == {cgroup.path: [0, 0, 0]}


def fail_at_the_start(cgroup: Cgroup, slot_bits: int) -> None:
    """Open the source as ``other_command.py`` does, and fail before anything is read."""
    with KernelSource(
        [CgroupSelector.parse(cgroup.path, cgroup2_mount())],
        say=lambda _: None,
        reader=cgroup.path.replace("/", "_"),
        settings=Settings(slot_bits=slot_bits),
    ):
        cgroup.run("calls", "110:1009")
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("failing", "following"),
    [(OLD, OLD), (OLD + 1, OLD + 1), (OLD + 1, OLD), (OLD + 1, OLD + 2)],
    ids=["the same version", "the next one", "the next one and back", "the one after it"],
)
def test_who_fails_at_the_start_leaves_what_was_counted_to_the_next(
    command: Callable[..., OtherCommand], cgroup: Cgroup, failing: int, following: int
) -> None:
    killed = command(cgroup.path, keep=False, slot_bits=OLD)
    cgroup.run("calls", "110:1009")
    assert killed.read() == {cgroup.path: [1011, 1, 0]}
    cgroup.run("calls", "110:1009")
    killed.kill()
    with pytest.raises(ZeroDivisionError):
        fail_at_the_start(cgroup, failing)
    cgroup.run("calls", "110:1009")
    new = command(cgroup.path, slot_bits=following)
    assert new.read() == {cgroup.path: [3 * 1011, 3, 0]}
    assert loaded() == pins(following)


@pytest.mark.usefixtures("one_processor")
def test_it_is_told_to_count_on_each_processor_by_itself(
    command: Callable[..., OtherCommand], cgroup: Cgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that no call is under way there, also where the command may not run as a rule."""
    command(cgroup.path, slot_bits=OLD).kill()
    update = BpfMap.update
    told: dict[int, int] = {}

    def tell(table: BpfMap, key: bytes, value: bytes) -> None:
        if table.max_entries == possible_cpus():
            told[int.from_bytes(key, "little")] = LIBC.sched_getcpu()
        update(table, key, value)

    with Collector(cgroup2_mount()) as new, monkeypatch.context() as patched:
        patched.setattr(BpfMap, "update", tell)
        take_over(new, cgroup2_mount())
    online = [cpu for cpu in told if told[cpu] == cpu]
    assert len(online) == os.sysconf("SC_NPROCESSORS_ONLN")
    assert len(told) == possible_cpus()


def test_who_executed_before_the_new_version_took_over_has_a_name(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    """Both versions are loaded when it begins, and the old one counts it."""
    shell = Path("/bin/sh").resolve()
    script = 'echo; read line; "$0" 110:7; "$0" 110:11'
    shells: list[subprocess.Popen[bytes]] = []

    def start_shell(line: str) -> None:
        if line.startswith("Counting "):
            arguments = ("-c", script, cgroup.programs["calls"])
            shells.append(cgroup.start_waiting(shell, *arguments))

    command(cgroup.path, slot_bits=OLD).kill()
    with KernelSource(
        [CgroupSelector.parse(cgroup.path, cgroup2_mount())], say=start_shell
    ) as source:
        (process,) = shells
        finish(process, b"\n")
        (window,) = (its for its in source.observations(0.001) if isinstance(its, Window))
    assert started(window) == {lineage([shell, cgroup.programs["calls"]]): 2}


def test_another_layout_is_no_hindrance(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    """Its counts cannot be read, which is said, and it is taken away."""
    old = command(cgroup.path, slot_bits=OLD)
    old.read()
    old.kill()
    (pin,) = pinned_versions()
    (pin / "images").unlink()  # as if it had no such table
    pin.rename(pin.with_name("0000-000000000000"))
    new = command(cgroup.path)
    assert loaded() == pins(Settings().slot_bits)
    cgroup.run("calls", "110:1009")
    assert new.read() == {cgroup.path: [1011, 1, 0]}


def test_a_gap_that_cannot_be_read_is_said(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    killed = command(cgroup.path)
    killed.read()
    killed.kill()
    remove_pins()
    said: list[str] = []
    with KernelSource(
        [CgroupSelector.parse(cgroup.path, cgroup2_mount())],
        say=said.append,
        reader=cgroup.path,
    ) as source:
        assert source.mark is None
    assert any("cannot be read: its program is gone" in line for line in said)
