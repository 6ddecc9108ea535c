"""A source without first sights looks on: it takes and lets go nothing that others rely on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from watching import Cgroup, OtherCommand

from baseline.kernel.collector import pinned_versions
from baseline.kernel.source import KernelSource
from baseline.sighting import Sighting
from baseline.window import Tally, Window, total
from baseline.workloads.cgroups import CgroupSelector, cgroup2_mount

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("unloaded")]

CALLS = 1009
RUN = [CALLS + 2, 1, 0]  # with execve and exit; one execution, no connection


class Onlooker:
    """An onlooker in this process.

    Attributes:
        said: what a user was told.
    """

    def __init__(self, selector: str) -> None:
        self.said: list[str] = []
        self.source = KernelSource(
            [CgroupSelector.parse(selector, cgroup2_mount())],
            say=self.said.append,
            first_sights=False,
        )

    def counts(self) -> dict[str, list[int]]:
        """Replica -> calls, executions, connections since it was last asked."""
        windows: dict[str, list[Window]] = {}
        for window in self.source.observations(0.001):
            assert not isinstance(window, Sighting)
            assert window.ledger.adds_up, window.ledger
            assert window.ledger.events == Tally(), "what others take is no loss to it"
            windows.setdefault(window.replica, []).append(window)
        return {replica: _counted(total(own)) for replica, own in windows.items()}


def _counted(window: Window) -> list[int]:
    executions, connections = window.executions.values(), window.connections.values()
    return [window.ngrams.total, sum(executions), sum(connections)]


@contextmanager
def looking_on(selector: str) -> Iterator[Onlooker]:
    onlooker = Onlooker(selector)
    with onlooker.source:
        yield onlooker


def run_known(cgroup: Cgroup) -> None:
    cgroup.run("calls", f"110:{CALLS}")


def times(number: int) -> list[int]:
    return [number * count for count in RUN]


def test_an_onlooker_and_a_reader_both_see_everything(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    reader = command(cgroup.path, keep=False)
    run_known(cgroup)
    with looking_on(cgroup.path) as onlooker:
        assert not any("first sights" in said for said in onlooker.said)
        run_known(cgroup)
        assert onlooker.counts() == {cgroup.path: times(1)}
        assert reader.read() == {cgroup.path: times(2)}
    run_known(cgroup)
    assert reader.read() == {cgroup.path: times(3)}
    reader.end()
    assert not pinned_versions()


def test_a_killed_reader_reads_on_after_an_onlooker_has_come_and_gone(
    command: Callable[..., OtherCommand], cgroup: Cgroup
) -> None:
    """Also for cgroups that the onlooker does not count, and for those that end meanwhile."""
    stays, ends, other = (cgroup.child(name) for name in ("stays", "ends", "other"))
    reader = command(f"{cgroup.path}/*", keep=False)
    for child in (stays, ends, other):
        run_known(child)
    once = {child.path: times(1) for child in (stays, ends, other)}
    assert reader.read() == once
    reader.process.kill()
    reader.process.communicate()
    for child in (stays, ends, other):
        run_known(child)
    with looking_on(f"{cgroup.path}/[se]*") as onlooker:
        for child in (stays, ends, other):
            run_known(child)
        assert onlooker.counts() == {stays.path: times(1), ends.path: times(1)}
        ends.folder.rmdir()
        onlooker.counts()
    assert pinned_versions()
    for child in (stays, other):
        run_known(child)
    successor = command(f"{cgroup.path}/*", keep=False)
    assert successor.read() == {
        stays.path: times(3),
        ends.path: times(2),
        other.path: times(3),
    }
    successor.end()
    assert not pinned_versions()


def test_the_last_onlooker_takes_the_program_away(cgroup: Cgroup) -> None:
    with looking_on(cgroup.path):
        assert pinned_versions()
    assert not pinned_versions()
