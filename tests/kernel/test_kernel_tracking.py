"""Which cgroups are counted, from which moment on, and by whom."""

from collections.abc import Callable

import pytest
from expected import ending_in, histories, known_run, lineage, ngrams, started
from watching import Cgroup, OtherCommand, Watch, release

from baseline.kernel.bpf_syscall import BpfMap
from baseline.kernel.program import PIN_ROOT, Settings, fingerprint
from baseline.workloads.cgroups import cgroup_id

pytestmark = pytest.mark.kernel

KNOWN = known_run(["getppid"] * 1009)
"""What ``calls 110:1009`` does."""


def run_known(cgroup: Cgroup, how: str = "join") -> None:
    cgroup.run("calls", "110:1009", how=how)


def is_tracked(cgroup: Cgroup) -> bool:
    """Whether the kernel counts this cgroup as a workload."""
    table = BpfMap.open(PIN_ROOT / fingerprint(Settings()) / "tracked")
    try:
        return table.lookup(cgroup_id(cgroup.folder).to_bytes(8, "little")) is not None
    finally:
        table.close()


@pytest.mark.parametrize("how", ["join", "clone"])
def test_a_cgroup_that_appears_is_counted_from_its_first_call(
    cgroup: Cgroup, watch: Callable[..., Watch], how: str
) -> None:
    watching = watch(f"{cgroup.path}/*")
    child = cgroup.child("web")
    run_known(child, how)
    assert ngrams(watching.window(child)) == KNOWN
    assert started(watching.window(child)) == {lineage([cgroup.programs["calls"]]): 1}


