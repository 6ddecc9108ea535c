"""Processes that ran before they were watched: what they start next has the lineage that it would
have had if they had been watched from their start."""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from expected import lineage, started
from watching import PYTHON, Cgroup, Watch, release

from baseline.kernel import seeding
from baseline.kernel.collector import pinned_versions
from baseline.kernel.images import running_image
from baseline.kernel.loaded import LoadedProgram

pytestmark = pytest.mark.kernel

Scenario = Callable[[Cgroup, Path], list[object]]
"""What to start: a program that says that it is there, waits, and then starts others."""

TRUE = Path("/bin/true").resolve()
SHELL = Path("/bin/sh").resolve()


def then(program: Path) -> list[object]:
    """Steps of ``calls``: wait to be watched, be the same program again, start another."""
    return ["say", "wait", "fork", "exec", program, "fork", "exec", TRUE]


def copies(cgroup: Cgroup, folder: Path, *names: str) -> list[Path]:
    """Copies of ``calls`` under these names."""
    return [Path(shutil.copy(cgroup.programs["calls"], folder / name)) for name in names]


def one_program(cgroup: Cgroup, _: Path) -> list[object]:
    program = cgroup.programs["calls"]
    return [program, *then(program)]


def family(cgroup: Cgroup, folder: Path) -> list[object]:
    old, middle, young = copies(cgroup, folder, "old", "middle", "young")
    return [old, "fork", "exec", middle, "fork", "fork", "exec", young, *then(young)]


def long_line(cgroup: Cgroup, folder: Path) -> list[object]:
    first, *others = copies(cgroup, folder, *(f"program{i}" for i in range(11)))
    steps: list[object] = [step for program in others for step in ("fork", "exec", program)]
    return [first, *steps, *then(others[-1])]


def long_name(cgroup: Cgroup, folder: Path) -> list[object]:
    (program,) = copies(cgroup, folder, "n" * 101)
    return [program, *then(program)]


def long_path(cgroup: Cgroup, folder: Path) -> list[object]:
    deep = folder.joinpath(*"abcdefghijklm")
    deep.mkdir(parents=True)
    (program,) = copies(cgroup, deep, "program")
    return [program, *then(program)]


def unlinked(cgroup: Cgroup, folder: Path) -> list[object]:
    (program,) = copies(cgroup, folder, "dropper")
    steps = f"say wait fork exec /proc/self/exe fork exec {TRUE}"
    return [SHELL, "-c", f"exec 9<{program}; rm {program}; /proc/self/fd/9 {steps}; :"]


def in_memory(cgroup: Cgroup, _: Path) -> list[object]:
    # The program that waits keeps its descriptor, by which it is executed once more.
    script = """if True:
        import os, sys
        target = os.memfd_create("implant", 0)
        os.write(target, open(sys.argv[1], "rb").read())
        again = f"/proc/self/fd/{target}"
        if os.fork():
            os.wait()
        else:
            steps = ["say", "wait", "fork", "exec", again, "fork", "exec", "/bin/true"]
            os.execv(again, ["implant", *steps])"""
    return [PYTHON, "-c", script, cgroup.programs["calls"]]


def script_file(folder: Path, name: str, first_line: str, *commands: object) -> Path:
    """An executable script."""
    path = folder / name
    path.write_text("\n".join([first_line, *map(str, commands), ""]))
    path.chmod(0o755)
    return path


READ = "printf .; read reply || :"
"""The shell's way to say and wait; its read builtin reads byte by byte up to the end."""


def script(_: Cgroup, folder: Path) -> list[object]:
    return [script_file(folder, "script", "#!/bin/sh", READ, "/bin/true", ":")]


def script_with_long_name(_: Cgroup, folder: Path) -> list[object]:
    return [script_file(folder, "a-name-longer-than-comm", "#!/bin/sh -e", READ, "/bin/true", ":")]


def script_of_a_program(cgroup: Cgroup, folder: Path) -> list[object]:
    program = cgroup.programs["calls"]
    steps = " ".join(map(str, then(program)))
    return [script_file(folder, "script", "#!/bin/sh", f"{program} {steps}", ":")]


