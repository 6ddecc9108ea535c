"""``baseline doctor``: what of this the machine can do, each line with its fix.

Nothing is assumed from version numbers: the last check loads the program for real and takes it away
again.
"""

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from baseline.errors import BaselineError
from baseline.kernel.agents import Agent, named
from baseline.kernel.btf import VMLINUX, KernelTypes
from baseline.kernel.capabilities import Capability
from baseline.kernel.collector import Collector, loader_python, pinned_versions
from baseline.kernel.program import BPFFS, THREAD_BYTES, Settings, fingerprint
from baseline.kernel.rights import LOADING, SEEDING, missing, require_folders, user_name
from baseline.kernel.structs import kernel_structs
from baseline.syscalls import ARCHITECTURE
from baseline.workloads.cgroups import cgroup2_mount


class Check(NamedTuple):
    """One finding.

    Attributes:
        name: what was looked at.
        ok: whether it is as it has to be.
        detail: what was found.
        fix: what to do where it is not ok, else empty.
    """

    name: str
    ok: bool
    detail: str
    fix: str = ""


def examine() -> list[Check]:
    """Look at this machine.

    Where all else is well the program is loaded and, unless another command uses it, taken away
    again.
    """
    findings = [check() for check in _CHECKS]
    if all(finding.ok for finding in findings):
        findings.append(_loading())
    return findings


def _system() -> Check:
    release = platform.release()
    ok = sys.platform == "linux" and ARCHITECTURE == "x86_64"
    return Check(
        "system", ok, f"{platform.system()} {release} on {ARCHITECTURE}", "Use x86-64 Linux"
    )


def _rights() -> Check:
    needed = (*LOADING, *SEEDING)
    lacking = missing(needed)
    user = f"user {user_name(os.geteuid())}"
    detail = f"{user} without {_listed(lacking)}" if lacking else f"{user} with {_listed(needed)}"
    return Check("rights", not lacking, detail, "Run with sudo, or as deploy/README.md says")


def _listed(capabilities: Iterable[Capability]) -> str:
    return ", ".join(map(str, capabilities))


def _type_information() -> Check:
    try:
        kernel_structs(KernelTypes())
    except BaselineError as error:
        return Check("kernel types (BTF)", False, error.problem, error.way_out)
    return Check("kernel types (BTF)", True, f"{VMLINUX} has every struct that is read")


def _bpf_file_system() -> Check:
    mounted = os.path.ismount(BPFFS)
    detail = f"mounted at {BPFFS}" if mounted else f"not mounted at {BPFFS}"
    return Check("bpf file system", mounted, detail, f"mount -t bpf bpf {BPFFS}")


def _cgroups() -> Check:
    try:
        mount = cgroup2_mount()
    except BaselineError as error:
        return Check("cgroup2", False, error.problem, error.way_out)
    return Check("cgroup2", True, f"mounted at {mount}")


def _compiler() -> Check:
    version = subprocess.run(
        [loader_python(), "-c", "from bcc import BPF; import bcc; print(bcc.__version__)"],
        capture_output=True,
        text=True,
        check=False,
    )
    if version.returncode:
        return Check(
            "BCC",
            False,
            f"{loader_python()} cannot import it",
            "apt install python3-bpfcc (the `bcc` on PyPI is another project)",
        )
    return Check("BCC", True, f"{version.stdout.strip()} for {loader_python()}")


def _just_in_time_compiler() -> Check:
    switch = Path("/proc/sys/net/core/bpf_jit_enable")
    # Only root may read it; a kernel that always compiles may not have it.
    enabled = not os.access(switch, os.R_OK) or switch.read_text().strip() != "0"
    detail = "on" if enabled else "off: every system call would be interpreted, many times slower"
    return Check("BPF compiler of the kernel", enabled, detail, f"echo 1 > {switch}")


def _pins() -> Check:
    try:
        require_folders()
    except BaselineError as error:
        return Check("program in the kernel", False, error.problem, error.way_out)
    current = fingerprint(Settings())
    versions = [path.name for path in pinned_versions()]
    other = [version for version in versions if version != current]
    users = Agent.others()
    in_use = f"in use by {named(users)}" if users else "in use by nobody"
    if other:
        # As a killed command leaves it, in an upgrade on purpose.
        next_one = "" if users else ": the next command takes its place"
        return Check(
            "program in the kernel",
            not Agent.users_of_others(current),
            f"another version is loaded ({', '.join(other)}), {in_use}{next_one}",
            "Use that version, or end its commands, with SIGKILL if nothing may be left uncounted",
        )
    return Check("program in the kernel", True, f"loaded, {in_use}" if versions else "not loaded")


def _loading() -> Check:
    try:
        with Collector(cgroup2_mount()) as collector:
            # The places of threads are the one large table that only the program can open.
            threads = THREAD_BYTES * Settings().places_of_threads
            tables = threads + sum(m.memory for m in collector.maps.values())
    except BaselineError as error:
        return Check("loading", False, error.problem, error.way_out)
    return Check("loading", True, f"works; tables take about {tables >> 20} MiB of kernel memory")


_CHECKS: tuple[Callable[[], Check], ...] = (
    _system,
    _rights,
    _type_information,
    _bpf_file_system,
    _cgroups,
    _compiler,
    _just_in_time_compiler,
    _pins,
)
