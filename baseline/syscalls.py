"""Symbols and n-grams of system calls: how they are packed, and what they are called.

A *symbol* is one call as the collector saw it, in 10 bits (``bpf/layout.h`` has the same numbers):

====================  =====================================================
0                     no call yet (the thread is younger than the n-gram)
1 ... 509             the call with this number less one, in the native ABI
510                   a number out of that range
511                   a call cancelled before it started (number -1)
512 + the above       the same through the 32-bit ABI, whose numbers mean other calls
====================  =====================================================

An *n-gram* is the last six symbols of one thread in an unsigned 64-bit integer, the newest in the
lowest ten bits.  The four highest bits tell the *kind*: 0 for system calls, 1 for io_uring
requests, which never pass the system-call entry and whose symbols are their opcodes plus one, 2 for
calls whose history was folded away because their workload had used up its room in the tables.
"""

import platform
from functools import cache

import numpy as np
import numpy.typing as npt
import system_calls

SYMBOL_BITS = 10
NGRAM_LENGTH = 6
KIND_SHIFT = 60

NO_CALL = 0
OUT_OF_RANGE = 510
CANCELLED = 511
COMPAT_FLAG = 512
KIND_IO_URING = 1
KIND_FOLDED = 2

ARCHITECTURE = platform.machine()
"""Architecture of this machine, as ``uname -m`` names it."""

_TABLE_NAMES = {"x86_64": ("x86_64", "i386"), "aarch64": ("arm64", "arm")}
"""Architecture -> its tables in the ``system_calls`` package: native ABI, 32-bit ABI."""

# enum io_uring_op of include/uapi/linux/io_uring.h; the order is the ABI.
IO_URING_OPCODES = tuple(
    """nop readv writev fsync read_fixed write_fixed poll_add poll_remove sync_file_range sendmsg
    recvmsg timeout timeout_remove accept async_cancel link_timeout connect fallocate openat close
    files_update statx read write fadvise madvise send recv openat2 epoll_ctl splice
    provide_buffers remove_buffers tee shutdown renameat unlinkat mkdirat symlinkat linkat msg_ring
    fsetxattr setxattr fgetxattr getxattr socket uring_cmd send_zc sendmsg_zc read_multishot waitid
    futex_wait futex_wake futex_waitv fixed_fd_install ftruncate bind listen recv_zc epoll_wait
    readv_fixed writev_fixed pipe nop128 uring_cmd128""".split()
)


@cache
def syscall_names(architecture: str, compat: bool) -> dict[int, str]:
    """Call number -> name, for one architecture and ABI.

    Raises:
        KeyError: the architecture is none that this package knows.
    """
    table = _TABLE_NAMES[architecture][compat]
    return {number: name for name, number in system_calls.syscalls().load_arch_table(table).items()}


def unpack(ngrams: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Symbols of n-grams, oldest first.

    Args:
        ngrams: packed n-grams, shape (k,).

    Returns:
        Symbols with the kind above them (``kind << 10 | symbol``), shape (k, 6), so that io_uring
        requests share no symbol with system calls, not even "no call yet".
    """
    shifts = np.arange(NGRAM_LENGTH - 1, -1, -1, dtype=np.uint64) * np.uint64(SYMBOL_BITS)
    kind = (ngrams >> np.uint64(KIND_SHIFT)) << np.uint64(SYMBOL_BITS)
    mask = np.uint64((1 << SYMBOL_BITS) - 1)
    symbols = (ngrams[:, None] >> shifts[None, :]) & mask | kind[:, None]
    return symbols.astype(np.int64)


def pack(symbols: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Inverse of :func:`unpack`: symbols with their kind, shape (k, 6), to n-grams, shape (k,)."""
    shifts = np.arange(NGRAM_LENGTH - 1, -1, -1, dtype=np.uint64) * np.uint64(SYMBOL_BITS)
    low = symbols.astype(np.uint64) & np.uint64((1 << SYMBOL_BITS) - 1)
    kind = symbols[:, -1].astype(np.uint64) >> np.uint64(SYMBOL_BITS)
    packed: npt.NDArray[np.uint64] = np.bitwise_or.reduce(low << shifts[None, :], axis=1)
    return packed | kind << np.uint64(KIND_SHIFT)


def symbols_of(ngrams: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint16]:
    """The newest symbol of each n-gram, with its kind above it."""
    newest = ngrams & np.uint64((1 << SYMBOL_BITS) - 1)
    return (ngrams >> np.uint64(KIND_SHIFT) << np.uint64(SYMBOL_BITS) | newest).astype(np.uint16)


def calls_of(ngrams: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint16]:
    """The same of the call that was made, whether what came before it was folded away or not."""
    symbols = symbols_of(ngrams)
    is_folded = symbols >> SYMBOL_BITS == KIND_FOLDED
    return np.where(is_folded, symbols & np.uint16((1 << SYMBOL_BITS) - 1), symbols)


def symbol_name(symbol: int, architecture: str = ARCHITECTURE) -> str:
    """What people call a symbol (with its kind, as :func:`unpack` gives it).

    ``openat``; ``compat:openat`` through the 32-bit ABI; ``io_uring:openat`` for a request;
    ``folded:openat`` where what came before was folded away; ``syscall_499`` where the table has
    no name; ``start`` for "no call yet".
    """
    kind, code = divmod(symbol, 1 << SYMBOL_BITS)
    if code == NO_CALL:
        return "start"
    if kind == KIND_IO_URING:
        opcode = code - 1
        name = IO_URING_OPCODES[opcode] if opcode < len(IO_URING_OPCODES) else f"opcode_{opcode}"
        return f"io_uring:{name}"
    compat, code = bool(code & COMPAT_FLAG), code & ~COMPAT_FLAG
    if code == OUT_OF_RANGE:
        name = "out_of_range"
    elif code == CANCELLED:
        name = "cancelled"
    else:
        name = syscall_names(architecture, compat).get(code - 1, f"syscall_{code - 1}")
    name = f"compat:{name}" if compat else name
    return f"folded:{name}" if kind == KIND_FOLDED else name


def ngram_names(ngram: int, architecture: str = ARCHITECTURE) -> tuple[str, ...]:
    """Names of an n-gram's calls, oldest first, without the leading "no call yet"."""
    symbols = unpack(np.array([ngram], dtype=np.uint64))[0]
    kind_start = int(symbols[-1]) >> SYMBOL_BITS << SYMBOL_BITS
    return tuple(symbol_name(int(s), architecture) for s in symbols if s != kind_start)
