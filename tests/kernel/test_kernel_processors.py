"""Tables are sized by the processors that there may ever be, and outlive those that go away."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from expected import ending_in, known_run, ngrams
from requirements import missing
from watching import Cgroup, Watch, Watched

from baseline.kernel.bpf_syscall import BpfMap
from baseline.kernel.program import MAX_GROUPS, PIN_ROOT, Settings, fingerprint, possible_cpus
from baseline.syscalls import symbol_name
from baseline.window import Tally
from baseline.workloads.cgroups import cgroup_id

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("unloaded")]

FIRST_UNUSED_NUMBER = 340
"""No call has this or one of the following 83 numbers; the kernel refuses them."""

PROCESSORS = Path("/sys/devices/system/cpu")


@pytest.fixture(scope="module")
def settings() -> Settings:
    """N-gram tables with hardly any room, so that the per-CPU overflow is used."""
    return Settings(slot_bits=4, shares=1)


def listed(name: str) -> set[int]:
    """Processors as the kernel lists them: ``0-3,8``."""
    ranges = [
        [int(end) for end in part.split("-")]
        for part in (PROCESSORS / name).read_text().strip().split(",")
    ]
    return {number for ends in ranges for number in range(ends[0], ends[-1] + 1)}


def run_on(processor: int, cgroup: Cgroup, *steps: str) -> None:
    """Run ``calls`` on one processor."""
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    try:
        process = cgroup.start("calls", *steps)
    finally:
        os.sched_setaffinity(0, usual)
    assert process.wait() == 0


def lookup(settings: Settings, name: str, key: int, size: int) -> int:
    """The number that a value in one of the maps begins with."""
    table = BpfMap.open(PIN_ROOT / fingerprint(settings) / name)
    value = table.lookup(key.to_bytes(size, "little"))
    table.close()
    assert value is not None
    return int.from_bytes(value[:8], "little")


def test_tables_have_room_for_every_possible_processor(
    cgroup: Cgroup, watch: Callable[..., Watch], settings: Settings
) -> None:
    watch(cgroup.path)
    possible = max(listed("possible")) + 1
    assert possible == possible_cpus() >= len(listed("online"))
    entries = {}
    for name in ("slots", "counters"):
        table = BpfMap.open(PIN_ROOT / fingerprint(settings) / name)
        entries[name] = table.max_entries
        table.close()
    assert entries == {"slots": possible << settings.slot_bits, "counters": possible * MAX_GROUPS}


def test_every_processor_counts_in_a_table_of_its_own(watched: Watched, settings: Settings) -> None:
    online = sorted(os.sched_getaffinity(0))
    for processor in online:
        run_on(processor, watched, "110:1009")
    known = known_run(["getppid"] * 1009)
    assert ngrams(watched.window()) == {names: len(online) * n for names, n in known.items()}
    group = lookup(settings, "tracked", cgroup_id(watched.folder), 8)
    for processor in online:
        assert lookup(settings, "counters", processor * MAX_GROUPS + group, 4) == 1011


@pytest.fixture
def processor_to_remove() -> Iterator[tuple[int, Path]]:
    """One that can be taken away, and the file that does it; it is back at the end."""
    if os.environ.get("BASELINE_REQUIRE_KERNEL") != "1":
        pytest.skip("takes a processor away: only with BASELINE_REQUIRE_KERNEL=1")
    removable = [n for n in listed("online") if (PROCESSORS / f"cpu{n}/online").exists()]
    if len(listed("online")) < 2 or not removable:
        missing("No processor of this machine can be taken away")
    number = max(removable)
    switch = PROCESSORS / f"cpu{number}/online"
    usual = os.sched_getaffinity(0)
    try:
        yield number, switch
    finally:
        switch.write_text("1")
        os.sched_setaffinity(0, usual)


def test_counts_outlive_a_processor(
    watched: Watched, processor_to_remove: tuple[int, Path]
) -> None:
    """What it counted stays, in the table and in the overflow; it counts on when it is back."""
    number, switch = processor_to_remove
    numbers = [FIRST_UNUSED_NUMBER + i**3 % 83 for i in range(1009)]
    steps = [f"{call}:1" for call in numbers]
    wanted = known_run([symbol_name(call + 1) for call in numbers])

    run_on(number, watched, *steps)
    switch.write_text("0")
    assert number not in listed("online")
    first = watched.window()
    assert ngrams(first) == wanted
    assert first.ledger.ngrams.overflowed > 0, "so that the per-CPU overflow was read"
    watched.run("calls", "110:1009")
    assert ending_in(ngrams(watched.window()), "getppid") == 1009

    switch.write_text("1")
    run_on(number, watched, *steps)
    last = watched.window()
    tally = last.ledger.ngrams
    assert tally == Tally(3 * 1011, tally.recorded, tally.overflowed, 0)
    assert {names: ngrams(last)[names] for names in wanted if names != ("execve",)} == {
        names: 2 * count for names, count in wanted.items() if names != ("execve",)
    }


def test_a_processor_that_comes_after_loading(
    cgroup: Cgroup, watch: Callable[..., Watch], processor_to_remove: tuple[int, Path]
) -> None:
    number, switch = processor_to_remove
    switch.write_text("0")
    watching = watch(cgroup.path)
    switch.write_text("1")
    run_on(number, cgroup, "110:1009")
    assert ngrams(watching.window(cgroup)) == known_run(["getppid"] * 1009)
