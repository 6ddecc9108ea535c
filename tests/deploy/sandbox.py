"""Runs a command as a unit's service, without systemd: the same user, rights, mounts and filter.

As root: ``sandbox.py STATE UNIT [DROP-IN]... -- [COMMAND...]``, in a mount namespace of its own;
without a command it is the unit's.  STATE is a folder for ``/var/lib``.  What a unit may say is
listed here, so that a new line in one has to be thought of.
"""

import ctypes
import os
import platform
import resource
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from restricted import CHECKOUT, emptied, environment, reachable
from unit import DEPLOY, Service

from baseline.syscalls import syscall_names

NOT_APPLIED = {
    "Type": "systemd's own bookkeeping",
    "EnvironmentFile": "the test gives the options",
    "Environment": "the test gives the options",
    "StandardOutput": "the test reads it",
    "StandardError": "the test reads it",
    "SyslogIdentifier": "of the journal",
    "Restart": "the test starts again",
    "RestartSec": "the test starts again",
    "RestartPreventExitStatus": "the test starts again",
    "KillMode": "the test ends it",
    "TimeoutStopSec": "the test ends it",
    "RuntimeDirectoryPreserve": "nobody removes it",
    "ProcSubset": "the default",
    "PrivateUsers": "the default",
    "PrivateMounts": "follows from the other mounts",
    "ProtectKernelModules": "follows from the capabilities and the filter",
    "ProtectKernelLogs": "follows from the capabilities and the filter",
    "ProtectClock": "follows from the capabilities and the filter",
    "ProtectHostname": "follows from the capabilities and the filter",
    "RestrictRealtime": "follows from the filter",
    "RestrictSUIDSGID": "the user has no group to give",
    "LockPersonality": "nothing of ours asks for another",
    "RemoveIPC": "after the end",
    "KeyringMode": "follows from the filter",
    "SystemCallArchitectures": "the filter knows one alone",
    "IPAddressDeny": "needs systemd's control group",
    "IPAddressAllow": "needs systemd's control group",
    "MemoryMax": "needs systemd's control group",
    "MemorySwapMax": "needs systemd's control group",
    "TasksMax": "needs systemd's control group",
}
"""Setting -> why it is not applied here."""

_PR_SET_MDWE = 65  # include/uapi/linux/prctl.h
_PR_SET_SECCOMP = 22
_MOUNT_SETATTR = 442
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_READ_ONLY = 1
_NAMESPACES = 0x7E020080  # CLONE_NEW*, include/uapi/linux/sched.h
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06  # include/uapi/linux/bpf_common.h
_ALLOW, _EPERM, _ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
_AUDIT_ARCH_X86_64 = 0xC000003E
_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}

_libc = ctypes.CDLL(None, use_errno=True)


def _shell(script: str) -> None:
    subprocess.run(["sh", "-ec", script], check=True)


def _set_read_only(path: str, *, on: bool) -> None:
    attributes = struct.pack("<4Q", _READ_ONLY * on, _READ_ONLY * (not on), 0, 0)
    if _libc.syscall(
        _MOUNT_SETATTR, _AT_FDCWD, path.encode(), _AT_RECURSIVE, attributes, len(attributes)
    ):
        raise OSError(ctypes.get_errno(), path)


def _mount(service: Service, state: str) -> None:
    """The file systems as the service sees them."""
    user = service.last("User")
    with tempfile.TemporaryDirectory() as root:
        # The user, as sysusers.conf makes it, for this namespace alone.
        _shell(f"""
            mkdir {root}/etc; cp /etc/passwd /etc/group {root}/etc
            systemd-sysusers --root={root} {DEPLOY / "sysusers.conf"} 2>/dev/null
            mount --bind {root}/etc/passwd /etc/passwd
            mount --bind {root}/etc/group /etc/group""")
        for command in service.all("ExecStartPre"):
            _shell(command.removeprefix("+"))
    runtime, kept = service.last("RuntimeDirectory"), service.last("StateDirectory")
    temporary = tempfile.gettempdir()
    writable = [*service.words("ReadWritePaths"), f"/run/{runtime}", f"/var/lib/{kept}", temporary]
    proc = {"noaccess": "hidepid=1", "invisible": "hidepid=2"}[service.last("ProtectProc")]
    _shell(f"""
        mkdir -p -m {service.last("RuntimeDirectoryMode")} /run/{runtime}
        chown {user}: /run/{runtime}
        mount --bind /run/{runtime} /run/{runtime}
        mkdir -p {state}/{kept}; chmod {service.last("StateDirectoryMode")} {state}/{kept}
        chown -R {user}: {state}/{kept}
        mount --bind {state} /var/lib
        mount --bind /var/lib/{kept} /var/lib/{kept}
        for path in {" ".join(service.words("ReadWritePaths"))}; do
            mount --bind "$path" "$path"
        done
        mount -t tmpfs tmpfs /mnt
        for device in null zero full random urandom; do
            touch /mnt/$device; mount --bind /dev/$device /mnt/$device
        done
        mount --rbind /mnt /dev
        mount -t proc -o {proc} proc /proc
        {reachable()}
        for home in /home /root; do
            [ ! -d $home ] || mountpoint -q $home || mount -t tmpfs -o mode=0 tmpfs $home
        done
        {emptied(temporary)}""")
    _shell(f"""
        mount -t tmpfs tmpfs /opt; mkdir -p /opt/baseline/current/bin
        printf '#!/bin/sh\\nexec {sys.executable} -m baseline "$@"\\n' \
            > /opt/baseline/current/bin/baseline
        chmod +x /opt/baseline/current/bin/baseline""")
    _set_read_only("/", on=True)
    for path in (*writable, "/dev"):
        _set_read_only(path, on=False)
    _shell("mount --bind /proc /proc")  # of which /proc/sys alone is read-only
    _set_read_only("/proc", on=False)
    _shell("mount --bind /proc/sys /proc/sys")
    _set_read_only("/proc/sys", on=True)


