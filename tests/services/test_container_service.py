"""The main job on a real OCI container: learn its web server, name a shell opened in it."""

import json
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from requirements import require_tools

from baseline.demo.cgroup import OwnCgroup
from baseline.workloads.cgroups import cgroup2_mount

LEARN_SECONDS = 15
PARENT = "baseline-test-container"

pytestmark = pytest.mark.kernel


@contextmanager
def web_server(bundle: Path, port: int) -> Iterator[str]:
    """A container with busybox's httpd, in a cgroup below ``PARENT``; yields its id."""
    identity = secrets.token_hex(32)
    programs = bundle / "rootfs/bin"
    programs.mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "busybox", programs)
    (programs / "sh").symlink_to("busybox")
    (bundle / "rootfs/index.html").write_text("x" * 5000)
    subprocess.run(["runc", "spec", "--bundle", bundle], check=True)
    specification = json.loads((bundle / "config.json").read_text())
    server = ["/bin/busybox", "httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", "/"]
    specification["process"] |= {"terminal": False, "args": server}
    specification["linux"]["cgroupsPath"] = f"/{PARENT}/{identity}"
    specification["linux"]["namespaces"] = [
        n for n in specification["linux"]["namespaces"] if n["type"] != "network"
    ]
    (bundle / "config.json").write_text(json.dumps(specification))
    nothing = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    subprocess.run(["runc", "run", "-d", "--bundle", bundle, identity], check=True, **nothing)
    try:
        yield identity
    finally:
        subprocess.run(["runc", "delete", "--force", identity], check=True)
        # runc made its cgroup in the version 1 hierarchies too, where there are any.
        for folder in Path("/sys/fs/cgroup").glob(f"*/{PARENT}"):
            if folder != cgroup2_mount() / PARENT:
                folder.rmdir()


@contextmanager
def clients(port: int) -> Iterator[None]:
    """Requests, one after the other, while the context lasts."""
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.01):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/index.html", timeout=5) as page:
                page.read()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_container_is_learned_and_a_shell_in_it_named(tmp_path: Path) -> None:
    require_tools("runc", "busybox")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    baseline = [sys.executable, "-m", "baseline"]
    selector = ["--cgroup", f"web={PARENT}/*"]
    models = tmp_path / "models"
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    with OwnCgroup(f"{PARENT}/unused"), web_server(bundle, port) as identity:
        time.sleep(0.5)
        with clients(port):
            learn = [*baseline, "learn", *selector, "--duration", f"{LEARN_SECONDS}s"]
            subprocess.run([*learn, "--out", models], check=True)
            watch = subprocess.Popen(
                [*baseline, "watch", *selector, "--models", models, "--format", "json"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            assert watch.stdout
            assert watch.stderr
            while "Counting" not in watch.stderr.readline():
                pass
            time.sleep(3)
            shell = ["runc", "exec", identity, "/bin/sh", "-c", ":; :"]
            subprocess.run(shell, check=True, stdin=subprocess.DEVNULL)
            time.sleep(2)
            watch.terminate()
            out, talk = watch.communicate()
    alerts = [json.loads(line) for line in out.splitlines()]
    told = [e["description"] for alert in alerts for e in alert["evidence"]]
    assert any("/bin/busybox" in description for description in told), out
    assert {alert["workload"] for alert in alerts} == {"web"}
    assert "nothing lost" in talk
