"""Root takes the program apart while it counts: what is done to it is told."""

import errno
import json
import mmap
import shutil
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from expected import Names, ending_in, known_run, ngrams, peers, started
from inspecting import bpftool, maps_of, succeed
from watching import Cgroup, OtherCommand, Watch, Watched, release

from baseline.kernel.bpf_syscall import BpfMap
from baseline.kernel.collector import loader_python
from baseline.kernel.layout import CONTROL, COUNTER, GROUP_ENDED, GROUP_WIPED
from baseline.kernel.loaded import LoadedProgram
from baseline.kernel.program import (
    COUNTING_PIN,
    LINK_PREFIX,
    OWN_MAPS,
    PIN_ROOT,
    RAW_TRACEPOINTS,
    SYSTEM_CALLS,
    Settings,
    fingerprint,
    possible_cpus,
)
from baseline.kernel.unloading import unload
from baseline.syscalls import ngram_names
from baseline.window import Window
from baseline.workloads.cgroups import cgroup_id

pytestmark = pytest.mark.kernel
leaves_it_damaged = pytest.mark.usefixtures("unloaded")

PIN = PIN_ROOT / fingerprint(Settings())
KNOWN = known_run(["getppid"] * 1009)

SETTLED = 0.1
"""Seconds after which a group that has ended is reclaimed (baseline/kernel/reclaiming.py)."""

SEND = """if True:
    import socket
    socket.socket(type=socket.SOCK_DGRAM).connect(("127.0.0.1", 9))"""


def little(number: int, size: int) -> list[str]:
    """A number as bpftool takes keys and values."""
    return [f"{byte:#04x}" for byte in number.to_bytes(size, "little")]


def key_of(cgroup: Cgroup) -> list[str]:
    return little(cgroup_id(cgroup.folder), 8)


def told(watch: Watch) -> list[str]:
    """What was told since the watch began, after one more interval, and that stderr has it too."""
    watch.read()
    what = [interference.what for interference in watch.interferences]
    warnings = [line for line in watch.said if line.startswith("Warning")]
    assert warnings == [f"Warning: {line}" for line in what]
    return what


def run_known(cgroup: Cgroup) -> None:
    cgroup.run("calls", "110:1009")


def test_what_is_in_order_is_no_tampering(
    cgroup: Cgroup, watch: Callable[..., Watch], command: Callable[..., OtherCommand]
) -> None:
    """Cgroups, commands and all that grows come and go."""
    watching = watch(f"{cgroup.path}/*", f"{cgroup.path}/*/*")
    other = command(f"{cgroup.path}/*", keep=False)
    web = cgroup.child("web")
    for number in range(7):
        run_known(web)
        pod = cgroup.child(f"pod{number}")
        run_known(pod.child("container"))
        assert told(watching) == []
        assert other.read()
        pod.remove()
    other.end()
    assert told(watching) == []
    assert ngrams(watching.window(web))["execve",] == 7


@leaves_it_damaged
@pytest.mark.parametrize("name", ["slots", "tracked", "link_sys_enter", "link_connect4"])
def test_a_pin_that_is_removed(watched: Watched, name: str) -> None:
    assert told(watched.watch) == []
    (PIN / name).unlink()
    run_known(watched)
    assert told(watched.watch) == told(watched.watch)
    (what,) = told(watched.watch)
    assert f"removed or replaced pins in {PIN} ({name})" in what
    assert ngrams(watched.window()) == KNOWN, "what is held open counts without its pin"


@leaves_it_damaged
def test_all_pins_that_are_removed_are_told_in_one_sentence(watched: Watched) -> None:
    pins = len([*PIN.iterdir()]) + 1  # which version counts is pinned beside them
    unload()
    (what,) = told(watched.watch)
    assert f"and {pins - 3} more)" in what
    assert "`baseline unload`" in what
    run_known(watched)
    assert ngrams(watched.window()) == KNOWN


