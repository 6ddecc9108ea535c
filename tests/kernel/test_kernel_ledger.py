"""The ledger adds up in every window, while every processor counts."""

import os
from collections.abc import Callable

import pytest
from expected import known_run, ngrams, peers, started
from watching import Cgroup, Watch

from baseline.window import Window, total

pytestmark = pytest.mark.kernel

CALLS = 3_000_017
EXECUTIONS = 307
PORTS = 101


def test_every_window_adds_up_under_load(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    processors = len(os.sched_getaffinity(0))
    calling = [cgroup.child(f"calling{number}") for number in range(2 * processors)]
    executing, connecting = cgroup.child("executing"), cgroup.child("connecting")
    watching = watch(f"{cgroup.path}/*", interval=0.03)
    loop = f"i=0; while [ $i -lt {EXECUTIONS} ]; do /bin/true; i=$((i+1)); done"
    processes = [
        *(workload.start("calls", f"110:{CALLS}") for workload in calling),
        executing.start("/bin/sh", "-c", loop),
        connecting.start("udp_together", processors, PORTS),
    ]

    def all_ended() -> bool:
        return all(process.poll() is not None for process in processes)

    seen = watching.source.observations(stop=all_ended)
    windows = [window for window in seen if isinstance(window, Window)]
    assert not any(process.returncode for process in processes)
    assert all(window.ledger.adds_up for window in windows)
    assert not any(window.ledger.lost for window in windows)

    def whole(workload: Cgroup) -> Window:
        own = [window for window in windows if window.replica == workload.path]
        assert len(own) > 10
        return total(own)

    known = known_run(["getppid"] * 1009)
    known[("getppid",) * 6] += CALLS - 1009
    for workload in calling:
        assert ngrams(whole(workload)) == known
    assert sum(started(whole(executing)).values()) == EXECUTIONS + 1
    assert peers(whole(connecting)) == {
        f"udp out to 127.0.0.1:{port}": processors for port in range(1, PORTS + 1)
    }


def test_what_is_done_while_windows_are_taken_is_in_the_last(
    cgroup: Cgroup, watch: Callable[..., Watch]
) -> None:
    watching = watch(cgroup.path, interval=0.03)
    windows: list[Window] = []
    for seen in watching.source.observations(stop=lambda: bool(windows)):
        if isinstance(seen, Window):
            windows.append(seen)
            if len(windows) == 1:
                cgroup.run("calls", "110:1009")
    assert ngrams(total(windows)) == known_run(["getppid"] * 1009)
