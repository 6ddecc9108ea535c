"""``baseline top`` on the real kernel, beside a command that takes the first sights."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from cgroup_service import running_in
from on_terminal import RIGHT, OnTerminal
from processes import Process, Start
from running import run

from baseline.kernel.collector import pinned_versions

pytestmark = pytest.mark.kernel

# Does the same over and over, and starts a shell for each line on stdin.
SERVICE = """
import subprocess, threading, time
join()
def calls():
    while True:
        os.getppid()
        time.sleep(0.001)
threading.Thread(target=calls, daemon=True).start()
for line in sys.stdin:
    subprocess.run(["/bin/sh", "-c", ":"])
    print("started", flush=True)
"""


@pytest.fixture
def service(group: str) -> Iterator[Process]:
    """A service in the only cgroup below ``group``."""
    with running_in(f"{group}/service", SERVICE) as process:
        yield process


def start_shell(service: Process) -> None:
    assert service.stdin
    assert service.stdout
    service.stdin.write("\n")
    service.stdin.flush()
    assert service.stdout.readline() == "started\n"


def test_a_service_and_its_shell_are_seen(group: str, service: Process) -> None:
    cgroup = ("--cgroup", f"svc={group}/*", "--interval", "200ms")
    with OnTerminal.top(*cgroup) as top:
        lines = top.until_shown("> svc")
        assert lines[0].startswith("baseline top  ")
        assert lines[0].endswith("nothing lost")
        top.until(lambda: float(top.lines[3].split()[2].replace(",", "")) > 0)
        assert top.lines[3].split()[4] == "0"  # programs

        start_shell(service)
        top.until(lambda: top.lines[3].split()[4] != "0")
        top.press(RIGHT)
        top.until_shown(os.path.realpath("/bin/sh"))
        assert any("there is no model" in line for line in top.lines)
        assert pinned_versions()
        top.press("q")
        assert top.until_ended() == 0
    assert not pinned_versions()


def test_it_leaves_the_first_sights_to_others(
    group: str, service: Process, command: Start, tmp_path: Path
) -> None:
    assert service.poll() is None
    cgroup = ("--cgroup", f"svc={group}/*", "--interval", "200ms")
    models = tmp_path / "models"
    assert run("learn", *cgroup, "--duration", "2s", "--out", models).returncode == 0
    watch = ("watch", *cgroup, "--models", models)
    with OnTerminal.top(*cgroup) as top:
        top.until_shown("> svc")
        watched = run(*watch, "--duration", "1s")
        assert watched.returncode == 0
        assert "first sights" not in watched.stderr
        # Asked for by two, the second is told so: what was looked for above would have been said.
        reader = command(*watch)
        assert reader.stderr
        while not reader.stderr.readline().startswith("Counting "):
            assert reader.poll() is None
        watched = run(*watch, "--duration", "1s")
        assert "Another command takes the first sights" in watched.stderr
        assert "The same command runs already" in watched.stderr
        reader.send_signal(signal.SIGINT)
        reader.communicate()
        assert reader.returncode == 0
        top.press("q")
        assert top.until_ended() == 0
    assert not pinned_versions()


def test_one_table_of_what_runs(group: str, service: Process) -> None:
    assert service.poll() is None
    done = run("top", "--cgroup", f"{group}/*", "--once")
    assert done.returncode == 0
    title, _, row = done.stdout.splitlines()
    name, calls, *_, programs, peers, replicas, lost = row.split()
    assert name == f"{group}/service"
    assert int(calls.replace(",", "")) > 0
    assert (programs, peers, replicas, lost) == ("0", "0", "1", "0")
    assert title.endswith(f"1 workload, {calls} calls/s, nothing lost")
    tables = run(
        *("top", "--cgroup", f"{group}/*"),
        *("--interval", "200ms", "--duration", "1s"),
    ).stdout.split("\n\n")
    assert len(tables) > 1
    assert all(table.startswith("baseline top  ") for table in tables)
    assert not pinned_versions()