@leaves_it_damaged
def test_a_pin_that_is_replaced(watched: Watched) -> None:
    assert told(watched.watch) == []
    replaced = PIN / "ledgers"
    identity = json.loads(succeed(bpftool("-j", "map", "show", "pinned", PIN / "slots")))["id"]
    replaced.unlink()
    succeed(bpftool("map", "pin", "id", identity, replaced))
    assert "removed or replaced pins" in told(watched.watch)[0]
    assert "(ledgers)" in told(watched.watch)[0]


@leaves_it_damaged
@pytest.mark.parametrize("by", ["pin", "id"])
def test_a_hook_that_is_detached(watched: Watched, by: str) -> None:
    watched.python(SEND)
    assert told(watched.watch) == []
    pin = PIN / f"{LINK_PREFIX}connect4"
    link = json.loads(succeed(bpftool("-j", "link", "show", "pinned", pin)))["id"]
    which = ("pinned", pin) if by == "pin" else ("id", link)
    succeed(bpftool("link", "detach", *which))
    watched.python(SEND)
    (what,) = told(watched.watch)
    assert what.startswith("Somebody detached connect4: ")
    assert told(watched.watch) == [what], "it is told once"
    assert peers(watched.window()) == {"udp out to 127.0.0.1:9": 1}, "the second was not seen"


def test_system_calls_cannot_be_detached(watched: Watched) -> None:
    done = bpftool("link", "detach", "pinned", PIN / f"{LINK_PREFIX}sys_enter")
    assert "not supported" in done.stderr + done.stdout
    run_known(watched)
    assert ngrams(watched.window()) == KNOWN
    assert told(watched.watch) == []


EXCHANGE = """
import ctypes, sys
from bcc import BPF
from baseline.kernel.bpf_syscall import get_object
program = BPF(text="int nothing(struct bpf_sock_addr *c) { return 1; }")
nothing = program.load_func("nothing", 18, attach_type=10)
update = (ctypes.c_uint32 * 4)(get_object(sys.argv[1]), nothing.fd)  # BPF_LINK_UPDATE
libc = ctypes.CDLL(None, use_errno=True)
failed = libc.syscall(321, 29, ctypes.byref(update), ctypes.sizeof(update))
sys.exit(failed and ctypes.get_errno())
"""


