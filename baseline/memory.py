"""Memory that a command needed to begin, given back before it goes on for weeks."""

import ctypes
import gc
import re
from pathlib import Path

_DONTNEED = 4  # MADV_DONTNEED of Linux

_MAPPING = re.compile(
    r"^(?P<start>[0-9a-f]+)-(?P<end>[0-9a-f]+) r-[-x]p \S+ \S+ [1-9]\d* +/.*\n"
    r"(?:(?!Anonymous:)\w+:.*\n)*Anonymous: +0 kB$",
    re.M,
)
"""One of a file, in ``/proc/PID/smaps``, that cannot be written and of which no page was."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def give_back() -> None:
    """Return what was freed, and the code that ran, to the system.

    Loading a model takes most of a Parquet library into memory, and watching takes none of it.  Its
    pages are those of a file and nobody changed them, so the kernel reads again what is needed
    again; under pressure it would let them go by itself, but until then they count as ours.

    What stays is kept from the garbage collector: to look through it would hold up an alert by
    20 ms.
    """
    gc.collect()
    gc.freeze()
    if hasattr(_libc, "malloc_trim"):  # of glibc alone
        _libc.malloc_trim(0)
    for mapping in _MAPPING.finditer(Path("/proc/self/smaps").read_text()):
        start, end = (int(address, 16) for address in mapping.group("start", "end"))
        _libc.madvise(start, end - start, _DONTNEED)  # to be refused costs nothing
