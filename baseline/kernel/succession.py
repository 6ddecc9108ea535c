"""From one version of the program to the next, without a gap.

The new version is loaded beside the old one and counts nothing at first.  When it tracks all that
the old one tracks, one store on each CPU says that from now on it counts there and the old one does
not (``counting`` in ``bpf/tracking.h``).  The store is made by a thread that runs on that CPU,
where no system call can be under way then, so each call is counted by exactly one of them.  The old
version stays for as long as a reader may come that has not read its last counts.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from baseline.kernel import layout
from baseline.kernel.agents import setup_lock
from baseline.kernel.bpf_syscall import BpfMap
from baseline.kernel.collector import pinned_versions, remove_version
from baseline.kernel.groups import Groups
from baseline.kernel.loaded import LoadedProgram, serial_of
from baseline.kernel.position import positions
from baseline.kernel.program import COUNTING_PIN, possible_cpus
from baseline.kernel.seeding import seed
from baseline.workloads.cgroups import cgroup_id


def take_over(program: LoadedProgram, mount: Path) -> None:
    """Let a program count, and none of the older versions that are still loaded.

    Args:
        program: the new version, which tracks all that this command wants.
        mount: where cgroup2 is mounted.
    """
    with setup_lock():
        for pin in _older_versions(program):
            if _can_be_read(pin, program):
                with LoadedProgram(pin) as before:
                    _track_what(before, program, mount)
        counting = BpfMap.open(COUNTING_PIN)
        usual = os.sched_getaffinity(0)
        for cpu in range(possible_cpus()):
            key, serial = cpu.to_bytes(4, "little"), program.serial.to_bytes(8, "little")
            if counting.lookup(key) != serial:
                with _on_cpu(cpu, usual):
                    counting.update(key, serial)
        counting.close()


@contextlib.contextmanager
def _on_cpu(cpu: int, usual: set[int]) -> Iterator[None]:
    """Run on one CPU, also where we usually do not; one that is off-line has no calls under way."""
    try:
        os.sched_setaffinity(0, {cpu})
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    try:
        yield
    finally:
        os.sched_setaffinity(0, usual)


def unread(program: LoadedProgram, serial: int) -> list[Path]:
    """Pins of other versions with counts that a reader has not read, as they were loaded.

    Args:
        program: the version that is not meant.
        serial: of the version that was read; whoever loaded those after it failed before reading.

    Returns:
        Nothing where that version is gone, or cannot be read.
    """
    known = [pin for pin in pinned_versions() if _can_be_read(pin, program)]
    known.sort(key=_loaded_at)
    start = next((place for place, pin in enumerate(known) if serial_of(pin) == serial), len(known))
    return [pin for pin in known[start:] if pin != program.pin]


def _loaded_at(pin: Path) -> int:
    return pin.stat().st_ctime_ns  # when the folder got its name


def remove_unneeded(program: LoadedProgram) -> None:
    """Take older versions away, unless a killed reader may come back for their last counts."""
    with setup_lock():
        needed = {position.serial for position in positions(of_running=True)}
        for pin in _older_versions(program):
            if not _can_be_read(pin, program) or serial_of(pin) not in needed:
                remove_version(pin)


def _older_versions(program: LoadedProgram) -> list[Path]:
    return [pin for pin in pinned_versions() if pin != program.pin]


def _can_be_read(pin: Path, program: LoadedProgram) -> bool:
    """Whether an older version has its tables laid out as this one has."""
    return pin.name.split("-")[0] == program.pin.name.split("-")[0]


def _track_what(before: LoadedProgram, program: LoadedProgram, mount: Path) -> None:
    """Track all that an older version tracks, for readers that may come back."""
    groups = Groups(program)
    for group in Groups(before).appeared():
        if group.state != layout.GROUP_TRACKED:
            continue
        folder = mount / group.path
        with contextlib.suppress(FileNotFoundError):  # gone since
            if cgroup_id(folder) == group.cgroup and not groups.is_tracked(group.cgroup):
                number = groups.take(group.cgroup, Path(group.path))
                if number is not None:
                    seed(program, folder, number)
    nurseries = program.maps["nurseries"]
    for keys, values in before.maps["nurseries"].entries():
        for cgroup, levels in zip(
            np.frombuffer(keys, "<u8").tolist(), np.frombuffer(values, "<u4").tolist(), strict=True
        ):
            key = cgroup.to_bytes(8, "little")
            known = int.from_bytes(nurseries.lookup(key) or b"", "little")
            nurseries.update(key, (known | levels).to_bytes(4, "little"))