def test_two_levels_of_globs(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    there = cgroup.child("there")
    watching = watch(f"{cgroup.path}/*/*")
    for child in (there.child("a"), cgroup.child("new").child("b")):
        run_known(child)
        assert ngrams(watching.window(child)) == KNOWN
    run_known(there)
    assert watching.replicas() == {f"{cgroup.path}/there/a", f"{cgroup.path}/new/b"}


def test_globs_of_several_depths(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    watching = watch(f"{cgroup.path}/*", f"{cgroup.path}/*/*/*")
    outer = cgroup.child("outer")
    inner = outer.child("middle").child("inner")
    run_known(outer)
    run_known(inner)
    assert ngrams(watching.window(outer)) == KNOWN
    assert ngrams(watching.window(inner)) == KNOWN


def test_cgroups_that_live_for_an_instant(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    stays = cgroup.child("stays")
    watching = watch(f"{cgroup.path}/*")
    for _ in range(3):
        short = [cgroup.child(f"short{i}") for i in range(11)]
        for child in short:
            run_known(child)
            child.folder.rmdir()
        for child in short:
            assert ngrams(watching.window(child)) == KNOWN
        watching.read()
        watching.windows.clear()
    assert len([line for line in watching.said if line.endswith("has ended")]) == 33
    assert watching.replicas() == {stays.path}


def test_a_long_path(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    """As deep as pods of a Kubernetes node that is a container itself."""
    deep = cgroup.child("docker-" + "a" * 64).child("kubelet-kubepods-burstable.slice")
    deep = deep.child("kubelet-kubepods-burstable-pod" + "b" * 36 + ".slice")
    deep = deep.child("p" * 64)
    stays = cgroup.child("stays")
    watching = watch(f"{deep.path}/*", stays.path)
    container = deep.child("cri-containerd-" + "c" * 64 + ".scope")
    assert len(container.path) > 300
    run_known(container)
    container.folder.rmdir()
    assert ngrams(watching.window(container)) == KNOWN


def test_parents_come_and_go_without_end(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    """A node creates and removes pods for months: nothing of them may add up."""
    watching = watch(f"{cgroup.path}/*/*")
    for number in range(4099):
        parent = cgroup.folder / f"pod{number}"
        parent.mkdir()
        parent.rmdir()
    pod = cgroup.child("pod")
    container = pod.child("container")
    run_known(container)
    assert ngrams(watching.window(container)) == KNOWN


def test_a_cgroup_that_is_removed_and_made_again(
    cgroup: Cgroup, watch: Callable[..., Watch]
) -> None:
    """A service that restarts."""
    service = cgroup.child("service")
    watching = watch(service.path)
    for _ in range(3):
        run_known(service)
        service.folder.rmdir()
        service.folder.mkdir()
        run_known(service)
        before = len(watching.windows)
        assert ngrams(watching.window(service)) == KNOWN + KNOWN
        watching.read()
        assert [w.replica for w in watching.read()] == [service.path], "the old one has ended"
        assert len(watching.windows) > before
        watching.windows.clear()


def test_what_does_not_match_is_let_go(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    watching = watch(f"{cgroup.path}/web-*")
    web, other = cgroup.child("web-1"), cgroup.child("db-1")
    assert is_tracked(other), "until somebody looks at its name"
    process = other.start_waiting("calls", "110:11", "say", "wait", "110:11")
    run_known(web)
    watching.read()
    assert is_tracked(web)
    assert not is_tracked(other)
    release(process)
    run_known(other)
    run_known(web)
    assert ngrams(watching.window(web)) == KNOWN + KNOWN
    assert watching.replicas() == {web.path}
    assert {sighting.replica for sighting in watching.sightings} == {web.path}


def test_what_is_not_tracked_appears_nowhere(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    tracked, sibling = cgroup.child("tracked"), cgroup.child("sibling")
    watching = watch(tracked.path)
    run_known(sibling)
    run_known(cgroup)
    run_known(tracked)
    assert ngrams(watching.window(tracked)) == KNOWN
    assert watching.replicas() == {tracked.path}
    assert {sighting.replica for sighting in watching.sightings} == {tracked.path}


def test_a_subtree_belongs_to_its_nearest_tracked_cgroup(
    cgroup: Cgroup, watch: Callable[..., Watch]
) -> None:
    inner = cgroup.child("inner")
    below, beside = inner.child("below").child("deep"), cgroup.child("beside")
    watching = watch(cgroup.path, inner.path)
    cgroup.run("calls", "110:7")
    beside.run("calls", "110:11")
    inner.run("calls", "110:13")
    below.run("calls", "110:17")
    assert ending_in(ngrams(watching.window(cgroup)), "getppid") == 7 + 11
    assert ending_in(ngrams(watching.window(inner)), "getppid") == 13 + 17


def test_what_appears_beside_a_nested_workload_belongs_to_the_one_above(
    cgroup: Cgroup, watch: Callable[..., Watch]
) -> None:
    """The kernel cannot know that it is not meant, and gives it a group of its own."""
    inner = cgroup.child("inner")
    watching = watch(cgroup.path, inner.path)
    short, stays = cgroup.child("short"), cgroup.child("stays")
    assert is_tracked(short)
    run_known(short)
    short.folder.rmdir()
    process = stays.start_waiting("calls", "110:7", "say", "wait", "110:11")
    below = stays.child("below")
    run_known(below)
    assert ending_in(ngrams(watching.window(cgroup)), "getppid") == 2 * 1009 + 7
    assert not is_tracked(stays), "its name is known by now"
    release(process)
    run_known(stays)
    run_known(inner)
    window = watching.window(cgroup)
    assert ending_in(ngrams(window), "getppid") == 3 * 1009 + 7 + 11
    assert started(window) == {lineage([cgroup.programs["calls"]]): 4}
    assert ngrams(watching.window(inner)) == KNOWN
    assert {its.replica for its in watching.sightings} == {cgroup.path, inner.path}
    assert watching.replicas() == {cgroup.path, inner.path}


def test_what_another_command_counts_apart_belongs_to_us_as_well(
    cgroup: Cgroup, watch: Callable[..., Watch], command: Callable[..., OtherCommand]
) -> None:
    other = command(f"{cgroup.path}/*")
    early = cgroup.child("early")
    run_known(early)
    watching = watch(cgroup.path)
    late = cgroup.child("late")
    for child in (early, late):
        run_known(child)
    assert ngrams(watching.window(cgroup)) == KNOWN + KNOWN
    assert other.read() == {early.path: [2022, 2, 0], late.path: [1011, 1, 0]}


@pytest.mark.usefixtures("unloaded")
def test_tracking_a_process_that_was_let_alone_so_far(
    cgroup: Cgroup, watch: Callable[..., Watch]
) -> None:
    other, later = cgroup.child("other"), cgroup.child("later")
    watch(other.path)
    process = later.start_waiting("calls", "110:7", "say", "wait", "102:11")
    watching = watch(later.path)
    release(process)
    assert ngrams(watching.window(later)) == histories(["getuid"] * 11 + ["exit_group"])


def test_a_name_of_its_own(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    watching = watch(f"shop/web={cgroup.path}")
    run_known(cgroup)
    assert {window.workload for window in watching.read()} == {"shop/web"}
    assert watching.said == [f"Counting {cgroup.path} as shop/web"]


def test_two_commands_see_the_same(
    cgroup: Cgroup, watch: Callable[..., Watch], command: Callable[..., OtherCommand]
) -> None:
    other = command(f"{cgroup.path}/*")
    watching = watch(f"{cgroup.path}/*")
    counts = {f"{cgroup.path}/web": [1011, 1, 0]}
    web = cgroup.child("web")
    run_known(web)
    assert other.read() == counts
    assert ngrams(watching.window(web)) == KNOWN
    run_known(web)
    assert ngrams(watching.window(web)) == KNOWN + KNOWN
    assert other.read() == {f"{cgroup.path}/web": [2022, 2, 0]}


def test_a_command_that_looks_rarely_misses_no_short_life(
    cgroup: Cgroup, watch: Callable[..., Watch], command: Callable[..., OtherCommand]
) -> None:
    stays = cgroup.child("stays")
    rarely = watch(f"{cgroup.path}/*")
    often = command(f"{cgroup.path}/*")
    short = cgroup.child("short")
    run_known(short)
    short.folder.rmdir()
    for _ in range(3):
        assert often.read() == {stays.path: [0, 0, 0], short.path: [1011, 1, 0]}
    assert ngrams(rarely.window(short)) == KNOWN


def test_each_command_has_what_it_asked_for(
    cgroup: Cgroup, watch: Callable[..., Watch], command: Callable[..., OtherCommand]
) -> None:
    other = command(f"{cgroup.path}/db-*")
    watching = watch(f"{cgroup.path}/web-*")
    web, database = cgroup.child("web-1"), cgroup.child("db-1")
    run_known(web)
    run_known(database)
    for _ in range(2):
        assert watching.replicas() == {web.path}
        assert other.read() == {database.path: [1011, 1, 0]}
    assert ngrams(watching.window(web)) == KNOWN


def test_a_workload_may_move_below(cgroup: Cgroup, watch: Callable[..., Watch]) -> None:
    """A tracked cgroup that a manager nests: its processes stay the same workload."""
    watching = watch(cgroup.path)
    process = cgroup.start_waiting("calls", "110:7", "say", "wait", "110:11")
    cgroup.child("leaf").take(process)
    release(process)
    calls = ["getppid"] * 7 + ["write", "read"] + ["getppid"] * 11
    assert ngrams(watching.window(cgroup)) == known_run(calls)
