"""The demo, as a user runs it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SIGNS = ("/usr/bin/dash", "/usr/bin/curl", "memfd:stage", "127.0.0.66", "every count accounted for")
DEMO = [sys.executable, "-m", "baseline", "demo", "--duration", "12s", "--out"]


def check(done: subprocess.CompletedProcess[str], out: Path) -> None:
    assert done.returncode == 0, done.stderr
    for sign in SIGNS:
        assert sign in done.stdout
    assert (out / "learned.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "parquet" / "syscalls.parquet").exists()
    assert "Traceback" not in done.stderr


@pytest.mark.kernel
def test_live(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run([*DEMO, out], capture_output=True, text=True, check=False)
    check(done, out)
    assert "The intruder asks the page to run a shell command." in done.stderr


def test_on_recordings_where_there_is_no_ebpf(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [*DEMO, out]
    if os.geteuid() == 0:
        if not (unshare := shutil.which("unshare")):
            pytest.fail("unshare is not installed")
        # As root, take the bpf file system away, in a mount namespace of our own.
        without = 'while umount /sys/fs/bpf 2>/dev/null; do :; done; exec "$@"'
        command = [unshare, "--mount", "sh", "-c", without, "sh", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    check(done, out)
    assert done.stderr.startswith("Showing recordings of a real run, because ")
