"""The loaded kernel program as a command holds it: load or take over, open the pins, let go.

The first command loads; later ones, and one that starts after a crash, take over what is pinned.
The last command to end takes the program away, unless somebody said ``--keep``.
"""

import json
import mmap
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from baseline.errors import KernelError
from baseline.kernel import layout
from baseline.kernel.agents import Agent, setup_lock
from baseline.kernel.bpf_syscall import BpfMap, get_object
from baseline.kernel.position import forget_position, is_position_kept
from baseline.kernel.program import (
    BPFFS,
    CGROUP_HOOKS,
    LINK_PREFIX,
    MAPS,
    MAX_GROUPS,
    PIN_ROOT,
    RAW_TRACEPOINTS,
    UNFINISHED_PREFIX,
    Settings,
    fingerprint,
    possible_cpus,
)

_KEEP = "keep"
"""A folder beside the pins, there when a command was told to leave the program loaded."""

_LOADER_SECONDS = 120


class Collector:
    """The kernel program, loaded and open while the context lasts.

    Args:
        cgroup_mount: where cgroup2 is mounted.
        globs: what this command tracks, for other commands to know.
        keep: leave the program loaded at the end.
        settings: table sizes; a program that is loaded already keeps its own.
        reads_on: this command reads on where a killed one stopped; otherwise the program stays
            loaded for the next that does.

    Attributes:
        maps: name -> open map.
        slots: n-gram table, shape (CPUs, slots of each), dtype ``layout.SLOT``.
        calls: calls of each CPU and group, shape (CPUs, MAX_GROUPS).
        ledgers: by group, shape (MAX_GROUPS,), dtype ``layout.LEDGER``.
        control: one, writable, dtype ``layout.CONTROL``.
    """

    def __init__(
        self,
        cgroup_mount: Path,
        globs: Sequence[str] = (),
        *,
        keep: bool = False,
        settings: Settings | None = None,
        reads_on: bool = True,
    ) -> None:
        self._cgroup_mount = cgroup_mount
        self._settings = settings or Settings()
        self._pin = PIN_ROOT / fingerprint(self._settings)
        self._keep = keep
        self._reads_on = reads_on
        self._agent = Agent(globs)
        self._links: list[int] = []
        self.maps: dict[str, BpfMap] = {}

    def __enter__(self) -> Self:
        require_rights()
        with setup_lock():
            self._require_no_other_version()
            if not self._pin.exists():
                forget_position()  # of a program that is gone
                self._load()
            if self._keep:
                (PIN_ROOT / _KEEP).mkdir(exist_ok=True)
            self._open()
            self._agent.register()
        return self

    def __exit__(self, *_: object) -> None:
        with setup_lock():
            self._agent.leave()
            is_left_to_another = not self._reads_on and is_position_kept()
            if not Agent.others() and not self.kept and not is_left_to_another:
                remove_pins()
        for descriptor in self._links:
            os.close(descriptor)
        for opened in self.maps.values():
            opened.close()

    @property
    def kept(self) -> bool:
        """Whether a command was told to leave the program loaded."""
        return (PIN_ROOT / _KEEP).exists()

    def _require_no_other_version(self) -> None:
        for path in pinned_versions():
            if path.name.startswith(UNFINISHED_PREFIX):
                _remove_version(path)
        others = [path.name for path in pinned_versions() if path != self._pin]
        if others:
            raise KernelError(
                f"Another version of the kernel program is loaded ({', '.join(others)})",
                "End the commands that use it, then run `baseline unload`",
            )

    def _load(self) -> None:
        request = {
            "settings": asdict(self._settings),
            "pin": str(self._pin),
            "cgroup_mount": str(self._cgroup_mount),
        }
        package = Path(__file__).resolve().parents[2]
        try:
            loader = subprocess.run(
                [loader_python(), "-m", "baseline.kernel.bcc_loader"],
                input=json.dumps(request),
                env={**os.environ, "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"},
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

    def _open(self) -> None:
        cpus = possible_cpus()
        try:
            self.maps = {name: BpfMap.open(self._pin / name, cpus) for name in MAPS}
            # Holding the links keeps the program counting for us when somebody unloads it.
            self._links = [
                get_object(self._pin / (LINK_PREFIX + name))
                for name in (*RAW_TRACEPOINTS, *CGROUP_HOOKS)
            ]
        except OSError as cause:
            raise KernelError(
                f"The pins in {self._pin} are incomplete ({cause.strerror})",
                "Run `baseline unload` and start again",
            ) from cause
        self.slots = self._mapped("slots", layout.SLOT).reshape(cpus, -1)
        self.calls = self._mapped("calls", np.dtype("<u8")).reshape(cpus, MAX_GROUPS)
        self.ledgers = self._mapped("ledgers", layout.LEDGER)
        self.control = self._mapped("control", layout.CONTROL, writable=True)[0:1]

    def _mapped(
        self, name: str, kind: npt.DTypeLike, *, writable: bool = False
    ) -> npt.NDArray[Any]:
        table = self.maps[name]
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        memory = mmap.mmap(
            table.descriptor,
            table.max_entries * table.value_size,
            mmap.MAP_SHARED,
            protection,
        )
        return np.frombuffer(memory, kind, count=table.max_entries)


def loader_python() -> str:
    """The Python that has BCC: the system's, which distributions package it for."""
    system = "/usr/bin/python3"
    return system if Path(system).exists() else sys.executable


def require_rights() -> None:
    """Refuse where the program cannot be used at all, before anything is tried.

    Raises:
        KernelError: we are not root, or the bpf file system is not mounted.
    """
    if os.geteuid() != 0:
        raise KernelError(
            "Reading what the kernel counts needs root",
            "Run the command with sudo, or work on a recording with --from",
        )
    if not os.path.ismount(BPFFS):
        raise KernelError(
            f"The bpf file system is not mounted at {BPFFS}", f"Run: mount -t bpf bpf {BPFFS}"
        )


def pinned_versions() -> list[Path]:
    """Folders with the pins of each version that is loaded."""
    if not PIN_ROOT.exists():
        return []
    return [path for path in PIN_ROOT.iterdir() if path.name != _KEEP]


def remove_pins() -> list[Path]:
    """Take every version's pins away, with what an interrupted loading left; says which.

    The kernel drops a program when no command holds it open any more.
    """
    versions = pinned_versions()
    for version in versions:
        _remove_version(version)
    if PIN_ROOT.exists():
        if (PIN_ROOT / _KEEP).exists():
            (PIN_ROOT / _KEEP).rmdir()
        PIN_ROOT.rmdir()
    return versions


def _remove_version(folder: Path) -> None:
    # Links first, so that nothing counts into tables that are half gone.
    for path in sorted(folder.iterdir(), key=lambda p: not p.name.startswith(LINK_PREFIX)):
        path.unlink()
    folder.rmdir()
