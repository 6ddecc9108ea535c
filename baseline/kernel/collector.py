"""The loaded kernel program as a command holds it: load or take over, open the pins, let go.

The first command loads; later ones, and one that starts after a crash, take over what is pinned.
The last command to end takes the program away, unless somebody said ``--keep``, or was killed and
may come back to read on.
"""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Self

from baseline.errors import KernelError
from baseline.kernel.agents import Agent, named, setup_lock
from baseline.kernel.bpf_syscall import BpfMap
from baseline.kernel.loaded import LoadedProgram, serial_of
from baseline.kernel.position import positions
from baseline.kernel.program import (
    COUNTING_PIN,
    LINK_PREFIX,
    PIN_ROOT,
    UNFINISHED_PREFIX,
    Settings,
    fingerprint,
)
from baseline.kernel.rights import require_rights

_KEEP = "keep"
"""A folder beside the pins, there when a command was told to leave the program loaded."""

_LOADER_SECONDS = 120


class Collector(LoadedProgram):
    """The kernel program, loaded and open while the context lasts.

    Args:
        cgroup_mount: where cgroup2 is mounted.
        globs: what this command tracks, for other commands to know.
        keep: leave the program loaded at the end.
        settings: table sizes; a program that is loaded already keeps its own.

    Attributes:
        agent: this process, as one of its users.
        is_left: after the end, whether the program is left to a reader that was killed.
    """

    def __init__(
        self,
        cgroup_mount: Path,
        globs: Sequence[str] = (),
        *,
        keep: bool = False,
        settings: Settings | None = None,
    ) -> None:
        self._settings = settings or Settings()
        super().__init__(PIN_ROOT / fingerprint(self._settings))
        self._cgroup_mount = cgroup_mount
        self._keep = keep
        self.is_left = False
        self.agent = Agent(self.pin.name, globs)

    def __enter__(self) -> Self:
        require_rights(self.pin)
        with setup_lock():
            _clear_unfinished()
            others = [path for path in pinned_versions() if path != self.pin]
            users = Agent.users_of_others(self.pin.name)
            if users:
                raise KernelError(
                    f"Another version of the kernel program is used by {named(users)}",
                    "End that command, with SIGKILL if nothing may be left uncounted, and start "
                    "again",
                )
            is_new = not self.pin.exists()
            if is_new:
                self._load(alone=not others)
            try:
                self.open()
                self.agent.register()
                if self._keep:
                    (PIN_ROOT / _KEEP).mkdir(exist_ok=True)
            except BaseException:
                self.agent.leave()
                self.close()
                if is_new:  # nobody else would take it away
                    remove_version(self.pin) if others else remove_pins()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        with setup_lock():
            self.agent.leave()
            if not Agent.others():
                is_awaited = _is_awaited()
                self.is_left = is_awaited and not self.kept
                if not self.kept and not is_awaited:
                    remove_pins()
                elif not self._counts():  # it never took over from the one that stays
                    remove_version(self.pin)
        self.close()

    @property
    def kept(self) -> bool:
        """Whether a command was told to leave the program loaded."""
        return (PIN_ROOT / _KEEP).exists()

    def _counts(self) -> bool:
        """Whether this version counts, or was taken away already."""
        if not (self.pin.exists() and COUNTING_PIN.exists()):
            return True
        counting = BpfMap.open(COUNTING_PIN)
        serial = counting.lookup(bytes(counting.key_size))
        counting.close()
        return serial == self.serial.to_bytes(8, "little")

    def _load(self, *, alone: bool) -> None:
        request = {
            "settings": asdict(self._settings),
            "pin": str(self.pin),
            "cgroup_mount": str(self._cgroup_mount),
            "alone": alone,
        }
        package = Path(__file__).resolve().parents[2]
        try:
            loader = subprocess.run(
                [loader_python(), "-m", "baseline.kernel.bcc_loader"],
                input=json.dumps(request),
                env={**os.environ, "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"},
                cwd=package,  # Python imports from where it is first: that must be nobody else's
                capture_output=True,
                text=True,
                timeout=_LOADER_SECONDS,
                start_new_session=True,  # Ctrl-C is ours to handle, not the loader's
                check=False,
            )
        except subprocess.TimeoutExpired as cause:
            raise KernelError(
                f"Loading the kernel program took over {_LOADER_SECONDS} s", "Try again"
            ) from cause
        try:
            answer = json.loads(loader.stdout)
        except json.JSONDecodeError as cause:
            lines = loader.stderr.strip().splitlines() or ["no message"]
            raise KernelError(
                f"The loader ended with status {loader.returncode}: {lines[-1]}",
                "Run `baseline doctor`",
            ) from cause
        if answer:
            raise KernelError(answer["problem"], answer["way_out"])


def loader_python() -> str:
    """The Python that has BCC: the system's, which distributions package it for."""
    system = "/usr/bin/python3"
    return system if Path(system).exists() else sys.executable


def pinned_versions() -> list[Path]:
    """Folders with the pins of each version that is loaded."""
    if not PIN_ROOT.exists():
        return []
    return [path for path in PIN_ROOT.iterdir() if path.name not in {_KEEP, COUNTING_PIN.name}]


def _is_awaited() -> bool:
    """Whether a reader was killed that may come back for what a loaded version has counted."""
    loaded = loaded_serials()
    return any(left.serial in loaded for left in positions(of_running=False))


def loaded_serials() -> set[int]:
    """Which loadings of the program are in the kernel, of all versions."""
    return {serial_of(pin) for pin in pinned_versions()}


def remove_pins() -> list[Path]:
    """Take every version's pins away, with what an interrupted loading left; says which.

    The kernel drops a program when no command holds it open any more.
    """
    versions = pinned_versions()
    for version in versions:
        remove_version(version)
    if PIN_ROOT.exists():
        if (PIN_ROOT / _KEEP).exists():
            (PIN_ROOT / _KEEP).rmdir()
        COUNTING_PIN.unlink(missing_ok=True)
        _remove_own(PIN_ROOT)
    return versions


def _remove_own(folder: Path) -> None:
    """Remove a folder, unless it was made or mounted for us: then it stays."""
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY}:
            raise


def _clear_unfinished() -> None:
    """Remove what an interrupted loading left."""
    for path in pinned_versions():
        if path.name.startswith(UNFINISHED_PREFIX):
            remove_version(path)


def remove_version(folder: Path) -> None:
    """Take one version's pins away."""
    # Links first, so that nothing counts into tables that are half gone.
    for path in sorted(folder.iterdir(), key=lambda p: not p.name.startswith(LINK_PREFIX)):
        path.unlink()
    folder.rmdir()
