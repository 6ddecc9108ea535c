"""Real containers, by runc."""

import json
import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from expected import lineage, ngrams, peers, started
from requirements import require_tools
from watching import Cgroup, Watch

pytestmark = pytest.mark.kernel

NUMBER = 340
"""No call has this number, so nobody else in the container makes it."""


STARTS = 30
"""In one of ten or so runc is late to move the container's first process into its cgroup."""


@dataclass
class Container:
    """An OCI container, created but not started."""

    identity: str
    cgroup: str

    def run(self) -> None:
        """Start it and wait for its end."""
        runc("start", self.identity)
        command = ["runc", "state", self.identity]
        while (
            '"stopped"'
            not in subprocess.run(command, capture_output=True, text=True, check=True).stdout
        ):
            pass


def runc(*arguments: str) -> None:
    """Run runc, which hands our stdin and stdout to the container."""
    subprocess.run(["runc", *arguments], stdin=subprocess.DEVNULL, check=True)


@pytest.fixture
def container(cgroup: Cgroup, tmp_path: Path) -> Iterator[Callable[[str], Container]]:
    """Creates containers that a Kubernetes node could have made, to run a shell script."""
    require_tools("runc", "busybox")
    root = tmp_path / "rootfs/bin"
    root.mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "busybox", root)
    shutil.copy(cgroup.programs["calls"], root)
    (root / "sh").symlink_to("busybox")
    runc("spec", "--bundle", str(tmp_path))
    specification = (tmp_path / "config.json").read_text()
    created: list[str] = []

    def create(script: str) -> Container:
        identity = secrets.token_hex(32)
        configuration = json.loads(specification)
        configuration["process"] |= {"terminal": False, "args": ["/bin/sh", "-c", script]}
        configuration["linux"]["cgroupsPath"] = f"/{cgroup.path}/{identity}"
        configuration["linux"]["namespaces"] = [
            namespace
            for namespace in configuration["linux"]["namespaces"]
            if namespace["type"] != "network"
        ]
        configuration["annotations"] = {
            "io.kubernetes.cri.sandbox-namespace": "shop",
            "io.kubernetes.cri.sandbox-name": "web-6d4cf56db6-x7k2p",
            "io.kubernetes.cri.container-name": "app",
        }
        (tmp_path / "config.json").write_text(json.dumps(configuration))
        created.append(identity)
        runc("create", "--bundle", str(tmp_path), identity)
        return Container(identity, f"{cgroup.path}/{identity}")

    yield create
    for identity in created:
        command = ["runc", "delete", "--force", identity]
        subprocess.run(command, stderr=subprocess.DEVNULL, check=False)
    # runc made its cgroup in the version 1 hierarchies too, where there are any.
    for folder in Path("/sys/fs/cgroup").glob(f"*/{cgroup.path}"):
        if folder != cgroup.folder:
            folder.rmdir()


def test_what_a_container_does(
    cgroup: Cgroup, watch: Callable[..., Watch], container: Callable[[str], Container]
) -> None:
    watching = watch(f"{cgroup.path}/*")
    with socket.socket() as bound_only:
        bound_only.bind(("127.0.0.1", 0))
        port = bound_only.getsockname()[1]
        refused = f"/bin/busybox nc 127.0.0.1 {port} 2>/dev/null"
        created = container(
            f"/bin/calls {NUMBER}:1009; for i in 1 2 3 4 5 6 7; do {refused}; done; :"
        )
        watching.read()  # names are looked up while the container is there
        created.run()
    inside = Cgroup(created.cgroup, cgroup.programs)
    window = watching.window(inside)
    assert window.workload == "shop/web/app"
    counts = ngrams(window)
    assert counts[(f"syscall_{NUMBER}",) * 6] == 1009 - 5
    assert {names[-1] for names in counts} > {"execve", "exit_group", "connect"}
    assert started(window) == {"/bin/busybox": 1 + 7, "/bin/busybox > /bin/calls": 1}
    assert peers(window) == {f"tcp out to 127.0.0.1:{port}": 7}


def test_a_container_has_the_same_lineages_at_each_start(
    cgroup: Cgroup, watch: Callable[..., Watch], container: Callable[[str], Container]
) -> None:
    watching = watch(f"{cgroup.path}/*")
    containers = [container("/bin/calls; :") for _ in range(STARTS)]
    for created in containers:
        runc("exec", created.identity, "/bin/calls")
        created.run()
    watching.read()
    assert [started(watching.window(Cgroup(c.cgroup, cgroup.programs))) for c in containers] == [
        {"/bin/calls": 1, "/bin/busybox": 1, lineage(["/bin/busybox", "/bin/calls"]): 1}
    ] * STARTS
