"""Capabilities of this process (capabilities(7)): which it has, and giving them up for good.

Only the standard library is used: there is a C library for this, but what is needed of it is two
system calls.
"""

import contextlib
import ctypes
import os
from collections.abc import Collection
from enum import IntEnum
from pathlib import Path

_PR_CAPBSET_DROP = 24  # include/uapi/linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_VERSION_3 = 0x20080522  # include/uapi/linux/capability.h

_LAST = Path("/proc/sys/kernel/cap_last_cap")
_THREADS = Path("/proc/self/task")
_THIS_THREAD = Path("/proc/thread-self")

_libc = ctypes.CDLL(None, use_errno=True)


class Capability(IntEnum):
    """Those that the house knows, by their numbers (include/uapi/linux/capability.h)."""

    DAC_OVERRIDE = 1
    DAC_READ_SEARCH = 2
    FOWNER = 3
    SETPCAP = 8
    NET_ADMIN = 12
    SYS_PTRACE = 19
    SYS_ADMIN = 21
    PERFMON = 38
    BPF = 39

    def __str__(self) -> str:
        return f"CAP_{self.name}"


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    """Half of the capabilities, in the three sets of a thread."""

    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def has(capability: Capability) -> bool:
    """Whether the calling thread may use it now."""
    return bool(_sets(_THIS_THREAD)["CapEff"] >> capability & 1)


def keep_only(kept: Collection[Capability]) -> None:
    """The calling thread gives up all others, for good and for all that it starts.

    Of what is to be kept, nothing is kept that the process does not have.  The bounding set can be
    emptied by those alone who have CAP_SETPCAP; without it nothing is regained either, because
    ``no_new_privs`` is set.

    Raises:
        OSError: the kernel refuses.
    """
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    if has(Capability.SETPCAP):
        for number in range(int(_LAST.read_text()) + 1):
            _check(_libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0))
    _check(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
    kept = [capability for capability in kept if has(capability)]
    halves = (_Sets * 2)()
    for capability in kept:
        halves[capability // 32].effective |= 1 << capability % 32
        halves[capability // 32].permitted |= 1 << capability % 32
    _check(_libc.capset(ctypes.byref(_Header(_VERSION_3, 0)), halves))


def threads_with_more() -> int:
    """How many threads of this process may do more than the calling one.

    The kernel keeps capabilities with each thread, so one that was started before another
    called :func:`keep_only` still has its own.
    """
    ours = _sets(_THIS_THREAD)["CapPrm"]
    more = 0
    for thread in _THREADS.iterdir():
        with contextlib.suppress(OSError):  # it has ended
            more += bool(_sets(thread)["CapPrm"] & ~ours)
    return more


def _sets(thread: Path) -> dict[str, int]:
    """The capability sets of a thread, by their names in proc(5)."""
    lines = (thread / "status").read_text().splitlines()
    pairs = (line.split(":", 1) for line in lines if line.startswith("Cap"))
    return {name: int(value, 16) for name, value in pairs}


def _check(result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
