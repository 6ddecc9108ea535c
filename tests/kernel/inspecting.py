"""The kernel's own tool for programs and maps, a witness and an attacker apart from our code."""

import subprocess

from requirements import require_tools


def bpftool(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run it, however it ends."""
    require_tools("bpftool")
    command = ["bpftool", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def succeed(done: subprocess.CompletedProcess[str]) -> str:
    """What it printed; it must have ended well."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
