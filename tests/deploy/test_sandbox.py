"""The sandbox in which the tests of the service run forbids what systemd would."""

import re
import sys

import pytest
from processes import Start

FORBIDDEN = {
    "write": ("open('/etc/baseline-test', 'w')", "Read-only file system"),
    "tunables": ("open('/proc/sys/kernel/hostname', 'w')", "Permission denied|Read-only"),
    "pins of others": ("os.mkdir('/sys/fs/bpf/others')", "Permission denied|Read-only"),
    "shadow": ("open('/etc/shadow')", "Permission denied"),
    "home": ("os.listdir('/home')", "Permission denied"),
    "processes": ("open('/proc/1/stat')", "Operation not permitted|Permission denied"),
    "device": ("open('/dev/kmsg')", "No such file"),
    "network": ("socket.socket()", "Operation not permitted"),
    "unix": ("socket.socket(socket.AF_UNIX)", "Operation not permitted"),
    "code": ("mmap.mmap(-1, 4096, prot=7)", "Permission denied|Operation not permitted"),
    "namespace": ("libc(libc_unshare(0x10000000))", "Operation not permitted"),
    "trace": ("libc(libc_ptrace(16, os.getppid(), 0, 0))", "Operation not permitted"),
    "io_uring": ("libc(libc_syscall(425, 1, 0))", "Operation not permitted"),
    "core": ("print(resource.getrlimit(resource.RLIMIT_CORE))", r"\(0, 0\)"),
    "umask": ("print(oct(os.umask(0)))", "0o77$"),
}
"""What the service may not do -> Python that tries it, and how it is refused."""

TRY = """if True:
    import ctypes, mmap, os, resource, socket, sys
    library = ctypes.CDLL(None, use_errno=True)
    libc_unshare, libc_ptrace, libc_syscall = library.unshare, library.ptrace, library.syscall
    def libc(result):
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    # As the watch is when it counts: the rights for the beginning are given up.
    from baseline.kernel.rights import give_up_rights
    give_up_rights(print)
    for line in sys.argv[1:]:
        try:
            exec(line)
        except OSError as error:
            print(error.strerror)
        else:
            "print" in line or print("done")"""


@pytest.mark.kernel
def test_the_sandbox_of_these_tests_is_one(start: Start) -> None:
    process = start(sys.executable, "-c", TRY, *(line for line, _ in FORBIDDEN.values()))
    out, err = process.communicate()
    assert err == ""
    answers = dict(zip(FORBIDDEN, out.splitlines(), strict=True))
    wrong = {
        name: answers[name]
        for name, (_, refusal) in FORBIDDEN.items()
        if not re.match(refusal, answers[name])
    }
    assert not wrong
