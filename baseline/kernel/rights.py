"""What a command may have to be allowed, refusing without it, and giving it up when it is done.

Which capability is for what was found by taking each away (``tests/kernel/test_kernel_rights.py``).
Once the pins are open, everything the kernel is asked for goes through open descriptors and folders
of our own, so nothing of it is needed any more.
"""

import contextlib
import os
import pwd
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from baseline.errors import KernelError
from baseline.invocation import this_command
from baseline.kernel.agents import RUN_DIRECTORY, Agent, named
from baseline.kernel.capabilities import Capability, has, keep_only, threads_with_more
from baseline.kernel.program import BPFFS, PIN_ROOT

LOADING: Mapping[Capability, str] = {
    Capability.BPF: "makes tables and programs in the kernel",
    Capability.PERFMON: "lets these programs read the kernel's memory",
    Capability.NET_ADMIN: "attaches them to connect and sendmsg",
}
"""What loading needs, and what for."""

SEEDING: Mapping[Capability, str] = {
    Capability.SYS_PTRACE: "reads which programs run already",
}
"""What counting needs at its start, also where the program is loaded."""

WRITING = (Capability.DAC_OVERRIDE, Capability.FOWNER)
"""What root needs to write results into folders of other users."""

_INCLUDES = {Capability.SYS_ADMIN: LOADING}
"""Capability -> those that it stands for in the kernel (include/linux/capability.h)."""


def missing(needed: Iterable[Capability]) -> list[Capability]:
    """Those that we do not have."""
    return [
        capability
        for capability in needed
        if not has(capability)
        and not any(has(whole) for whole, parts in _INCLUDES.items() if capability in parts)
    ]


def require_rights(pin: Path) -> None:
    """Refuse where counting is not possible, before anything is tried.

    Args:
        pin: folder of the program's pins; where it is not there, the program has to be loaded.

    Raises:
        KernelError: a capability is missing, or as of :func:`require_folders`.
    """
    needed = dict(SEEDING)
    with contextlib.suppress(PermissionError):  # require_folders will say it
        if not pin.exists():
            needed = {**LOADING, **SEEDING}
    lacking = missing(needed)
    if lacking:
        what_for = "; ".join(f"{right}, which {needed[right]}" for right in lacking)
        raise KernelError(
            f"Reading what the kernel counts needs {what_for}",
            "Run the command with sudo or as deploy/README.md says, or work on a recording with "
            "--from",
        )
    require_folders()


def require_folders(*, any_owner: bool = False) -> None:
    """Refuse where the pins, or the files of the commands, could not be ours.

    Whoever may write there could put something else in their place.

    Args:
        any_owner: what belongs to others will do, to take it away.

    Raises:
        KernelError: the bpf file system is not mounted, or a folder is missing and we may not make
            it, belongs to another user or is open to others.
    """
    if not os.path.ismount(BPFFS):
        raise KernelError(
            f"The bpf file system is not mounted at {BPFFS}", f"Run: mount -t bpf bpf {BPFFS}"
        )
    for folder in (PIN_ROOT, RUN_DIRECTORY):
        _require_folder(folder, any_owner)


def _require_folder(folder: Path, any_owner: bool) -> None:
    user = user_name(os.geteuid())
    make = f"install -d -m 700 -o {user} {folder}"
    try:
        found = folder.lstat()
    except FileNotFoundError:
        if os.access(folder.parent, os.W_OK | os.X_OK):
            return
        raise KernelError(
            f"There is no {folder}, and {user} may not make it", f"As root: {make}"
        ) from None
    except PermissionError as cause:
        raise KernelError(
            f"{user} may not look into {folder.parent}", f"As root: chmod o+x {folder.parent}"
        ) from cause
    if any_owner:
        return
    if found.st_uid != os.geteuid():
        raise KernelError(
            f"{folder} belongs to {user_name(found.st_uid)}, not to {user}",
            _way_out_of_ownership(),
        )
    if found.st_mode & 0o022:
        raise KernelError(f"Others may write to {folder}", f"Run: chmod 700 {folder}")


def _way_out_of_ownership() -> str:
    as_owner = "Run the command as that user, as deploy/README.md says"
    with contextlib.suppress(PermissionError):  # only the owner and root can know
        if users := Agent.others():
            return f"{as_owner}; in use by {named(users)}"
    return f"{as_owner}, or if nobody uses it take it away: sudo {this_command()} unload"


def user_name(user: int) -> str:
    """Name of a user, or the number of one without a name."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def give_up_rights(say: Callable[[str], None], keep: Iterable[Capability] = ()) -> None:
    """Keep only what counting goes on to need, and let nothing regain more.

    What is kept beyond ``keep``, if we have it: CAP_DAC_READ_SEARCH for who is not root, because
    the files in which container managers name their containers are for root alone.

    Args:
        say: told where that is not possible.
        keep: what the command needs to write its results.
    """
    kept = {*keep}
    if os.geteuid() != 0:
        kept.add(Capability.DAC_READ_SEARCH)
    try:
        keep_only(kept)
    except OSError as error:
        say(f"Rights that are not needed any more cannot be given up: {error.strerror}")
    others = threads_with_more()
    if others:
        say(f"{others} threads keep rights that are not needed any more")
