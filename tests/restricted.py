"""Programs under fewer rights than the tests have: with named capabilities, as root or another."""

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from baseline.kernel.capabilities import Capability

ROOT, NOBODY = 0, 65534

CHECKOUT = Path(__file__).parents[1]


def restricted(
    command: Sequence[object], user: int, capabilities: Iterable[Capability], *, first: str = ":"
) -> list[str]:
    """A command line that runs another with these capabilities and no others.

    Args:
        command: the other.
        user: who runs it.
        capabilities: which.
        first: shell commands before it, as root in a mount namespace of its own.
    """
    names = [str(c).lower().removeprefix("cap_") for c in capabilities]
    sets = ",".join(["-all", *(f"+{name}" for name in names)])
    rights = ["--inh-caps", sets, "--bounding-set", sets]
    if user != ROOT:
        rights += ["--reuid", str(user), "--regid", str(user), "--clear-groups"]
        rights += ["--ambient-caps", sets]
    script = f"set -e\n{reachable()}\n{first}\nexec setpriv {shlex.join(rights)} " + '"$@"'
    mounts = ["unshare", "--mount", "--propagation", "private"]
    return [*mounts, "sh", "-c", script, "sh", *map(str, command)]


def baseline(*arguments: object) -> list[object]:
    """The command as users call it, but of this checkout, wherever it was installed from."""
    return [sys.executable, "-m", "baseline", *arguments]


def environment() -> dict[str, str]:
    """What it needs for that."""
    return {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": str(CHECKOUT)}


def run_restricted(
    command: Sequence[object], user: int, capabilities: Iterable[Capability], *, first: str = ":"
) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        restricted(command, user, capabilities, first=first),
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )


def reachable() -> str:
    """Shell commands that let others than root reach this Python and checkout.

    They may lie below a home folder that is closed: in a mount namespace of its own, an open
    folder that holds nothing else takes its place.
    """
    lines = []
    for path in {Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), CHECKOUT.resolve()}:
        closed = [p for p in reversed(path.parents) if not p.stat().st_mode & 0o001]
        if closed:
            lines += [
                "kept=$(mktemp -d)",
                f'mount --bind {path} "$kept"',
                f"mount -t tmpfs -o mode=755 tmpfs {closed[0]}",
                f"mkdir -p {path}",
                f'mount --move "$kept" {path}',
                'rmdir "$kept"',
            ]
    return "\n".join(lines)


def emptied(folder: str) -> str:
    """Shell commands that put an empty folder for all in the place of one.

    This Python and checkout are left in it, if they lie below it.
    """
    below = {Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), CHECKOUT.resolve()}
    below = {path for path in below if path.is_relative_to(folder)}
    kept = [path for path in below if not any(other in path.parents for other in below)]
    lines = [
        f'kept{n}=$(mktemp -d -p /run); mount --bind {p} "$kept{n}"' for n, p in enumerate(kept)
    ]
    lines.append(f"mount -t tmpfs -o mode=1777 tmpfs {folder}")
    for number, path in enumerate(kept):
        lines += [
            f"mkdir -p {path}",
            f'mount --move "$kept{number}" {path}',
            f'rmdir "$kept{number}"',
        ]
    return "\n".join(lines)


def capability_sets(process: int) -> dict[int, dict[str, int]]:
    """Thread id -> what it may do, by the names in proc(5)."""
    sets = {}
    for thread in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            lines = (thread / "status").read_text().splitlines()
            pairs = (line.split(":") for line in lines if line.startswith(("Cap", "NoNew")))
            sets[int(thread.name)] = {name: int(value, 16) for name, value in pairs}
    return sets


def give_to(user: int, *folders: Path) -> None:
    """Make a user the owner of folders, which are made if need be, and of all that is in them."""
    for folder in folders:
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user, user)
