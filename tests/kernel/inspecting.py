"""The kernel's own tool for programs and maps, a witness and an attacker apart from our code."""

import json
import subprocess
from pathlib import Path
from typing import Any

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


def maps_of(link: Path) -> dict[str, dict[str, Any]]:
    """Name -> map of the program of a pinned link, as bpftool shows it; it needs no pin."""
    program = json.loads(succeed(bpftool("-j", "link", "show", "pinned", link)))["prog_id"]
    used = json.loads(succeed(bpftool("-j", "prog", "show", "id", program)))["map_ids"]
    shown = (json.loads(succeed(bpftool("-j", "map", "show", "id", its))) for its in used)
    return {its["name"]: its for its in shown}
