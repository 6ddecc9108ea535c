"""System calls: every n-gram of known programs, counted exactly."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from expected import Names, ending_in, histories, known_run, ngrams
from inspecting import bpftool, maps_of, succeed
from requirements import missing
from watching import Watched, finish

from baseline.kernel.program import LINK_PREFIX, PIN_ROOT, SYSTEM_CALLS, Settings, fingerprint
from baseline.window import Tally

pytestmark = pytest.mark.kernel

GETPID, GETUID, GETPPID = 39, 102, 110
COMPAT_GETPPID = 64

PLACES = 64
"""For the state of threads, where there are to be few."""

FEW = 10
"""Ids that were chosen have to be granted at least so often; others begin processes, too."""


@pytest.fixture(
    scope="module",
    params=[Settings(), Settings(thread_places=PLACES), Settings(thread_places=1)],
    ids=["a place for each thread", "few places", "one place"],
)
def settings(request: pytest.FixtureRequest) -> Settings:
    """Where the state of threads is: in places of their own, in either, with their tasks."""
    return request.param


@pytest.mark.parametrize("how", ["join", "clone"])
def test_every_ngram_of_a_thread_is_exact(watched: Watched, how: str) -> None:
    watched.run("calls", f"{GETPPID}:1009", f"{GETUID}:13", how=how)
    calls = ["getppid"] * 1009 + ["getuid"] * 13
    assert ngrams(watched.window()) == known_run(calls)
    assert watched.window().ledger.ngrams == Tally(counted=1024, recorded=1024)


def test_threads_never_mix(watched: Watched) -> None:
    watched.run("threads", f"{GETPPID}:10007", f"{GETUID}:1009", f"{GETPPID}:101", f"{GETPID}:11")
    counts = ngrams(watched.window())
    assert ending_in(counts, "getppid") == 10007 + 101
    assert ending_in(counts, "getuid") == 1009
    assert ending_in(counts, "getpid") == 11
    assert counts["getppid",] == 0, "a thread of glibc makes calls of its own before ours"
    assert counts[("getppid",) * 6] == 10007 - 5 + 101 - 5
    assert counts[("getuid",) * 6] == 1009 - 5
    own = {"getppid", "getuid", "getpid"}
    assert not [names for names in counts if len(own & set(names)) > 1]


def test_a_fork_begins_with_an_empty_history(watched: Watched) -> None:
    watched.run("calls", f"{GETPPID}:7", "fork", f"{GETUID}:11", "fork", f"{GETPID}:5")
    assert ngrams(watched.window()) == histories(
        ["execve"],
        ["getppid"] * 7 + ["fork", "wait4", "exit_group"],
        ["getuid"] * 11 + ["fork", "wait4", "exit_group"],
        ["getpid"] * 5 + ["exit_group"],
    )


def test_an_exec_begins_with_an_empty_history(watched: Watched) -> None:
    program = watched.programs["calls"]
    watched.run("calls", f"{GETPPID}:7", "exec", program, f"{GETUID}:11")
    assert ngrams(watched.window()) == histories(
        ["execve"], ["getppid"] * 7 + ["execve"], ["getuid"] * 11 + ["exit_group"]
    )


@pytest.mark.parametrize("program", ["calls_32", "calls_int80"])
def test_calls_through_the_32_bit_entry_are_other_calls(watched: Watched, program: str) -> None:
    watched.run(program, f"{COMPAT_GETPPID}:1009", "509:2", "-1:3")
    calls = ["getppid"] * 1009 + ["out_of_range"] * 2 + ["cancelled"] * 3 + ["exit_group"]
    assert ngrams(watched.window()) == histories(["execve"], [f"compat:{c}" for c in calls])


def test_one_process_mixes_both_entries(watched: Watched) -> None:
    watched.run("calls_32", "64:7", "exec", watched.programs["calls"], f"{GETPPID}:7")
    assert ngrams(watched.window()) == histories(
        ["execve"],
        ["compat:getppid"] * 7 + ["compat:execve"],
        ["getppid"] * 7 + ["exit_group"],
    )


def test_numbers_without_a_call_have_symbols(watched: Watched) -> None:
    x32_getppid = 0x40000000 + GETPPID
    watched.run("calls", "508:2", "509:3", "100000:5", f"{x32_getppid}:7", "-1:11", "-2:13")
    assert ngrams(watched.window()) == known_run(
        ["syscall_508"] * 2 + ["out_of_range"] * (3 + 5 + 7) + ["cancelled"] * 11
        + ["out_of_range"] * 13
    )  # fmt: skip


@pytest.mark.parametrize("request_", ["nop", "sqpoll", "openat"])
def test_io_uring_requests_are_counted_as_such(watched: Watched, request_: str) -> None:
    watched.run("uring", request_, 1009, "/etc/passwd")
    opcode = "nop" if request_ == "sqpoll" else request_
    requests = {n: c for n, c in ngrams(watched.window()).items() if n[-1].startswith("io_uring:")}
    assert requests == {(f"io_uring:{opcode}",): 1009}


def test_a_polling_thread_is_not_taken_for_who_had_its_id_before(watched: Watched) -> None:
    """It begins unseen, with an id that an exec gave up elsewhere, and no cgroup changes then."""
    require_ids_to_choose()
    granted = 0
    rounds, requests = 3 * FEW, 101
    waiting = [watched.start("uring", "later", requests, pipes=True) for _ in range(rounds)]
    for process in waiting:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
    for process in waiting:
        given_up = subprocess.run(
            [sys.executable, "-c", EXECUTE_FROM_A_THREAD], stdout=subprocess.PIPE, check=True
        ).stdout
        granted += finish(process, given_up) == "granted\n"
    assert granted > FEW, "too few ids were used again for this test to say anything"
    assert ngrams(watched.window())["io_uring:nop",] == rounds * requests


EXECUTE_FROM_A_THREAD = """
import os, threading
def execute():
    print(threading.get_native_id(), flush=True)
    os.execv("/bin/true", ["true"])
