"""Executions: what was started, by whom, as the kernel's own file names it."""

import os
import shutil
from pathlib import Path

import pytest
from expected import lineage, started
from watching import PYTHON, Watched

from baseline.window import MAX_LINEAGE, Image, Tally

pytestmark = pytest.mark.kernel

SHELL, LS, TRUE, CHROOT, UNSHARE, SETPRIV = (
    Path(shutil.which(name) or name).resolve()
    for name in ("sh", "ls", "true", "chroot", "unshare", "setpriv")
)
NOBODY = 65534


def copy(program: Path, to: Path) -> Path:
    """A copy of a program under another name."""
    to.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(program, to))


def images(watched: Watched) -> set[Image]:
    """The programs that were started."""
    return {execution.image for execution in watched.window().executions}


def test_lineage_is_the_chain_of_programs(watched: Watched) -> None:
    watched.run(SHELL, "-c", "ls / >/dev/null; (ls /; true) >/dev/null; sh -c 'ls /; :' >/dev/null")
    assert started(watched.window()) == {
        lineage([SHELL]): 2,  # a shell of a shell is its own image again
        lineage([SHELL, LS]): 3,
    }
    assert watched.window().ledger.executions == Tally(counted=5, recorded=5)


def test_an_exec_that_fails_is_none(watched: Watched, tmp_path: Path) -> None:
    not_executable = tmp_path / "text"
    not_executable.write_text("text")
    not_executable.chmod(0o755)
    program = watched.programs["calls"]
    watched.run(program, "fork", "exec", "/nowhere")
    watched.run(program, "fork", "exec", tmp_path)
    watched.run(program, "fork", "exec", not_executable)
    assert started(watched.window()) == {lineage([program]): 3}


def test_a_program_that_executes_itself_is_one(watched: Watched) -> None:
    program = watched.programs["calls"]
    watched.run(program, "exec", program, "fork", "exec", program, "fork", "exec", TRUE)
    assert started(watched.window()) == {lineage([program]): 3, lineage([program, TRUE]): 1}


def test_the_oldest_ancestors_are_cut(watched: Watched, tmp_path: Path) -> None:
    chain = [copy(watched.programs["calls"], tmp_path / f"program{i}") for i in range(11)]
    watched.run(chain[0], *[step for program in chain[1:] for step in ("fork", "exec", program)])
    assert started(watched.window()) == {
        lineage(chain[: i + 1][-MAX_LINEAGE:]): 1 for i in range(len(chain))
    }


def test_an_exec_by_another_thread_than_the_first(watched: Watched) -> None:
    watched.python(
        """if True:
        import os, threading
        threading.Thread(target=os.execv, args=("/bin/true", ["true"])).start()
        threading.Event().wait()"""
    )
    assert started(watched.window()) == {lineage([PYTHON]): 1, lineage([PYTHON, TRUE]): 1}


def test_a_process_whose_first_thread_has_ended_keeps_its_lineage(watched: Watched) -> None:
    watched.python(
        """if True:
        import ctypes, os, threading, time
        def outlive():
            while open(f"/proc/{os.getpid()}/stat").read().rpartition(")")[2].split()[0] != "Z":
                pass
            os.system("ls / >/dev/null")
            os._exit(0)
        threading.Thread(target=outlive).start()
        ctypes.CDLL(None).syscall(60, 0)  # exit of this thread alone"""
    )
    assert lineage([PYTHON, SHELL, LS]) in started(watched.window())


