"""What container managers and the kernel leave in files: a name or none, a mount or none."""

import json
from pathlib import Path

import pytest
from fuzzing import changed_bytes, changed_document, fuzzed, refusal_of
from hypothesis import given
from hypothesis import strategies as st

from baseline.errors import KernelError, UsageError
from baseline.recordings.tables import MAX_TEXT
from baseline.workloads.cgroups import CgroupSelector, cgroup2_mount, first_match
from baseline.workloads.naming import pod_owner, workload_name

ID = "3f0d" * 16
ANNOTATIONS = {
    "io.kubernetes.cri.sandbox-namespace": "shop",
    "io.kubernetes.cri.sandbox-name": "web-7d4b9c6f5d-x2x4z",
    "io.kubernetes.cri.container-name": "nginx",
    "nerdctl/name": "web",
}
DOCUMENTS: dict[str, object] = {
    f"run/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json": {
        "ociVersion": "1.1.0",
        "annotations": ANNOTATIONS,
    },
    f"run/runc/{ID}/state.json": {
        "id": ID,
        "config": {"labels": [f"{key}={value}" for key, value in ANNOTATIONS.items()]},
    },
    f"var/lib/docker/containers/{ID}/config.v2.json": {"ID": ID, "Name": "/web"},
    "var/lib/containers/storage/overlay-containers/containers.json": [
        {"id": ID, "names": ["web", "web-1"]},
    ],
}


@given(st.data())
@fuzzed(300)
def test_any_file_of_a_container_manager_gives_a_name(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    root = tmp_path_factory.getbasetemp() / "root"
    for path, document in DOCUMENTS.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        kept = data.draw(st.booleans())
        content = json.dumps(document).encode()
        (root / path).write_bytes(content if kept else data.draw(changed_document(document)))
    name = workload_name(f"system.slice/docker-{ID}.scope", root)
    assert name
    assert name.isprintable()
    assert len(name.encode()) <= MAX_TEXT


@pytest.mark.parametrize("path", DOCUMENTS)
@pytest.mark.parametrize("name", ["x" * 10**6, "", ["web"], {"web": 1}, [[]] * 9, 7, None])
def test_a_name_that_is_none_is_not_taken(tmp_path: Path, path: str, name: object) -> None:
    documents: dict[str, object] = {
        "config.json": {"annotations": {"nerdctl/name": name}},
        "state.json": {"config": {"labels": [name, f"nerdctl/name={'x' * 10**6}"]}},
        "config.v2.json": {"Name": name},
        "containers.json": [{"id": ID, "names": [name]}],
    }
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(json.dumps(documents[Path(path).name]))
    assert workload_name(f"docker/{ID}", tmp_path) == ID[:12]


@given(st.text())
@fuzzed(300)
def test_any_pod_has_an_owner(pod: str) -> None:
    assert pod.startswith(pod_owner(pod))


MOUNTS = b"""sysfs /sys sysfs rw,nosuid 0 0
/dev/vda1 / ext4 rw 0 0
cgroup2 /sys/fs/cgroup\\040two cgroup2 rw,nosuid,nodev,noexec,relatime 0 0
"""


@given(changed_bytes(MOUNTS) | st.binary(max_size=99))
@fuzzed(300)
def test_any_table_of_mounts_has_the_mount_or_none(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    table = tmp_path_factory.getbasetemp() / "mounts"
    table.write_bytes(content)
    refusal_of(lambda: bytes(cgroup2_mount(table)), KernelError)


@pytest.mark.parametrize("name", ["a\x0cb", "a\x85b", "a\u2028b", "a\rb", "ü", "\udcff"])
def test_what_other_mounts_are_called_does_not_matter(tmp_path: Path, name: str) -> None:
    table = tmp_path / "mounts"
    table.write_bytes(f"none /mnt/{name} tmpfs rw 0 0\n".encode(errors="surrogateescape") + MOUNTS)
    assert cgroup2_mount(table) == Path("/sys/fs/cgroup two")


selectors = st.one_of(
    st.text(st.characters(exclude_categories=[]), max_size=30),
    st.text("ab*?[]!-^\\/=.", max_size=30),
    st.text("a/", min_size=200, max_size=400),
    st.sampled_from(["x" * 256, "x" * 5000, "a/" * 3000, "[" * 2000, "*" * 2000, "?*" * 50]),
)


@given(selectors)
@fuzzed(500)
def test_any_selector_is_refused_or_finds_what_it_means(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    mount = tmp_path_factory.getbasetemp() / "cgroup"
    (mount / "a" / "b").mkdir(parents=True, exist_ok=True)

    def use() -> None:
        selector = CgroupSelector.parse(text, mount)
        found = selector.existing()
        assert all(selector.matches(path) for path in found)
        assert all(path.startswith(selector.base) for path in found)
        assert (selector in (first_match([selector], path) for path in found)) == bool(found)

    refusal_of(use, UsageError)