def daemon(_: Cgroup, folder: Path) -> list[object]:
    body = """if True:
        import os
        if os.fork():
            os._exit(0)
        os.setsid()
        if os.fork():
            os._exit(0)
        while os.getppid() == os.getsid(0):
            pass
        os.write(1, b".")
        os.read(0, 1)
        os.system("/bin/true; :")"""
    return [PYTHON, "-c", body]


SCENARIOS = (
    one_program,
    family,
    long_line,
    long_name,
    long_path,
    unlinked,
    in_memory,
    script,
    script_with_long_name,
    script_of_a_program,
    daemon,
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_same_lineage_as_if_watched_from_the_start(
    scenario: Scenario, cgroup: Cgroup, watch: Callable[..., Watch], tmp_path: Path
) -> None:
    (tmp_path / "early").mkdir()
    (tmp_path / "late").mkdir()
    early, late = cgroup.child("early"), cgroup.child("late")

    watching = watch(early.path)
    process = early.start_saying(*scenario(early, tmp_path / "early"))
    before = started(watching.window(early))
    release(process)
    wanted = started(watching.window(early)) - before

    process = late.start_saying(*scenario(late, tmp_path / "late"))
    watching = watch(late.path)
    release(process)
    found = started(watching.window(late))

    assert sum(wanted.values()) >= 1
    assert found == Counter({text.replace("/early/", "/late/"): n for text, n in wanted.items()})


@pytest.mark.usefixtures("unloaded")
def test_a_lineage_begins_with_the_oldest_that_still_runs(
    cgroup: Cgroup, watch: Callable[..., Watch]
) -> None:
    """What /proc no longer knows: a program that this process was before its last exec."""
    program = cgroup.programs["calls"]
    process = cgroup.start_waiting(SHELL, "-c", f"exec {program} say wait fork exec {TRUE}")
    watching = watch(cgroup.path)
    release(process)
    assert started(watching.window(cgroup)) == {lineage([program, TRUE]): 1}


@pytest.mark.parametrize("is_reaped", [True, False])
@pytest.mark.usefixtures("unloaded")
def test_who_ends_while_we_look_leaves_no_lineage(
    cgroup: Cgroup,
    watch: Callable[..., Watch],
    monkeypatch: pytest.MonkeyPatch,
    is_reaped: bool,
) -> None:
    """The next process of its id would inherit it."""
    process = cgroup.start_waiting("calls", "say", "wait")
    other = cgroup.start_waiting("calls", "say", "wait")

    def image_of_one_that_ends(folder: Path) -> np.void:
        image = running_image(folder)
        if folder.name == str(process.pid):
            process.kill()
            os.waitid(os.P_PID, process.pid, os.WEXITED | (0 if is_reaped else os.WNOWAIT))
        return image

    monkeypatch.setattr(seeding, "running_image", image_of_one_that_ends)
    watch(cgroup.path)
    (pin,) = pinned_versions()
    with LoadedProgram(pin) as program:
        (group,) = program.owners["cgroup"].nonzero()[0]
        keys = [bytes(keys) for keys, _ in program.maps["processes"].entries()]
        assert b"".join(keys) == other.pid.to_bytes(4, "little")
        assert program.ledgers["processes"][group] == 1


@pytest.mark.parametrize("order", [("outer", "inner"), ("inner", "outer")])
@pytest.mark.usefixtures("unloaded")
def test_a_lineage_belongs_to_the_nearest_workload(
    cgroup: Cgroup, watch: Callable[..., Watch], order: tuple[str, str]
) -> None:
    paths = {"outer": cgroup.path, "inner": f"{cgroup.path}/inner"}
    inner = cgroup.child("inner")
    program = cgroup.programs["calls"]
    process = inner.start_waiting(SHELL, "-c", f"{program} say wait fork exec {TRUE}; :")
    watching = watch(*(paths[name] for name in order))
    release(process)
    assert started(watching.window(inner)) == {lineage([SHELL, program, TRUE]): 1}
