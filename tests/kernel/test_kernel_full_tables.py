"""Full tables: what finds no room is counted as overflowed or lost, and never disappears."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from expected import known_run, lineage, ngrams, peers, started
from watching import Cgroup, Watch, Watched, release

from baseline.kernel.bpf_syscall import BpfMap
from baseline.kernel.program import MAX_GROUPS, Settings
from baseline.syscalls import symbol_name
from baseline.window import Tally

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("unloaded")]

FIRST_UNUSED_NUMBER = 340
"""No call has this or one of the following 83 numbers; the kernel refuses them."""

SEND = """if True:
    import socket, sys
    sender = socket.socket(type=socket.SOCK_DGRAM)
    for address, port in zip(sys.argv[1::2], sys.argv[2::2]):
        sender.sendto(b"text", (address, int(port)))"""


@pytest.fixture(scope="module")
def settings() -> Settings:
    """Tables with hardly any room, all of which one workload may use up."""
    return Settings(
        slot_bits=4,
        ngram_overflow=8,
        max_executions=8,
        max_connections=8,
        connection_overflow=4,
        shares=1,
    )


@pytest.mark.usefixtures("one_processor")
def test_ngrams(pair: tuple[Watch, Cgroup, Cgroup]) -> None:
    watching, noisy, quiet = pair
    numbers = [FIRST_UNUSED_NUMBER + i**3 % 83 for i in range(1009)]
    noisy.run("calls", *(f"{number}:1" for number in numbers))
    wanted = known_run([symbol_name(number + 1) for number in numbers])
    filled = watching.window(noisy)
    tally = filled.ledger.ngrams
    assert tally == Tally(1011, tally.recorded, tally.overflowed, 1011 - sum(tally[1:3]))
    assert tally.recorded >= 16
    assert tally.overflowed >= 8
    assert len(filled.ngrams) == 16 + 8
    assert ngrams(filled) - wanted == Counter()
    assert filled.ngrams.total == tally.recorded + tally.overflowed

    quiet.run("calls", "110:1009")
    assert watching.window(quiet).ledger.ngrams == Tally(counted=1011, lost=1011)
    assert watching.window(noisy).ledger.ngrams == tally


def test_executions(pair: tuple[Watch, Cgroup, Cgroup], tmp_path: Path) -> None:
    watching, noisy, quiet = pair
    copies = [Path(shutil.copy(noisy.programs["calls"], tmp_path / f"p{i}")) for i in range(13)]
    for program in [*copies, copies[0]]:
        noisy.run(program)
    quiet.run("calls")
    assert started(watching.window(noisy)) == {str(p): 1 + (p == copies[0]) for p in copies[:8]}
    assert watching.window(noisy).ledger.executions == Tally(counted=14, recorded=9, lost=5)
    assert watching.window(quiet).ledger.executions == Tally(counted=1, lost=1)


def test_connections(pair: tuple[Watch, Cgroup, Cgroup]) -> None:
    watching, noisy, quiet = pair
    peers_of_one_port = [(f"127.0.0.{i}", 9) for i in range(1, 24)]
    ports_of_one_peer = [("127.0.0.24", port) for port in range(100, 107)]
    again = [("127.0.0.1", 9), ("127.0.0.23", 9), ("127.0.0.24", 106)]
    sent = [*peers_of_one_port, *ports_of_one_peer, *again]
    noisy.python(SEND, *(word for peer in sent for word in peer))
    quiet.python(SEND, "127.0.0.1", 9)
    assert peers(watching.window(noisy)) == {
        **{f"udp out to 127.0.0.{i}:9": 1 + (i == 1) for i in range(1, 9)},
        "udp out to any peer:9": 15 + 1,
        **{f"udp out to any peer:{port}": 1 for port in (100, 101, 102)},
    }
    tally = Tally(counted=33, recorded=9, overflowed=19, lost=5)
    assert watching.window(noisy).ledger.connections == tally
    assert watching.window(quiet).ledger.connections == Tally(counted=1, lost=1)


def chain(cgroup: Cgroup, folder: Path, length: int) -> tuple[list[Path], list[object]]:
    """Copies of ``calls``, and the steps by which each starts the next."""
    copies = [Path(shutil.copy(cgroup.programs["calls"], folder / f"p{i}")) for i in range(length)]
    return copies, [step for program in copies[1:] for step in ("fork", "exec", program)]


@pytest.mark.parametrize("settings", [Settings(max_images=3)], ids=["images"])
def test_an_image_without_room_has_no_name(watched: Watched, tmp_path: Path) -> None:
    (p0, p1, p2, *_), steps = chain(watched, tmp_path, 5)
    watched.run(p0, *steps)
    assert started(watched.window()) == {
        lineage([p0]): 1,
        lineage([p0, p1]): 1,
        lineage([p0, p1, p2]): 1,
        lineage([p0, p1, p2, "unknown"]): 1,
        lineage([p0, p1, p2, "unknown", "unknown"]): 1,
    }
    said = f"{watched.path}: 2 programs have no name: the table of images is full"
    assert said in watched.watch.said


@pytest.mark.parametrize("settings", [Settings(max_processes=3, shares=1)], ids=["processes"])
def test_a_lineage_without_room_begins_anew(watched: Watched, tmp_path: Path) -> None:
    (p0, p1, p2, p3, p4), steps = chain(watched, tmp_path, 5)
    watched.run(p0, *steps)
    assert started(watched.window()) == {
        lineage([p0]): 1,
        lineage([p0, p1]): 1,
        lineage([p0, p1, p2]): 1,
        str(p3): 1,
        str(p4): 1,
    }
    assert any("processes lost their ancestors" in line for line in watched.watch.said)


@pytest.mark.parametrize("settings", [Settings(max_processes=3, shares=1)], ids=["processes"])
def test_more_running_processes_than_room(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    processes = [cgroup.start_waiting("calls", "say", "wait", "110:7") for _ in range(7)]
    watching = watch(cgroup.path)
    for process in processes:
        release(process)
    assert ngrams(watching.window(cgroup))[("getppid",) * 6] == 7 * 2


@pytest.mark.parametrize("settings", [Settings()], ids=["groups"])
def test_a_shortage_of_numbers_that_is_over_is_forgotten(
    cgroup: Cgroup, watch: Callable[..., Watch]
) -> None:
    """Until then all cgroups are looked at in every interval."""
    stays = cgroup.child("stays")
    watching = watch(f"{cgroup.path}/*")
    tracker = watching.source._reading.tracker
    numbers = watching.source._collector.maps["free_groups"]
    taken = list(iter(numbers.pop, None))
    late = [cgroup.child(name) for name in ("short", "long")]
    watching.read()
    assert tracker._must_look
    late[0].folder.rmdir()
    for number in taken:
        numbers.update(b"", number)
    watching.read()
    assert not tracker._must_look
    assert watching.replicas() == {stays.path, late[1].path}
    assert watching.said.count("2 cgroups are not counted: all group numbers are taken") == 1


def set_all(table: BpfMap, keys: list[bytes]) -> None:
    for key in keys:
        table.update(key, bytes(table.value_size))


@pytest.mark.parametrize("settings", [Settings()], ids=["folders"])
def test_a_shortage_of_nurseries_that_is_over_is_forgotten(
    cgroup: Cgroup, watch: Callable[..., Watch]
) -> None:
    cgroup.child("pod").child("stays")
    watching = watch(f"{cgroup.path}/*/*")
    tracker = watching.source._reading.tracker
    nurseries = watching.source._collector.maps["nurseries"]
    others = [number.to_bytes(8, "little") for number in range(MAX_GROUPS)]
    for name in ("early", "late"):
        with pytest.raises(OSError, match="too long"):
            set_all(nurseries, others)
        folder = cgroup.child(name).folder
        tracker.refresh(at_once=True)
        assert tracker._must_look
        for other in others:
            nurseries.delete(other)
        watching.read()
        assert not tracker._must_look
        (folder / "container").mkdir()
    assert len(watching.replicas()) == 3
    assert len([line for line in watching.said if "a little late" in line]) == 1


@pytest.mark.parametrize("settings", [Settings()], ids=["groups"])
def test_more_cgroups_than_group_numbers(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    folders = [cgroup.folder / f"c{number:04}" for number in range(MAX_GROUPS + 7)]
    for folder in folders[:11]:
        folder.mkdir()
    watching = watch(f"{cgroup.path}/*")
    for folder in folders[11:]:
        folder.mkdir()
    for _ in range(3):
        watching.read()
    numbers = MAX_GROUPS - 1  # 0 is none
    left_out = [line for line in watching.said if "are not counted" in line]
    assert left_out == ["8 cgroups are not counted: all group numbers are taken"]
    assert len(watching.replicas()) == numbers
    last = Cgroup(f"{cgroup.path}/c{numbers - 1:04}", cgroup.programs)
    last.run("calls", "110:7")
    assert ngrams(watching.window(last)) == known_run(["getppid"] * 7)
