"""Groups of cgroups that are gone come back, and nobody takes their counts for another's."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from expected import ending_in, known_run, lineage, ngrams, started
from watching import Cgroup, OtherCommand, Watch

from baseline.kernel import layout
from baseline.kernel.collector import pinned_versions
from baseline.kernel.loaded import LoadedProgram
from baseline.kernel.program import MAX_GROUPS
from baseline.window import total

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("unloaded")]

HASHES = ("executions", "connections", "ngram_overflow", "processes", "images", "cgroup_paths")


@pytest.fixture
def parent(cgroup: Cgroup) -> Cgroup:
    """A cgroup in whose children the tests run; one stays, because reading waits for the first."""
    cgroup.child("stays")
    return cgroup


def live_and_die(parent: Cgroup, name: str, calls: int) -> str:
    """A cgroup that makes known calls and goes; its path."""
    child = parent.child(name)
    child.run("calls", f"110:{calls}", "fork", "exec", child.programs["calls"])
    child.folder.rmdir()
    return child.path


@pytest.fixture
def program() -> Iterator[Callable[[], LoadedProgram]]:
    """Opens what is loaded, to look into it."""
    opened: list[LoadedProgram] = []

    def look() -> LoadedProgram:
        (pin,) = pinned_versions()
        opened.append(LoadedProgram(pin))
        opened[-1].open()
        return opened[-1]

    yield look
    for one in opened:
        one.close()


def groups_in_use(program: LoadedProgram) -> int:
    """Groups other than that of the cgroup which stays."""
    return int(np.count_nonzero(program.owners["state"] != layout.GROUP_FREE)) - 1


def entries(program: LoadedProgram, name: str) -> int:
    size = program.maps[name].key_size
    return sum(len(keys) // size for keys, _ in program.maps[name].entries())


def read_until(read: Callable[[], object], reached: Callable[[], bool]) -> None:
    """Read, as often as it takes; a test that waits in vain ends by its timeout."""
    while not reached():
        time.sleep(0.05)
        read()


def test_what_a_cgroup_used_is_given_back(
    parent: Cgroup, watch: Callable[..., Watch], program: Callable[[], LoadedProgram]
) -> None:
    watching = watch(f"{parent.path}/*")
    path = live_and_die(parent, "one", 1009)
    loaded = program()
    assert groups_in_use(loaded) == 1
    read_until(watching.read, lambda: groups_in_use(loaded) == 0)
    read_until(watching.read, lambda: entries(loaded, "images") == 0)
    assert not loaded.slots["group_count"].any()
    assert not loaded.counters["calls"].any()
    assert not loaded.ledgers["executions"].any()
    left = {name: entries(loaded, name) for name in HASHES}
    assert left == {**dict.fromkeys(HASHES, 0), "cgroup_paths": 1}
    counted = sum(w.ngrams.total for w in watching.windows if w.replica == path)
    assert counted == 1009 + 6
    assert f"{path} has ended" in watching.said


def test_the_next_owner_of_a_number_begins_at_zero(
    parent: Cgroup, watch: Callable[..., Watch], program: Callable[[], LoadedProgram]
) -> None:
    """The queue of free numbers is emptied, so that one number is all there is."""
    watching = watch(f"{parent.path}/*")
    loaded = program()
    (number,) = [loaded.maps["free_groups"].pop() for _ in range(MAX_GROUPS - 2)][-1:]
    assert number
    for calls in (1009, 23, 10007):
        loaded.maps["free_groups"].update(b"", number)
        child = parent.child(f"c{calls}")
        child.run("calls", f"110:{calls}")
        child.folder.rmdir()
        read_until(watching.read, lambda: groups_in_use(loaded) == 0)
        assert loaded.maps["free_groups"].pop() == number
        window = watching.window(child)
        assert ngrams(window) == known_run(["getppid"] * calls)
        assert started(window) == {lineage([child.programs["calls"]]): 1}


def test_neighbours_keep_their_counts_when_slots_before_theirs_are_given_back(
    parent: Cgroup, watch: Callable[..., Watch], program: Callable[[], LoadedProgram]
) -> None:
    watching = watch(f"{parent.path}/*")
    stays = parent.child("neighbour")
    numbers = [340 + i**3 % 83 for i in range(997)]
    steps = [f"{number}:1" for number in numbers]
    goes = parent.child("goes")
    for _ in range(3):
        goes.run("calls", *steps)
        stays.run("calls", *steps)
    loaded = program()
    goes.folder.rmdir()
    read_until(watching.read, lambda: groups_in_use(loaded) == 1)
    before = ngrams(watching.window(stays))
    stays.run("calls", *steps)
    after = ngrams(watching.window(stays))
    assert after.total() == before.total() + 997 + 2
    assert set(after) == set(before)


def test_a_reader_that_is_behind_is_waited_for(
    parent: Cgroup,
    watch: Callable[..., Watch],
    command: Callable[..., OtherCommand],
    program: Callable[[], LoadedProgram],
) -> None:
    watching, slow = watch(f"{parent.path}/*"), command(f"{parent.path}/*")
    path = live_and_die(parent, "one", 1009)
    loaded = program()
    for _ in range(8):
        time.sleep(0.05)
        watching.read()
    assert groups_in_use(loaded) == 1
    assert slow.read() == {f"{parent.path}/stays": [0, 0, 0], path: [1009 + 6, 2, 0]}
    read_until(lambda: (watching.read(), slow.read()), lambda: groups_in_use(loaded) == 0)


def test_a_killed_reader_is_waited_for(
    parent: Cgroup,
    watch: Callable[..., Watch],
    command: Callable[..., OtherCommand],
    program: Callable[[], LoadedProgram],
) -> None:
    watching, killed = watch(f"{parent.path}/*"), command(f"{parent.path}/*")
    assert killed.read() == {f"{parent.path}/stays": [0, 0, 0]}
    killed.kill()
    path = live_and_die(parent, "one", 1009)
    loaded = program()
    for _ in range(8):
        time.sleep(0.05)
        watching.read()
    assert groups_in_use(loaded) == 1
    successor = command(f"{parent.path}/*")
    assert successor.read() == {f"{parent.path}/stays": [0, 0, 0], path: [1009 + 6, 2, 0]}
    read_until(lambda: (watching.read(), successor.read()), lambda: groups_in_use(loaded) == 0)


def test_what_nobody_tracks_gives_its_number_back(
    parent: Cgroup, watch: Callable[..., Watch], program: Callable[[], LoadedProgram]
) -> None:
    """A sibling of what is tracked gets a number when it appears, and lives on without."""
    watching = watch(f"{parent.path}/web*", f"{parent.path}/stays")
    other, web = parent.child("other"), parent.child("web")
    waiting = other.start_waiting("calls", "say", "wait", "110:1009")
    loaded = program()
    read_until(watching.read, lambda: groups_in_use(loaded) == 1)
    waiting.communicate(b".")
    web.run("calls", "110:23")
    assert ngrams(watching.window(web)) == known_run(["getppid"] * 23)
    assert watching.replicas() == {web.path, f"{parent.path}/stays"}


def test_what_was_waited_for_before_the_end_does_not_count(
    parent: Cgroup, watch: Callable[..., Watch], program: Callable[[], LoadedProgram]
) -> None:
    """Another command may have stamped a group that was about to be taken."""
    watching = watch(f"{parent.path}/*")
    loaded = program()
    child = parent.child("one")
    (number,) = np.flatnonzero(loaded.owners["cgroup"] == child.folder.stat().st_ino)
    loaded.owners["epoch"][number] = 1
    child.run("calls", "110:1009")
    child.folder.rmdir()
    assert loaded.owners["epoch"][number] == 0
    read_until(watching.read, lambda: groups_in_use(loaded) == 0)
    assert ngrams(watching.window(child)) == known_run(["getppid"] * 1009)


@pytest.mark.parametrize("is_tracked", [True, False])
def test_what_a_command_was_killed_in_the_middle_of_taking_is_finished(
    parent: Cgroup,
    watch: Callable[..., Watch],
    command: Callable[..., OtherCommand],
    program: Callable[[], LoadedProgram],
    is_tracked: bool,
) -> None:
    """The number had been taken from the queue, and its cgroup was tracked by it or not yet."""
    child = parent.child("child")
    command(f"{parent.path}/stays").end()
    loaded = program()
    cgroup = child.folder.stat().st_ino
    popped = loaded.maps["free_groups"].pop()
    assert popped
    number = int.from_bytes(popped, "little")
    loaded.maps["cgroup_paths"].update(cgroup.to_bytes(8, "little"), f"/{child.path}".encode())
    loaded.owners["cgroup"][number] = cgroup
    loaded.owners["state"][number] = layout.GROUP_TAKING
    if is_tracked:
        loaded.maps["tracked"].insert(cgroup.to_bytes(8, "little"), popped)
    watching = watch(child.path)
    wanted = layout.GROUP_TRACKED if is_tracked else layout.GROUP_FREE
    read_until(watching.read, lambda: loaded.owners["state"][number] == wanted)
    child.run("calls", "110:1009")
    assert ngrams(watching.window(child)) == known_run(["getppid"] * 1009)
    assert loaded.owners["cgroup"][number] == (cgroup if is_tracked else 0)
    assert watching.interferences == []


@pytest.mark.parametrize("is_meant", [True, False], ids=["a workload", "below one"])
def test_what_lives_while_a_window_is_taken_is_forgotten(
    cgroup: Cgroup,
    watch: Callable[..., Watch],
    command: Callable[..., OtherCommand],
    is_meant: bool,
) -> None:
    """Another command wipes its counts as soon as we have read them for the first time."""
    stays = cgroup.child("stays")
    other = command(stays.path)  # takes the first sights, by which we should know at once
    watching = watch(f"{cgroup.path}/*") if is_meant else watch(cgroup.path, stays.path)
    tracker = watching.source._reading.tracker
    before = tracker.groups.copy()
    took: list[bool] = []

    def take(_: bool) -> int:
        took.append(True)
        if len(took) == 2:  # the first is before anything was read
            live_and_die(cgroup, "short", 1009)
        return 0

    for _ in watching.source.observations(0.001, commit=take):
        pass
    for _ in range(2):
        other.read()  # says that the cgroup has ended, and that it has seen that
    time.sleep(0.2)  # calls have settled
    for _ in range(3):
        watching.read()
        other.read()
    whose = f"{cgroup.path}/short" if is_meant else cgroup.path
    own = [window for window in watching.windows if window.replica == whose]
    assert ending_in(ngrams(total(own)), "getppid") == 1009
    assert tracker.groups == before
    assert tracker.nested == {}
