"""Threads that come from one cgroup into another are counted where they are."""

from collections.abc import Callable

import pytest
from expected import ending_in, histories, ngrams
from watching import Cgroup, Watch, finish, release

pytestmark = pytest.mark.kernel

GETPPID, GETUID = 110, 102

THREE_THREADS = """if True:
    import os, sys, threading
    told = threading.Event()
    def work():
        for _ in range(101):
            os.getppid()
        told.wait()
        for _ in range(13):
            os.getppid()
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    sys.stdin.read(1)
    told.set()
    for thread in threads:
        thread.join()"""

EXECUTE_BESIDE = """if True:
    import os, sys, threading
    first, second, *command = sys.argv[1:]
    def move(folder):
        with open(folder + "/cgroup.threads", "w") as file:
            file.write(str(threading.get_native_id()))
    has_moved, may_execute = threading.Event(), threading.Event()
    def execute():
        move(second)
        has_moved.set()
        may_execute.wait()
        os.execv(command[0], command)
    threading.Thread(target=execute).start()
    has_moved.wait()
    move(first)
    may_execute.set()  # a call of the first thread, after the last move
    threading.Event().wait()"""


def test_a_move_between_tracked_cgroups_forgets_history(
    cgroup: Cgroup, watch: Callable[..., Watch]
) -> None:
    first, second = cgroup.child("first"), cgroup.child("second")
    watching = watch(first.path, second.path)
    process = first.start_waiting("calls", f"{GETPPID}:7", "say", "wait", f"{GETUID}:11")
    second.take(process)
    release(process)
    assert ngrams(watching.window(first)) == histories(
        ["execve"], ["getppid"] * 7 + ["write", "read"]
    )
    assert ngrams(watching.window(second)) == histories(["getuid"] * 11 + ["exit_group"])


def test_all_threads_of_a_process_move(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    first, second = cgroup.child("first"), cgroup.child("second")
    watching = watch(first.path, second.path)
    process = first.start_python(THREE_THREADS)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    while ending_in(ngrams(watching.window(first)), "getppid") < 3 * 101:
        pass
    second.take(process)
    release(process)
    assert ending_in(ngrams(watching.window(first)), "getppid") == 3 * 101
    assert ending_in(ngrams(watching.window(second)), "getppid") == 3 * 13


def test_there_and_back_again(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    watched, other = cgroup.child("watched"), cgroup.child("other")
    watching = watch(watched.path)
    process = watched.start_waiting("calls", f"{GETPPID}:7", "say", "wait", f"{GETUID}:11")
    other.take(process)
    watched.take(process)
    release(process)
    # It made no call elsewhere, so its history goes on.
    assert ngrams(watching.window(watched)) == histories(
        ["execve"], ["getppid"] * 7 + ["write", "read"] + ["getuid"] * 11 + ["exit_group"]
    )


def test_a_thread_that_executes_is_counted_in_its_own_cgroup(
    cgroup: Cgroup, watch: Callable[..., Watch]
) -> None:
    first, second = cgroup.child("first"), cgroup.child("second")
    for child in (first, second):
        (child.folder / "cgroup.type").write_text("threaded")
    watching = watch(first.path, second.path)
    finish(
        cgroup.start_python(
            EXECUTE_BESIDE, first.folder, second.folder, cgroup.programs["calls"], f"{GETPPID}:7"
        )
    )
    # It takes over the id of a thread that was in the first one.
    assert ending_in(ngrams(watching.window(first)), "getppid") == 0
    counts = ngrams(watching.window(second))
    expected = histories(["getppid"] * 7 + ["exit_group"])
    assert {names: counts[names] for names in expected} == expected
