"""One loaded version of the kernel program, open: its maps, and its tables in memory."""

import mmap
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from baseline.errors import KernelError
from baseline.invocation import this_command
from baseline.kernel import layout
from baseline.kernel.bpf_syscall import BpfMap, get_object
from baseline.kernel.program import (
    CGROUP_HOOKS,
    LINK_PREFIX,
    MAPS,
    MAX_GROUPS,
    RAW_TRACEPOINTS,
    possible_cpus,
)

Array = npt.NDArray[Any]


class LoadedProgram:
    """The program that is pinned in a folder, open while the context lasts.

    Args:
        pin: the folder.

    Attributes:
        pin: the same.
        maps: name -> open map.
        links: hook -> file descriptor of its link.
        slots: n-gram table, shape (CPUs * slots of each,), dtype ``layout.SLOT``.
        counters: of each CPU and group, shape (CPUs, MAX_GROUPS), dtype ``layout.COUNTER``.
        ledgers: by group, shape (MAX_GROUPS,), dtype ``layout.LEDGER``, writable.
        owners: by group, shape (MAX_GROUPS,), dtype ``layout.OWNER``, writable.
        control: one, writable, dtype ``layout.CONTROL``.
        groups: numbers of groups from here on had not been in use when we last looked.

    Raises:
        KernelError: a pin is missing.
    """

    def __init__(self, pin: Path) -> None:
        self.pin = pin
        self.maps: dict[str, BpfMap] = {}
        self.links: dict[str, int] = {}
        self.groups = 0

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Open everything, or nothing."""
        with ExitStack() as stack:
            stack.callback(self.close)
            self._open()
            stack.pop_all()

    def _open(self) -> None:
        cpus = possible_cpus()
        try:
            for name in MAPS:
                self.maps[name] = BpfMap.open(self.pin / name, cpus)
            # Holding the links keeps the program counting for us when somebody unloads it.
            for name in (*RAW_TRACEPOINTS, *CGROUP_HOOKS):
                self.links[name] = get_object(self.pin / (LINK_PREFIX + name))
        except OSError as cause:
            raise KernelError(
                f"The pins in {self.pin} are incomplete ({cause.strerror})",
                f"Run `{this_command()} unload` and start again",
            ) from cause
        self.slots = self.mapped("slots", layout.SLOT)
        self.counters = self.mapped("counters", layout.COUNTER).reshape(cpus, MAX_GROUPS)
        self.ledgers = self.mapped("ledgers", layout.LEDGER, writable=True)
        self.owners = self.mapped("owners", layout.OWNER, writable=True)
        self.control = self.mapped("control", layout.CONTROL, writable=True)

    def close(self) -> None:
        """Let everything go; the pins stay."""
        while self.links:
            os.close(self.links.popitem()[1])
        while self.maps:
            self.maps.popitem()[1].close()

    def look_for_groups(self) -> int:
        """Bring ``groups`` up to date: numbers are given from the lowest on, most of them never."""
        later = self.owners[self.groups :]
        if not np.count_nonzero(later.view(np.uint64)):  # as next to always
            return self.groups
        # A wiped group has no cgroup any more, and may still count for a moment.
        in_use = np.flatnonzero((later["cgroup"] != 0) | (later["state"] != layout.GROUP_FREE))
        if len(in_use):
            self.groups += int(in_use[-1]) + 1
        return self.groups

    @property
    def serial(self) -> int:
        """Names this loading of the program."""
        return int(self.control["serial"][0])

    @property
    def epoch(self) -> int:
        """What a reader has to have seen, see :mod:`baseline.kernel.reclaiming`."""
        return int(self.control["epoch"][0])

    def mapped(self, name: str, kind: npt.DTypeLike, *, writable: bool = False) -> Array:
        """The entries of an array map, in the kernel's own memory.

        Args:
            name: of a map that may be mapped.
            kind: dtype of an entry.
            writable: entries may be set.
        """
        table = self.maps[name]
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        memory = mmap.mmap(
            table.descriptor,
            table.max_entries * table.value_size,
            mmap.MAP_SHARED,
            protection,
        )
        return np.frombuffer(memory, kind, count=table.max_entries)


def serial_of(pin: Path) -> int:
    """Names the loading of a version that need not be ours; 0 where its pins are incomplete."""
    try:
        control = BpfMap.open(pin / "control")
    except OSError:
        return 0
    value = control.lookup(bytes(control.key_size)) or b""
    control.close()
    if len(value) != layout.CONTROL.itemsize:
        return 0
    return int(np.frombuffer(value, layout.CONTROL)["serial"][0])