def exchange(hook: str) -> subprocess.CompletedProcess[str]:
    """Put a program that does nothing into a link."""
    package = Path(__file__).parents[2]
    environment = {
        "PYTHONPATH": str(package),
        "BCC_KERNEL_SOURCE": str(package / "bpf" / "stubs"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [loader_python(), "-c", EXCHANGE, str(PIN / f"{LINK_PREFIX}{hook}")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("hook", RAW_TRACEPOINTS)
def test_programs_of_raw_tracepoints_cannot_be_exchanged(watched: Watched, hook: str) -> None:
    assert exchange(hook).returncode == errno.EINVAL
    run_known(watched)
    assert ngrams(watched.window()) == KNOWN
    assert told(watched.watch) == []


@leaves_it_damaged
def test_a_program_that_is_exchanged(watched: Watched) -> None:
    assert told(watched.watch) == []
    done = exchange("connect4")
    assert done.returncode == 0, done.stderr
    watched.python(SEND)
    (what,) = told(watched.watch)
    assert what.startswith("Somebody put another program in the place of connect4: ")
    assert told(watched.watch) == [what], "it is told once"
    assert peers(watched.window()) == {}


@pytest.mark.parametrize("how", ["removed", "given to another group"])
def test_a_cgroup_that_is_hidden_is_counted_again(watched: Watched, how: str) -> None:
    steps = ["110:7", "say", "wait", "110:5", "say", "wait", "110:11"]
    process = watched.start_waiting("calls", *steps)
    assert told(watched.watch) == []
    key = key_of(watched)
    if how == "removed":
        succeed(bpftool("map", "delete", "pinned", PIN / "tracked", "key", *key))
    else:
        other = ["key", *key, "value", *little(4095, 4)]
        succeed(bpftool("map", "update", "pinned", PIN / "tracked", *other))
    generation = ["key", *little(0, 4)]
    record = json.loads(
        succeed(bpftool("-j", "map", "lookup", "pinned", PIN / "control", *generation))
    )
    value = record["value"]
    value[0] = f"{int(value[0], 16) + 1 & 255:#04x}"
    succeed(bpftool("map", "update", "pinned", PIN / "control", *generation, "value", *value))
    run_known(watched)
    assert process.stdin
    assert process.stdout
    process.stdin.write(b".")
    process.stdin.flush()
    assert process.stdout.read(1), "it has called while it was hidden, and does not look again"
    (what,) = told(watched.watch)
    assert f"let go of {watched.path}: counted again" in what
    hidden = watched.window().ngrams.total
    release(process)
    run_known(watched)
    assert watched.window().ngrams.total == hidden + 11 + 1 + 1011
    assert told(watched.watch) == [what]


def test_a_cgroup_that_is_counted_for_nobody(watched: Watched) -> None:
    child = watched.child("child")
    assert told(watched.watch) == []
    apart = ["key", *key_of(child), "value", *little(4095, 4)]
    succeed(bpftool("map", "update", "pinned", PIN / "tracked", *apart))
    run_known(child)
    assert told(watched.watch) == [], "another command may be about to name it"
    (what,) = told(watched.watch)
    assert f"for nobody ({cgroup_id(child.folder)}): counted where they belong" in what
    assert watched.window().ngrams.total == 0
    run_known(child)
    assert ngrams(watched.window()) == KNOWN
    assert told(watched.watch) == [what]


@leaves_it_damaged
def test_a_cgroup_that_is_counted_for_another(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    noisy, quiet = cgroup.child("noisy"), cgroup.child("quiet")
    watching = watch(noisy.path)
    assert told(watching) == []
    shown = succeed(
        bpftool("-j", "map", "lookup", "pinned", PIN / "tracked", "key", *key_of(noisy))
    )
    among = ["key", *key_of(quiet), "value", *json.loads(shown)["value"]]
    succeed(bpftool("map", "update", "pinned", PIN / "tracked", *among))
    (what,) = told(watching)
    assert what.startswith("Somebody had the kernel count 1 cgroups for the groups of others")


@pytest.mark.parametrize("state", [GROUP_ENDED, GROUP_WIPED])
def test_a_cgroup_that_is_said_to_have_ended(watched: Watched, state: int) -> None:
    run_known(watched)
    assert told(watched.watch) == []
    shown = bpftool("-j", "map", "lookup", "pinned", PIN / "tracked", "key", *key_of(watched))
    group = json.loads(succeed(shown))["value"]
    owner = [*key_of(watched), *little(state, 4), *little(0, 12)]
    change = ["key", *group, "value", *owner]
    succeed(bpftool("map", "update", "pinned", PIN / "owners", *change))
    (what,) = told(watched.watch)
    assert f"believe that {watched.path} ended: counted on" in what
    for _ in range(5):  # in which a group that has really ended would be wiped and given away
        watched.watch.read()
        time.sleep(SETTLED)
    run_known(watched)
    assert ngrams(watched.window()) == KNOWN + KNOWN
    assert told(watched.watch) == [what]


def test_processors_on_which_the_counting_is_stopped(watched: Watched) -> None:
    run_known(watched)
    assert told(watched.watch) == []
    for cpu in range(possible_cpus()):
        change = ["key", *little(cpu, 4), "value", *little(0, 8)]
        succeed(bpftool("map", "update", "pinned", COUNTING_PIN, *change))
    run_known(watched)
    (what,) = told(watched.watch)
    every = ", ".join(map(str, range(possible_cpus())[:3]))
    assert what.startswith(f"Somebody stopped the counting on processor {every}")
    assert ngrams(watched.window()) == KNOWN, "what was done meanwhile is missing"
    run_known(watched)
    assert ngrams(watched.window()) == KNOWN + KNOWN
    assert told(watched.watch) == [what]


@pytest.mark.parametrize("name", OWN_MAPS)
def test_a_thread_cannot_be_hidden(watched: Watched, name: str) -> None:
    """Which task runs where, and which group it belongs to, is in maps that have no pin."""
    process = watched.start_waiting("calls", "110:7", "say", "wait", "110:11")
    hook = "cgroup_mkdir" if name == "pristine" else SYSTEM_CALLS
    own = maps_of(PIN / f"{LINK_PREFIX}{hook}")[name]
    key, value = little(0, own["bytes_key"]), little(0, own["bytes_value"])
    done = bpftool("map", "update", "id", own["id"], "key", *key, "value", *value)
    assert "Operation not permitted" in done.stdout + done.stderr
    release(process)
    assert ending_in(ngrams(watched.window()), "getppid") == 7 + 11


def test_new_cgroups_that_the_kernel_is_made_blind_to(
    cgroup: Cgroup, watch: Callable[..., Watch]
) -> None:
    first = cgroup.child("first")
    watching = watch(f"{cgroup.path}/*")
    assert told(watching) == []
    nurseries = PIN / "nurseries"
    succeed(bpftool("map", "delete", "pinned", nurseries, "key", *key_of(cgroup)))
    (what,) = told(watching)
    assert f"blind to new cgroups in {cgroup.folder}: watched again" in what
    short = cgroup.child("short")
    run_known(short)
    short.folder.rmdir()
    assert ngrams(watching.window(short)) == KNOWN
    assert told(watching) == [what]
    assert first.path in watching.replicas()


def largest(table: BpfMap) -> bytes:
    """Key of the entry with the highest count, which is the first word of its value."""
    entries = [
        (values[i * table.value_size :][:8].tobytes()[::-1], bytes(keys[i * table.key_size :]))
        for keys, values in table.entries()
        for i in range(len(keys) // table.key_size)
    ]
    return max(entries)[1][: table.key_size]


@leaves_it_damaged
@pytest.mark.parametrize("name", ["slots", "counters", "executions", "connections"])
def test_a_count_that_is_changed_lets_the_ledger_not_add_up(watched: Watched, name: str) -> None:
    for _ in range(11):
        watched.run("calls", "110:1009")
        watched.python(SEND)
    table = BpfMap.open(PIN / name)
    try:
        if name in {"slots", "counters"}:
            table.update(largest(table), bytes(table.value_size))
        else:
            table.delete(largest(table))
    finally:
        table.close()
    windows = [o for o in watched.watch.source.observations(0.001) if isinstance(o, Window)]
    assert not all(window.ledger.adds_up for window in windows)


@pytest.mark.parametrize(
    ("are_unread", "ahead", "are_lost"),
    [(False, 1 << 12, True), (False, 1 << 30, True), (True, 1 << 30, True), (True, 1 << 9, False)],
)
def test_first_sights_that_are_to_be_skipped(
    watched: Watched, are_unread: bool, ahead: int, are_lost: bool
) -> None:
    """The reader's place in the ring buffer lies in memory that root can write.

    While it is beyond what was written, the kernel finds no room (kernel/bpf/ringbuf.c).
    """

    def new(call: str) -> set[Names]:
        return {names for names in known_run([call] * 7) if call in names}

    def sighted() -> set[Names]:
        items = [s.item for s in watched.watch.sightings]
        return {ngram_names(item) for item in items if isinstance(item, int)}

    watched.run("calls", "110:7")
    watched.watch.read()
    if are_unread:
        watched.run("calls", "104:7")
    events = BpfMap.open(PIN / "events")
    with mmap.mmap(events.descriptor, mmap.PAGESIZE, mmap.MAP_SHARED) as reader:
        (place,) = struct.unpack_from("<Q", reader)
        struct.pack_into("<Q", reader, 0, place + ahead)
    events.close()
    watched.run("calls", "102:7")
    window = watched.window()  # in which every event is sent or lost
    lost = window.ledger.events.lost
    assert lost >= len(new("getuid")) if are_lost else lost == 0
    assert sighted().isdisjoint(new("getuid")) == are_lost
    watched.run("calls", "107:7")
    window = watched.window()
    assert window.ledger.events.lost == lost
    calls = ["getppid", *["getgid"] * are_unread, "getuid", "geteuid"]
    told = {names for call in calls if call != "getuid" or not are_lost for names in new(call)}
    assert told <= sighted()
    assert ngrams(window) == sum((known_run([call] * 7) for call in calls), Counter[Names]())


@leaves_it_damaged
def test_a_program_that_is_given_the_name_of_another(watched: Watched) -> None:
    innocent = watched.programs["enter"].with_name("innocent")
    shutil.copy(watched.programs["calls"], innocent)
    watched.run(innocent)
    watched.run("calls")
    table = BpfMap.open(PIN / "images")
    value_of = {
        bytes(keys[i * 8 : i * 8 + 8]): bytes(values[i * table.value_size :][: table.value_size])
        for keys, values in table.entries()
        for i in range(len(keys) // 8)
    }
    table.close()
    (hidden,) = [key for key, value in value_of.items() if value.startswith(b"calls\0")]
    (name,) = [value for value in value_of.values() if value.startswith(b"innocent\0")]
    change = ["key", *little(int.from_bytes(hidden, "little"), 8)]
    change += ["value", *(f"{byte:#04x}" for byte in name)]
    succeed(bpftool("map", "update", "pinned", PIN / "images", *change))
    assert started(watched.window()) == {str(innocent): 1, "forged name": 1}


@leaves_it_damaged
@pytest.mark.parametrize("field", ["generation", "image_seed", "serial"])
def test_a_control_record_that_is_rewritten(
    cgroup: Cgroup, watch: Callable[..., Watch], field: str
) -> None:
    watching = watch(cgroup.path)
    assert told(watching) == []
    control = ["pinned", PIN / "control"]
    key = ["key", *little(0, 4)]
    value = json.loads(succeed(bpftool("-j", "map", "lookup", *control, *key)))["value"]
    place = int(CONTROL.fields[field][1])
    value[place : place + 8] = little(0, 8)
    succeed(bpftool("map", "update", *control, *key, "value", *value))
    (what,) = told(watching)
    assert f"control record ({field})" in what
    assert told(watching) == [what]


@leaves_it_damaged
@pytest.mark.parametrize("field", ["unattributed", "groups_exhausted"])
def test_a_count_of_losses_of_all_that_is_lowered(
    cgroup: Cgroup, watch: Callable[..., Watch], field: str
) -> None:
    watching = watch(cgroup.path)
    with LoadedProgram(PIN) as program:
        program.control[field] += 5
        assert told(watching) == []
        program.control[field] -= 3
    (what,) = told(watching)
    assert f"control record ({field})" in what
    assert told(watching) == [what]


@leaves_it_damaged
@pytest.mark.parametrize(
    "field", ["events", "events_held_back", "events_lost", "lineages_lost", "images_lost"]
)
def test_a_count_of_losses_that_is_lowered(watched: Watched, field: str) -> None:
    run_known(watched)
    with LoadedProgram(PIN) as program:
        (number,) = np.flatnonzero(program.owners["cgroup"] == cgroup_id(watched.folder))
        program.ledgers[field][number] += 5
        assert told(watched.watch) == []
        program.ledgers[field][number] -= 3
    (what,) = told(watched.watch)
    assert f"lowered the counts of what was lost of {watched.path}: " in what
    run_known(watched)
    assert told(watched.watch) == [what]


@leaves_it_damaged
@pytest.mark.parametrize("field", ["ngrams_lost", "executions_lost", "connections_lost"])
def test_a_count_of_losses_that_is_lowered_lets_the_ledger_not_add_up(
    watched: Watched, field: str
) -> None:
    def add_up() -> bool:
        windows = [o for o in watched.watch.source.observations(0.001) if isinstance(o, Window)]
        return all(window.ledger.adds_up for window in windows)

    with LoadedProgram(PIN) as program:
        (number,) = np.flatnonzero(program.owners["cgroup"] == cgroup_id(watched.folder))
        lost = program.ledgers[field]
        if field == "ngrams_lost":  # what was counted of these is elsewhere, of each processor
            counted = program.mapped("counters", COUNTER, writable=True)["calls"]
        else:
            counted = program.ledgers[field.removesuffix("_lost")]
        lost[number] += 500
        counted[number] += 500
        assert add_up()
        lost[number] -= 300
        assert not add_up()
