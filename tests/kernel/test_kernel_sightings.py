"""First sights: what is new arrives at once, with who did it, and costs no count if it cannot."""

from typing import TypeVar

import pytest
from expected import ending_in, known_run, ngrams
from watching import PYTHON, Watched, release

from baseline.kernel.layout import ARGUMENTS_SIZE
from baseline.kernel.program import Settings
from baseline.sighting import Process, Sighting
from baseline.syscalls import ngram_names
from baseline.window import Connection, Execution, Image, Tally

pytestmark = pytest.mark.kernel

Item = TypeVar("Item", int, Execution, Connection)


def sighted(watched: Watched, kind: type[Item]) -> list[tuple[Item, Process | None]]:
    """Items of one kind, each with who did it, in the order in which they came."""
    watched.watch.read()
    return [(s.item, s.process) for s in watched.watch.sightings if isinstance(s.item, kind)]


def test_every_new_ngram_arrives_with_its_process(watched: Watched) -> None:
    process = watched.start_waiting("calls", "110:1009", "say", "wait", "102:7")
    program = str(watched.programs["calls"])
    arguments = (program, "110:1009", "say", "wait", "102:7")
    ours = Process(process.pid, process.pid, "calls", (Image(program),), arguments)
    enter = (str(watched.programs["enter"]), "join", str(watched.folder), *arguments)
    before_exec = Process(process.pid, process.pid, "enter", (), enter)
    seen = {(ngram_names(ngram), who) for ngram, who in sighted(watched, int)}
    wanted = known_run(["getppid"] * 1009 + ["write", "read"])
    del wanted["getppid", "getppid", "getppid", "write", "read", "exit_group"]
    assert seen == {(names, before_exec if names == ("execve",) else ours) for names in wanted}
    release(process)


@pytest.mark.usefixtures("one_processor")
def test_what_is_known_arrives_no_more(watched: Watched) -> None:
    watched.run("calls", "110:1009")
    watched.window()
    watched.watch.sightings.clear()
    for _ in range(23):
        watched.run("calls", "110:1009")
    assert watched.window().ngrams.total == 24 * 1011
    assert watched.watch.sightings == []


def test_a_new_execution_arrives_with_its_lineage(watched: Watched) -> None:
    watched.python("import os; os.system('/bin/true; :')")
    (_, python), (_, shell), (true, who) = sighted(watched, Execution)
    assert python
    assert shell
    assert who
    assert python.lineage == (Image(str(PYTHON)),)
    assert true.lineage == who.lineage
    assert true.lineage[:2] == shell.lineage
    assert true.image.path.endswith("/true")
    assert who.comm == "true"
    assert python.pid != shell.pid != who.pid


def test_a_new_peer_arrives_with_who_connected(watched: Watched) -> None:
    script = """if True:
        import socket, sys, threading
        def connect(port):
            with open(f"/proc/self/task/{threading.get_native_id()}/comm", "w") as comm:
                comm.write("talker")
            socket.socket(type=socket.SOCK_DGRAM).connect(("127.0.0.1", port))
        thread = threading.Thread(target=connect, args=(9,))
        thread.start()
        thread.join()
        print(thread.native_id, flush=True)
        sys.stdin.read(1)"""
    process = watched.start_python(script)
    arguments = (str(PYTHON), "-c", script)
    assert process.stdout
    thread = int(process.stdout.readline())
    assert sighted(watched, Connection) == [
        (
            Connection("out", "udp", "127.0.0.1", 9),
            Process(process.pid, thread, "talker", (Image(str(PYTHON)),), arguments),
        )
    ]
    release(process)


def test_a_long_command_line_is_cut(watched: Watched) -> None:
    """The first ``ARGUMENTS_SIZE`` bytes are kept, with the zero behind each argument."""
    fits = "x" * (ARGUMENTS_SIZE - len("/bin/true\0\0"))
    watched.run("/bin/true", fits)
    watched.run("/bin/echo", fits + "yz")
    kept = [(who.arguments, who.arguments_cut) for _, who in sighted(watched, Execution) if who]
    assert kept == [(("/bin/true", fits), False), (("/bin/echo", fits + "y"), True)]


def test_a_title_has_no_empty_arguments_behind_it(watched: Watched) -> None:
    """It is written over the arguments, and zeros over what is left of them."""
    script = """if True:
        import os
        stat = open("/proc/self/stat").read().rpartition(")")[2].split()
        start, end = map(int, stat[45:47])  # proc(5): arg_start and arg_end
        with open("/proc/self/mem", "r+b") as memory:
            memory.seek(start)
            memory.write(b"worker process".ljust(end - start, b"\\0"))
        os.kill(os.getpid(), 0)"""
    watched.python(script, "", "one", "", "two")
    lines = [who.arguments for _, who in sighted(watched, int) if who]
    assert (str(PYTHON), "-c", script, "", "one", "", "two") in lines
    assert lines[-1] == ("worker process",)


def test_an_inbound_peer_arrives_without_a_process(watched: Watched) -> None:
    watched.python(
        """if True:
        import socket
        server = socket.create_server(("127.0.0.1", 0))
        socket.create_connection(server.getsockname())
        server.accept()"""
    )
    out, inbound = sighted(watched, Connection)
    assert out[0].direction == "out"
    assert out[1] is not None
    assert inbound[0].direction == "in"
    assert inbound[1] is None


def test_a_sighting_is_later_than_what_came_before(watched: Watched) -> None:
    watched.run("calls", "110:7")
    watched.run("calls", "102:7")
    window = watched.window()
    sightings: list[Sighting] = watched.watch.sightings
    assert [s.time for s in sightings] == sorted(s.time for s in sightings)
    assert all(abs(s.time - window.end) < 60e9 for s in sightings)
    assert {(s.workload, s.replica) for s in sightings} == {(window.workload, window.replica)}


@pytest.mark.parametrize("settings", [Settings(event_pages=1)], ids=["a page of events"])
@pytest.mark.usefixtures("unloaded")
def test_a_full_buffer_loses_events_but_no_counts(watched: Watched) -> None:
    numbers = [340 + i**3 % 83 for i in range(1009)]
    watched.run("calls", *(f"{number}:1" for number in numbers))
    window = watched.window()
    counted, recorded, overflowed, lost = window.ledger.events
    assert counted == len(window.ngrams) + len(window.executions)
    assert len(watched.watch.sightings) == recorded > 0
    assert lost > 0
    assert counted == recorded + lost
    assert overflowed == 0
    assert window.ledger.ngrams == Tally(counted=1011, recorded=1011)
    assert ending_in(ngrams(window), "exit_group") == 1
    # The buffer was read: what is new now arrives again.
    watched.run("calls", "102:7")
    watched.watch.read()
    assert len(watched.watch.sightings) > recorded