def test_a_script_is_its_interpreter_with_its_name(watched: Watched, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh -e\nls / >/dev/null\n:\n")
    script.chmod(0o755)
    watched.run(script)
    assert started(watched.window()) == {
        f"{SHELL}[{script}]": 1,
        f"{SHELL}[{script}] > {LS}": 1,
    }


def test_a_symlink_is_what_it_leads_to(watched: Watched, tmp_path: Path) -> None:
    link = tmp_path / "innocent"
    link.symlink_to(SHELL)
    watched.run(link, "-c", ":")
    assert started(watched.window()) == {lineage([SHELL]): 1}


def test_a_renamed_program_has_its_new_name(watched: Watched, tmp_path: Path) -> None:
    renamed = copy(watched.programs["calls"], tmp_path / "old").rename(tmp_path / "new")
    watched.run(renamed)
    assert started(watched.window()) == {lineage([renamed]): 1}


FROM_DESCRIPTOR = """if True:
    import os, sys
    program, source = sys.argv[1:]
    if program.startswith("memfd:"):
        target = os.memfd_create(program.removeprefix("memfd:"))
    else:
        target = os.open(program, os.O_CREAT | os.O_WRONLY, 0o755)
    os.write(target, open(source, "rb").read())
    if not program.startswith("memfd:"):
        os.close(target)  # a file that is open for writing cannot be executed
        target = os.open(program, os.O_RDONLY)
        os.unlink(program)
    os.execve(target, ["[kworker/0:1]"], {})"""


def test_a_program_in_memory_has_no_file(watched: Watched) -> None:
    watched.python(FROM_DESCRIPTOR, "memfd:implant", watched.programs["calls"])
    assert Image("memfd:implant", unlinked=True) in images(watched)


def test_an_unlinked_program_keeps_its_path(watched: Watched, tmp_path: Path) -> None:
    watched.python(FROM_DESCRIPTOR, tmp_path / "dropper", watched.programs["calls"])
    assert Image(str(tmp_path / "dropper"), unlinked=True) in images(watched)


def test_a_bind_mount_is_the_path_in_use(watched: Watched, tmp_path: Path) -> None:
    real = copy(watched.programs["calls"], tmp_path / "real/program").parent
    seen = tmp_path / "seen"
    seen.mkdir()
    watched.run(UNSHARE, "-m", SHELL, "-c", f"mount --bind {real} {seen}; exec {seen}/program")
    assert Image(f"{seen}/program") in images(watched)


def test_a_container_has_paths_of_its_own(watched: Watched, tmp_path: Path) -> None:
    root = copy(watched.programs["calls"], tmp_path / "root/bin/program").parents[1]
    (root / "old").mkdir()
    commands = f"mount --bind {root} {root}; cd {root}; pivot_root . old; exec /bin/program"
    watched.run(UNSHARE, "-m", SHELL, "-c", commands)
    assert Image("/bin/program") in images(watched)


def test_a_chroot_is_seen_from_its_mount_namespace(watched: Watched, tmp_path: Path) -> None:
    root = copy(watched.programs["calls"], tmp_path / "root/program").parent
    watched.run(CHROOT, root, "/program")
    assert Image(f"{root}/program") in images(watched)


@pytest.mark.parametrize(("depth", "cut"), [(12, False), (13, True)])
def test_a_long_path_keeps_its_end(watched: Watched, tmp_path: Path, depth: int, cut: bool) -> None:
    below = ["folder"] * (depth - len(tmp_path.parts))
    program = copy(watched.programs["calls"], tmp_path.joinpath(*below, "program"))
    watched.run(program)
    path = "/".join(program.parts[1:][-12:])
    assert images(watched) == {Image(f".../{path}" if cut else f"/{path}")}


def test_a_long_name_keeps_its_start(watched: Watched, tmp_path: Path) -> None:
    program = copy(watched.programs["calls"], tmp_path / ("n" * 101))
    watched.run(program)
    assert Image(f"{tmp_path}/{'n' * 47}") in images(watched)


def test_the_user_is_the_effective_one_after_the_exec(watched: Watched, tmp_path: Path) -> None:
    program = copy(watched.programs["calls"], tmp_path / "setuid")
    os.chown(program, NOBODY, NOBODY)
    program.chmod(0o4755)
    watched.run(program)
    watched.run(SETPRIV, f"--reuid={NOBODY + 1}", "--clear-groups", TRUE)
    uids = {str(execution): execution.uid for execution in watched.window().executions}
    assert uids == {
        lineage([program]): NOBODY,
        lineage([SETPRIV]): 0,
        lineage([SETPRIV, TRUE]): NOBODY + 1,
    }


def test_a_process_ends_once_whichever_of_its_threads_is_the_last(watched: Watched) -> None:
    """Two that end at once: or its workload might keep more lineages than its share."""
    watched.run("end_together", 1009)
    assert watched.window().ledger.executions.counted == 1
    (number,) = watched.watch.source._reading.tracker.groups
    assert watched.watch.source._collector.ledgers["processes"][number] == 0