def _filter(service: Service) -> bytes:
    """``SystemCallFilter=``, ``RestrictAddressFamilies=`` and ``RestrictNamespaces=``, for seccomp.

    Instructions of ``struct sock_filter``: code, jump if true, jump if false, operand; the
    operands loaded are members of ``struct seccomp_data``.
    """
    numbers = {name: number for number, name in syscall_names("x86_64", compat=False).items()}
    program = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _AUDIT_ARCH_X86_64), (_RETURN, 0, 0, _EPERM)]
    program.append((_LOAD, 0, 0, 0))
    # As systemd does: what cannot be looked into is not there, so that clone is used.
    program += [(_EQUAL, 0, 1, numbers["clone3"]), (_RETURN, 0, 0, _ENOSYS)]
    for name in ("unshare", "setns"):
        program += [(_EQUAL, 0, 1, numbers[name]), (_RETURN, 0, 0, _EPERM)]
    program += [
        (_EQUAL, 0, 4, numbers["clone"]),
        (_LOAD, 0, 0, 16),
        (_ANY_BIT, 0, 1, _NAMESPACES),
        (_RETURN, 0, 0, _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    families = [f for f in service.words("RestrictAddressFamilies") if f != "none"]
    checks = [
        step
        for family in families
        for step in ((_EQUAL, 0, 1, _FAMILIES[family]), (_RETURN, 0, 0, _ALLOW))
    ]
    checks = [(_LOAD, 0, 0, 16), *checks, (_RETURN, 0, 0, _EPERM)]
    program += [(_EQUAL, 0, len(checks), numbers["socket"]), *checks]
    for name in sorted(service.allows() & numbers.keys()):
        program += [(_EQUAL, 0, 1, numbers[name]), (_RETURN, 0, 0, _ALLOW)]
    program.append((_RETURN, 0, 0, _EPERM))
    return b"".join(struct.pack("<HBBI", *step) for step in program)


def _restrict(service: Service) -> None:
    """What this process and all that it starts may not do any more."""
    os.umask(int(service.last("UMask"), 8))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if _libc.prctl(_PR_SET_MDWE, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_MDWE")
    program = ctypes.create_string_buffer(_filter(service))
    length = len(program) // 8
    described = struct.pack("<HxxxxxxQ", length, ctypes.addressof(program))
    if _libc.prctl(_PR_SET_SECCOMP, 2, ctypes.c_char_p(described), 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_SECCOMP")


APPLIED: Iterable[str] = """
    ExecStartPre ExecStart User Group UMask RuntimeDirectory RuntimeDirectoryMode StateDirectory
    StateDirectoryMode CapabilityBoundingSet AmbientCapabilities NoNewPrivileges ProtectSystem
    ReadWritePaths ProtectHome PrivateTmp PrivateDevices ProtectKernelTunables ProtectControlGroups
    ProtectProc PrivateNetwork RestrictAddressFamilies RestrictNamespaces MemoryDenyWriteExecute
    SystemCallFilter SystemCallErrorNumber LimitCORE
""".split()


def main(arguments: list[str], go_on: Callable[[list[str]], None]) -> None:
    """Both halves: as root, then again under the service's rights."""
    split = arguments.index("--")
    state, *files = arguments[:split]
    service = Service(*map(Path, files))
    unknown = {name for name, _ in service.settings} - {*APPLIED} - NOT_APPLIED.keys()
    if unknown or platform.machine() != "x86_64":
        sys.exit(f"sandbox.py does not know {', '.join(unknown)} of {platform.machine()}")
    command = arguments[split + 1 :] or service.last("ExecStart").split()
    if os.geteuid() != 0:
        _restrict(service)
        go_on(command)
    _mount(service, state)
    sets = {
        name: ",".join(["-all", *(f"+{word[4:].lower()}" for word in service.words(name))])
        for name in ("CapabilityBoundingSet", "AmbientCapabilities")
    }
    ambient = sets["AmbientCapabilities"]
    network = ["unshare", "--net"] if service.last("PrivateNetwork") == "yes" else []
    go_on(
        [
            *network,
            "setpriv",
            *("--reuid", service.last("User"), "--regid", service.last("Group"), "--clear-groups"),
            *("--inh-caps", ambient, "--ambient-caps", ambient),
            *("--bounding-set", sets["CapabilityBoundingSet"], "--no-new-privs"),
            *(sys.executable, __file__, *arguments),
        ]
    )


def _exec(command: list[str]) -> None:
    options = {name: value for name, value in os.environ.items() if name.startswith("BASELINE_")}
    os.environ.clear()
    here = (CHECKOUT, Path(__file__).parent, Path(__file__).parents[1])
    os.environ.update(environment() | options)
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, here))
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:], _exec)
