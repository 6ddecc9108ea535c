"""What a container runtime executes on its way in is no program of the workload; nobody inside can
pass for it.  ``test_kernel_container.py`` has the real runtime, whose order of things is chance."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from expected import lineage, started
from watching import PYTHON, Cgroup, Watch

pytestmark = pytest.mark.kernel

TRUE = Path("/bin/true").resolve()
MEMORY = "memfd:copy (no file)"
BECOME = """if True:
    import ctypes, os, sys
    program, *steps = sys.argv[1:]

    def join(folder):
        with open(f"{folder}/cgroup.procs", "w") as processes:
            processes.write("0")

    def become(*steps):
        copy = os.memfd_create("copy", 0)
        os.write(copy, open(program, "rb").read())
        os.execv(f"/proc/self/fd/{copy}", ["copy", *steps])

    def leave_mounts():
        if ctypes.CDLL(None).unshare(0x00020000):  # CLONE_NEWNS
            sys.exit("unshare")
"""


def enter(cgroup: Cgroup, *statements: str) -> None:
    """Run a process that begins outside and does this, to its end, which must be a good one."""
    script = BECOME + "\n".join(f"    {statement}" for statement in statements)
    subprocess.run([sys.executable, "-c", script, cgroup.programs["calls"]], check=True)


def join(cgroup: Cgroup) -> str:
    """Statement: move into a cgroup."""
    return f"join({str(cgroup.folder)!r})"


def become(*steps: object) -> str:
    """Statement: execute ``calls`` with these steps from memory."""
    return f"become{tuple(map(str, steps))!r}"


@pytest.mark.parametrize("below", ["/*", ""], ids=["workload", "part of one"])
def test_the_runtimes_own_exec_is_none(
    cgroup: Cgroup, watch: Callable[..., Watch], below: str
) -> None:
    watching = watch(f"{cgroup.path}{below}")
    child = cgroup.child("container")
    enter(child, join(child), become("110:7", "fork", "exec", TRUE))
    assert started(watching.window(child if below else cgroup)) == {lineage([TRUE]): 1}


def test_there_is_one_such_exec(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    watching = watch(f"{cgroup.path}/*")
    child = cgroup.child("container")
    enter(child, join(child), become("exec", "/proc/self/exe", "exec", TRUE))
    assert started(watching.window(child)) == {MEMORY: 1, lineage([MEMORY, TRUE]): 1}


def test_none_after_the_first_program(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    """Somebody who enters a container that runs is seen."""
    watching = watch(f"{cgroup.path}/*")
    child = cgroup.child("container")
    child.run("calls")
    enter(child, join(child), become())
    assert started(watching.window(child)) == {lineage([child.programs["calls"]]): 1, MEMORY: 1}


@pytest.mark.usefixtures("unloaded")
def test_none_in_a_cgroup_that_was_there_before(
    cgroup: Cgroup, watch: Callable[..., Watch]
) -> None:
    """Who knows what ran in it."""
    watching = watch(cgroup.path)
    enter(cgroup, join(cgroup), become())
    assert started(watching.window(cgroup)) == {MEMORY: 1}


def test_none_in_a_cgroup_that_the_workload_made(
    cgroup: Cgroup, watch: Callable[..., Watch]
) -> None:
    """By a process whose lineage is not known, as of one that was there before the watch."""
    watching = watch(cgroup.path)
    own = f"{cgroup.folder}/own"
    enter(cgroup, join(cgroup), f"os.mkdir({own!r})", f"join({own!r})", become())
    assert started(watching.window(cgroup)) == {MEMORY: 1}


def test_none_by_a_process_of_the_workload(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    watching = watch(cgroup.path)
    child = cgroup.child("container")
    script = BECOME + f"    {join(child)}\n    {become()}"
    cgroup.run(PYTHON, "-c", script, cgroup.programs["calls"])
    assert started(watching.window(cgroup)) == {
        lineage([PYTHON]): 1,
        lineage([PYTHON, MEMORY]): 1,
    }


def test_none_inside_the_container(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    """An image may name a program that it cannot reach, such as /proc/self/exe, as its first."""
    watching = watch(f"{cgroup.path}/*")
    child = cgroup.child("container")
    enter(child, "leave_mounts()", join(child), become())
    assert started(watching.window(child)) == {MEMORY: 1}


def test_a_program_with_a_file_is_one(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    watching = watch(f"{cgroup.path}/*")
    child = cgroup.child("container")
    child.run(TRUE)
    assert started(watching.window(child)) == {lineage([TRUE]): 1}
