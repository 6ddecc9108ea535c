"""The main job on a real OCI container: learn its web server, name a shell opened in it."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import Start
from ranges.container import Container
from requirements import require_tools
from restricted import baseline

from baseline.demo.services import started

LEARN_SECONDS = 15
PARENT = "baseline-test-container/web"

pytestmark = pytest.mark.kernel


@contextmanager
def clients(server: Container) -> Iterator[None]:
    """Requests, one after the other, while the context lasts."""
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.01):
            server.get("/pages/index.html")

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_container_is_learned_and_a_shell_in_it_named(start: Start, tmp_path: Path) -> None:
    require_tools("runc", "busybox")
    selector = ["--cgroup", f"web={PARENT}/runc-*"]
    models = tmp_path / "models"
    with started(Container, f"{PARENT}/1") as server:
        time.sleep(0.5)
        with clients(server):
            learn = baseline("learn", *selector, "--duration", f"{LEARN_SECONDS}s")
            subprocess.run([*map(str, learn), "--out", models], check=True)
            watch = start(baseline("watch", *selector, "--models", models, "--format", "json"))
            assert watch.stderr
            assert any("Counting" in line for line in watch.stderr)
            time.sleep(3)
            assert server.enter(["/bin/sh", "-c", ":; :"]).wait() == 0
            time.sleep(2)
            watch.terminate()
            out, talk = watch.communicate()
    alerts = [json.loads(line) for line in out.splitlines()]
    told = [e["description"] for alert in alerts for e in alert["evidence"]]
    assert any("/bin/busybox" in description for description in told), out
    assert {alert["workload"] for alert in alerts} == {"web"}
    assert "nothing lost" in talk
