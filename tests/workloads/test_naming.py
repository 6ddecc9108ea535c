import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline.container import Container
from baseline.workloads.naming import container_of, pod_owner, workload_name

ID = "3f0d" * 16
CONTAINERD = f"run/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json"
POD_CGROUP = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podab_12.slice"


def put(root: Path, path: str, document: object) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(document if isinstance(document, str) else json.dumps(document))


@pytest.mark.parametrize(
    ("cgroup", "name"),
    [
        ("system.slice/nginx.service", "nginx.service"),
        ("system.slice/system-getty.slice/getty@tty1.service", "getty@.service"),
        ("user.slice/user-0.slice/session-3.scope", "session-3.scope"),
        (
            "user.slice/user-1000.slice/user@1000.service/app.slice/editor.service",
            "user@.service/editor.service",
        ),
        ("system.slice/nginx.service/worker", "nginx.service/worker"),
        ("system.slice", "system.slice"),
        ("demo.slice/web", "demo.slice/web"),
        ("demo/web", "demo/web"),
        ("demo/\x1b[2J\udcff", "demo/?[2J?"),
    ],
)
def test_units_and_plain_cgroups(tmp_path: Path, cgroup: str, name: str) -> None:
    assert workload_name(cgroup, tmp_path) == name


@pytest.mark.parametrize(
    "cgroup",
    [
        f"system.slice/docker-{ID}.scope",
        f"docker/{ID}",
        f"machine.slice/libpod-{ID}.scope/container",
        f"{POD_CGROUP}/cri-containerd-{ID}.scope",
        f"kubepods/burstable/podab-12/{ID}",
        f"system.slice/containerd.service/kubepods-podab.slice:cri-containerd:{ID}",
    ],
)
def test_a_container_nobody_knows_has_its_short_id(tmp_path: Path, cgroup: str) -> None:
    assert workload_name(cgroup, tmp_path) == "3f0d3f0d3f0d"


def test_containerd_on_kubernetes(tmp_path: Path) -> None:
    annotations = {
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.container-name": "nginx",
        "io.kubernetes.cri.image-name": "docker.io/library/nginx:1.27",
        "io.kubernetes.cri.sandbox-name": "web-5d78c9869d-x7k2p",
        "io.kubernetes.cri.sandbox-namespace": "shop",
    }
    put(tmp_path, CONTAINERD, {"ociVersion": "1.1.0", "annotations": annotations})
    assert workload_name(f"{POD_CGROUP}/cri-containerd-{ID}.scope", tmp_path) == "shop/web/nginx"
    del annotations["io.kubernetes.cri.container-name"]
    put(tmp_path, CONTAINERD, {"ociVersion": "1.1.0", "annotations": annotations})
    assert workload_name(f"{POD_CGROUP}/cri-containerd-{ID}.scope", tmp_path) == "shop/web/pause"


def test_cri_o_on_kubernetes(tmp_path: Path) -> None:
    put(
        tmp_path,
        f"run/containers/storage/overlay-containers/{ID}/userdata/config.json",
        {
            "annotations": {
                "io.kubernetes.container.name": "redis",
                "io.kubernetes.pod.name": "cache-0",
                "io.kubernetes.pod.namespace": "shop",
            }
        },
    )
    assert workload_name(f"{POD_CGROUP}/crio-{ID}.scope", tmp_path) == "shop/cache/redis"


def test_the_state_of_runc_alone(tmp_path: Path) -> None:
    labels = [
        "bundle=/run/bundle",
        "io.kubernetes.cri.container-name=app",
        "io.kubernetes.cri.sandbox-name=sync-28391040-bcdfg",
        "io.kubernetes.cri.sandbox-namespace=jobs",
    ]
    put(
        tmp_path,
        f"run/containerd/runc/k8s.io/{ID}/state.json",
        {"id": ID, "config": {"labels": labels}},
    )
    assert workload_name(f"kubepods/podab/{ID}", tmp_path) == "jobs/sync/app"


def test_docker(tmp_path: Path) -> None:
    put(
        tmp_path,
        f"var/lib/docker/containers/{ID}/config.v2.json",
        {"ID": ID, "Name": "/shop-web-1", "Config": {"Image": "nginx:1.27"}},
    )
    assert workload_name(f"system.slice/docker-{ID}.scope", tmp_path) == "shop-web-1"


def test_the_container_of_a_cgroup(tmp_path: Path) -> None:
    cgroup = f"system.slice/docker-{ID}.scope/inner"
    assert container_of("system.slice/nginx.service", tmp_path) is None
    assert container_of(cgroup, tmp_path) == Container(ID, "")
    put(tmp_path, f"var/lib/docker/containers/{ID}/config.v2.json", {"Name": "/shop-web-1"})
    assert container_of(cgroup, tmp_path) == Container(ID, "shop-web-1")


@pytest.mark.parametrize("file", ["containers.json", "volatile-containers.json"])
def test_podman(tmp_path: Path, file: str) -> None:
    put(
        tmp_path,
        f"var/lib/containers/storage/overlay-containers/{file}",
        [{"id": "0" * 64, "names": ["other"]}, {"id": ID, "names": ["db"], "image": "ab"}],
    )
    assert workload_name(f"machine.slice/libpod-{ID}.scope", tmp_path) == "db"


def test_nerdctl(tmp_path: Path) -> None:
    put(tmp_path, CONTAINERD, {"annotations": {"nerdctl/name": "mail"}})
    assert workload_name(f"system.slice/nerdctl-{ID}.scope", tmp_path) == "mail"


@pytest.mark.parametrize(
    "document",
    ["", "{", "[" * 100_000, "[1]", '"text"', '{"annotations": [1]}', '{"config": {"labels": 1}}'],
)
def test_a_damaged_file_costs_the_name_alone(tmp_path: Path, document: str) -> None:
    put(tmp_path, CONTAINERD, document)
    put(tmp_path, f"var/lib/docker/containers/{ID}/config.v2.json", document)
    put(tmp_path, "var/lib/containers/storage/overlay-containers/containers.json", document)
    assert workload_name(f"docker/{ID}", tmp_path) == ID[:12]


@pytest.mark.parametrize(
    ("pod", "owner"),
    [
        ("coredns-5d78c9869d-x7k2p", "coredns"),
        ("node-exporter-x7k2p", "node-exporter"),
        ("backup-28391040-zwxvt", "backup"),
        ("redis-0", "redis"),
        ("api-debug", "api-debug"),
        ("etcd-control-plane", "etcd-control-plane"),
        ("web-v2-x7k2p", "web-v2"),
        ("-0", "-0"),
    ],
)
def test_the_owner_of_a_pod(pod: str, owner: str) -> None:
    assert pod_owner(pod) == owner


@given(
    owner=st.from_regex(r"[a-z]([a-z0-9]{0,8}[a-z])?", fullmatch=True),
    hashes=st.lists(st.integers(10**5, 2**32 - 1), min_size=2, max_size=2),
    letters=st.lists(
        st.text("bcdfghjklmnpqrstvwxz2456789", min_size=5, max_size=5), min_size=2, max_size=2
    ),
)
def test_replicas_of_a_deployment_have_one_name(
    owner: str, hashes: list[int], letters: list[str]
) -> None:
    # What Kubernetes does with the decimal digits of a hash (SafeEncodeString).
    alphabet = "bcdfghjklmnpqrstvwxz2456789"
    pods = {
        f"{owner}-{''.join(alphabet[ord(d) % 27] for d in str(h))}-{s}"
        for h, s in zip(hashes, letters, strict=True)
    }
    assert {pod_owner(pod) for pod in pods} == {owner}
