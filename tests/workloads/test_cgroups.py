from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline.errors import KernelError, UsageError
from baseline.workloads.cgroups import CgroupSelector, cgroup2_mount, cgroup_id, first_match

MOUNT = Path("/sys/fs/cgroup")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path in ("demo/web", "demo/db/replica", "system.slice/nginx.service", "other"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "demo" / "cgroup.procs").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        ("cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n", "/sys/fs/cgroup"),
        (
            "cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n"
            "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n",
            "/sys/fs/cgroup/unified",
        ),
        ("none /mnt/c\\040two cgroup2 rw 0 0\n", "/mnt/c two"),
    ],
)
def test_the_mount_is_found(tmp_path: Path, mounts: str, expected: str) -> None:
    (tmp_path / "mounts").write_text("proc /proc proc rw 0 0\n" + mounts)
    assert cgroup2_mount(tmp_path / "mounts") == Path(expected)


def test_no_mount_says_how_to_mount(tmp_path: Path) -> None:
    (tmp_path / "mounts").write_text("cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n")
    with pytest.raises(KernelError, match=r"cgroup2 is not mounted\. Mount it: mount -t cgroup2"):
        cgroup2_mount(tmp_path / "mounts")


def test_the_id_is_the_inode_number(tree: Path) -> None:
    assert cgroup_id(tree / "demo") == (tree / "demo").stat().st_ino
    assert cgroup_id(tree / "demo") != cgroup_id(tree / "other")


@pytest.mark.parametrize("text", ["demo/web", "/demo/web", "/sys/fs/cgroup/demo/web", "demo//web/"])
def test_a_path_may_be_written_in_these_ways(text: str) -> None:
    assert CgroupSelector.parse(text, MOUNT) == CgroupSelector(MOUNT, ("demo", "web"))


def test_a_name_comes_before_the_path_unless_that_starts_with_a_slash() -> None:
    named = CgroupSelector.parse("shop/web=demo/*", MOUNT)
    assert (named.name, named.parts) == ("shop/web", ("demo", "*"))
    assert CgroupSelector.parse("/a=b/c", MOUNT) == CgroupSelector(MOUNT, ("a=b", "c"))
    assert [str(s) for s in (named, CgroupSelector.parse("/a", MOUNT))] == ["shop/web=demo/*", "a"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("web=", "is empty"),
        ("/", "whole machine"),
        ("/sys/fs/cgroup", "whole machine"),
        ("=demo", "no name for a workload"),
        ("my shop=demo", "no name for a workload"),
        ("../etc=demo", "no name for a workload"),
        (f"{'n' * 129}=demo", "no name for a workload"),
        ("demo/../other", "in its path"),
        ("./demo", "in its path"),
        ("demo/**", "has '**'"),
        ("demo/[ab", "without its ]"),
        ("demo/a\nb", "no cgroup has"),
        ("/sys/fs/bpf/demo", "is not below /sys/fs/cgroup"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, problem: str) -> None:
    with pytest.raises(UsageError) as raised:
        CgroupSelector.parse(text, MOUNT)
    assert problem in raised.value.problem
    assert repr(text) in raised.value.problem
    assert raised.value.way_out


@pytest.mark.parametrize(
    ("text", "base", "depth"),
    [
        ("demo/web", "demo/web", 0),
        ("demo/*", "demo", 1),
        ("system.slice/nginx*.service", "system.slice", 1),
        ("kubepods.slice/*/*", "kubepods.slice", 2),
        ("demo/*/payload", "demo", 2),
        ("*", "", 1),
    ],
)
def test_base_and_depth(text: str, base: str, depth: int) -> None:
    selector = CgroupSelector.parse(text, MOUNT)
    assert (selector.base, selector.depth) == (base, depth)


def test_a_wildcard_never_stands_for_a_slash() -> None:
    children = CgroupSelector.parse("demo/*", MOUNT)
    assert children.matches("demo/web")
    assert children.matches("/demo/web")
    assert not children.matches("demo")
    assert not children.matches("demo/db/replica")
    assert not CgroupSelector.parse("demo/DB", MOUNT).matches("demo/db")
    assert CgroupSelector.parse("demo/[!w]?", MOUNT).matches("demo/db")


def test_existing_are_the_folders_that_match_now(tree: Path) -> None:
    def existing(text: str) -> list[str]:
        return CgroupSelector.parse(text, tree).existing()

    assert existing("demo/*") == ["demo/db", "demo/web"]
    assert existing("*/*/*") == ["demo/db/replica"]
    assert existing("demo/web") == ["demo/web"]
    assert existing("*/nginx*.service") == ["system.slice/nginx.service"]
    assert existing("demo/cgroup.procs") == []
    assert existing("later/*") == []


def test_of_overlapping_selectors_the_first_given_wins(tree: Path) -> None:
    one = CgroupSelector.parse("front=demo/web", tree)
    every = CgroupSelector.parse("demo/*", tree)
    assert first_match([one, every], "demo/web") is one
    assert first_match([every, one], "demo/web") is every
    assert first_match([one, every], "other") is None


_PART = st.text("ab.*?[]!", min_size=1, max_size=4)


@given(st.lists(_PART, min_size=1, max_size=3))
def test_whatever_is_accepted_exists_exactly_where_it_matches(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    mount = tmp_path_factory.getbasetemp() / "cgroups"
    paths = [f"{a}/{b}" for a in ("a", "ab", "b.a") for b in ("a", "bb", ".b")]
    for path in paths:
        (mount / path).mkdir(parents=True, exist_ok=True)
    try:
        selector = CgroupSelector.parse("/".join(parts), mount)
    except UsageError:
        return
    everything = paths + sorted({path.split("/")[0] for path in paths})
    assert selector.existing() == sorted(p for p in everything if selector.matches(p))
    assert not set("*?[") & set(selector.base)