threading.Thread(target=execute).start()
"""


@pytest.mark.parametrize("program", ["reuse_pid", "reuse_thread_id"])
def test_an_id_that_is_used_again_brings_no_history(watched: Watched, program: str) -> None:
    """That of a process which ended, or which a thread gave up by an exec."""
    children, calls = 101, 3
    require_ids_to_choose()
    reused = int(watched.output(program, children, calls))
    assert reused > FEW, "too few ids were used again for this test to say anything"
    require_children(ngrams(watched.window()), children, calls)


def require_ids_to_choose() -> None:
    if not Path("/proc/sys/kernel/ns_last_pid").exists():
        missing("This kernel does not let process ids be chosen (CONFIG_CHECKPOINT_RESTORE)")


def require_children(counts: Counter[Names], children: int, calls: int) -> None:
    """Each made so many calls from an empty history on."""
    own = histories(*[["getppid"] * calls + ["exit_group"]] * children)
    assert {names: counts[names] for names in own} == own
    assert ending_in(counts, "getppid") == children * calls


def test_threads_that_want_one_place_keep_their_histories_apart(watched: Watched) -> None:
    rounds, calls = 101, 1009
    require_ids_to_choose()
    together = int(watched.output("share_place", PLACES, rounds, calls))
    assert together > FEW, "too few ids were alike for this test to say anything"
    counts = ngrams(watched.window())
    own = [["read"] + ["getppid"] * (calls + n) + ["exit_group"] for n in range(4)]
    children = histories(*own * rounds)
    assert {names: counts[names] for names in children} == children
    assert ending_in(counts, "getppid") == sum(calls + n for n in range(4)) * rounds


def ended_owners(settings: Settings) -> set[int]:
    """Ids that have a place in the table of threads, but no thread."""
    link = PIN_ROOT / fingerprint(settings) / f"{LINK_PREFIX}{SYSTEM_CALLS}"
    table = maps_of(link)["threads"]["id"]
    places = json.loads(succeed(bpftool("-j", "map", "dump", "id", table)))
    values = [bytes(int(byte, 16) for byte in place["value"]) for place in places]
    ids = {int.from_bytes(value[-4:], "little") for value in values} - {0}
    return {its for its in ids if not Path(f"/proc/{its}").exists()}


def test_threads_leave_their_places_at_their_end(watched: Watched, settings: Settings) -> None:
    before = ended_owners(settings)
    watched.run("calls", "storm", 1009, "110:3")
    ended = ended_owners(settings)
    ended &= ended_owners(settings)  # without who ended between the table and /proc
    assert ended <= before


def test_an_exec_by_another_thread_than_the_first_forgets_history(watched: Watched) -> None:
    watched.python(
        """if True:
        import os, sys, threading
        threading.Thread(target=os.execv, args=(sys.argv[1], sys.argv[1:])).start()
        threading.Event().wait()""",
        watched.programs["calls"],
        f"{GETPPID}:7",
    )
    counts = ngrams(watched.window())
    assert ending_in(counts, "getppid") == 7
    program = histories(["getppid"] * 7 + ["exit_group"])
    assert {names: counts[names] for names in program} == program
