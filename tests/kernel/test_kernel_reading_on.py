"""A command that is killed leaves no gap: the next one begins where it stopped."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from watching import Cgroup, OtherCommand, Watched

from baseline.kernel.agents import RUN_DIRECTORY
from baseline.kernel.collector import pinned_versions
from baseline.kernel.position import KEPT_FOR
from baseline.kernel.program import MAX_GROUPS
from baseline.kernel.source import KernelSource
from baseline.workloads.cgroups import CgroupSelector, cgroup2_mount

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("unloaded")]

CALLS = 1009
RUN = [CALLS + 2, 1, 0]  # with execve and exit; one execution, no connection


def run_known(cgroup: Cgroup) -> None:
    cgroup.run("calls", f"110:{CALLS}")


def times(number: int) -> list[int]:
    return [number * count for count in RUN]


def test_what_is_counted_while_nobody_reads_is_reported_once(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    first = command(cgroup.path)
    run_known(cgroup)
    assert first.read() == {cgroup.path: times(1)}
    run_known(cgroup)
    assert first.read() == {cgroup.path: times(2)}
    run_known(cgroup)
    first.process.kill()
    first.process.communicate()
    run_known(cgroup)
    second = command(cgroup.path)
    run_known(cgroup)
    assert second.read() == {cgroup.path: times(3)}
    run_known(cgroup)
    assert second.read() == {cgroup.path: times(4)}


def test_a_cgroup_that_ended_meanwhile_is_reported(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    """Whether it was there before the first command began or came later."""
    stays, early = cgroup.child("stays"), cgroup.child("early")
    first = command(f"{cgroup.path}/*")
    late = cgroup.child("late")
    run_known(late)
    nothing = {stays.path: times(0)}
    assert first.read() == {**nothing, early.path: times(0), late.path: times(1)}
    first.process.kill()
    first.process.communicate()
    run_known(early)
    run_known(late)
    for child in (early, late):
        child.folder.rmdir()
    second = command(f"{cgroup.path}/*")
    assert second.read() == {**nothing, early.path: times(1), late.path: times(1)}


def test_a_command_that_ended_in_order_and_unloaded_leaves_nothing_to_read_on(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    first = command(cgroup.path, keep=False)
    run_known(cgroup)
    first.end()
    run_known(cgroup)
    second = command(cgroup.path, keep=False)
    assert second.read() == {cgroup.path: times(0)}


def test_a_position_of_more_groups_than_there_are_is_of_another_release(watched: Watched) -> None:
    tables = watched.watch.source._reading.tables
    position = dict(tables.position())
    assert tables.fits(position)
    position["owners"] = np.zeros(MAX_GROUPS + 1, np.uint64)
    assert not tables.fits(position)


def told_to_another(cgroup: Cgroup) -> list[str]:
    """What a command that watches something else is told, from its start to its end."""
    said: list[str] = []
    with KernelSource(
        [CgroupSelector.parse(cgroup.path, cgroup2_mount())],
        say=said.append,
        reader="another",
        first_sights=False,
    ) as source:
        list(source.observations(0.001))
    return [line for line in said if not line.startswith("Counting ")]


def test_who_watches_something_else_is_told_of_what_nobody_reads(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    mine, others = cgroup.child("mine"), cgroup.child("others")
    killed = command(others.path, keep=False)
    killed.read()
    assert told_to_another(mine) == []  # it runs
    killed.kill()
    start, end = told_to_another(mine)
    said = f"A command that was killed left counts of {others.path}: start it again to read them"
    assert start.startswith(said)
    assert "unload`" in start
    assert end.startswith("The kernel goes on counting for a command that was killed; to end that")
    assert end.endswith("baseline unload")
    assert pinned_versions()


def test_what_nobody_came_for_is_dropped_and_said(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    mine, others = cgroup.child("mine"), cgroup.child("others")
    killed = command(others.path, keep=False)
    killed.read()
    killed.kill()
    (file,) = (RUN_DIRECTORY / "positions").glob("*.position")
    head, arrays = file.read_bytes().split(b"\n", 1)
    fields = json.loads(head)
    fields["time"] -= KEPT_FOR
    file.write_bytes(json.dumps(fields).encode() + b"\n" + arrays)
    assert told_to_another(mine) == [
        f"Counts of {others.path} that a killed command left over an hour ago are dropped"
    ]
    assert not pinned_versions()
