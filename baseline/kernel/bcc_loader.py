"""Compiles the program with BCC, attaches and pins it, and exits.

Run as a process of its own, by a Python that has BCC (the system's, with ``python3-bpfcc``), so
that the compiler's 130 MiB leave with it; it uses nothing but the standard library and BCC.
Programs, links and maps stay in the kernel through their pins.

Input, one JSON object on stdin: ``settings`` (an object), ``pin`` and ``cgroup_mount`` (folders),
and whether the program is ``alone``.
Output, one JSON object on stdout: ``{}``, or ``{"problem": ..., "way_out": ...}``.
"""

import contextlib
import ctypes
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from baseline.errors import BaselineError, KernelError
from baseline.kernel.bpf_syscall import create_cgroup_link, freeze_map, get_object
from baseline.kernel.btf import KernelTypes
from baseline.kernel.kernel_functions import RDONLY_CAST_MARK, call_kernel_function
from baseline.kernel.program import (
    CGROUP_HOOKS,
    COUNT_CALL,
    COUNTING_PIN,
    FORMER_NAMES,
    FUNCTION_PREFIX,
    LINK_PREFIX,
    MAPS,
    MAX_GROUPS,
    OWN_MAPS,
    RAW_TRACEPOINTS,
    SYSTEM_CALLS,
    UNFINISHED_PREFIX,
    Settings,
    possible_cpus,
    program_text,
)
from baseline.kernel.structs import RDONLY_CAST, kernel_structs, run_queue_type
from baseline.resources import resource_directory

_PROG_TYPE_CGROUP_SOCK_ADDR = 18  # enum bpf_prog_type, include/uapi/linux/bpf.h


@contextlib.contextmanager
def _captured_stderr() -> Iterator[list[str]]:
    """The compiler and the verifier write to file descriptor 2: keep that for the error message."""
    captured: list[str] = []
    with tempfile.TemporaryFile() as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield captured
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            captured.append(file.read().decode(errors="replace"))


def _compile(settings: Settings, types: KernelTypes, serial: int) -> Any:  # BCC has no types
    os.environ["BCC_KERNEL_SOURCE"] = str(resource_directory("bpf") / "stubs")
    try:
        from bcc import BPF
    except ImportError as cause:
        raise KernelError(
            "BCC is not installed for the system's Python",
            "Install Debian's or Ubuntu's package: apt install python3-bpfcc (not `bcc` from PyPI)",
        ) from cause

    text = program_text(settings, kernel_structs(types), serial)
    with _explained():
        return BPF(text=text)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Give what BCC raises the last lines of what it wrote to stderr."""
    diagnostics: list[str] = []
    try:
        with _captured_stderr() as diagnostics:
            yield
    except Exception as cause:
        last_lines = "\n".join("".join(diagnostics).strip().splitlines()[-12:])
        raise KernelError(
            f"The kernel program could not be loaded ({cause}): {last_lines or 'no diagnostics'}",
            "Run `baseline doctor` to see what this kernel lacks",
        ) from cause


def _pin(descriptor: int, path: Path) -> None:
    from bcc import lib

    if lib.bpf_obj_pin(descriptor, str(path).encode()):
        cause = os.strerror(ctypes.get_errno())
        raise KernelError(f"{path} cannot be pinned: {cause}", "Run `baseline doctor`")


def _share_counting(bpf: Any) -> None:  # BCC has no types
    """Put the map that all versions share in the place of the one that BCC made.

    BCC opens a pinned map by its id, which is for CAP_SYS_ADMIN alone.  A program finds its maps by
    descriptor while it is loaded, so whatever is behind that descriptor by then is its map.
    """
    made: int = bpf["counting"].map_fd
    try:
        shared = get_object(COUNTING_PIN)
    except FileNotFoundError:
        _pin(made, COUNTING_PIN)
        return
    os.dup2(shared, made, inheritable=False)
    os.close(shared)


def _attach(bpf: Any) -> None:  # BCC has no types
    """Attach what stands at raw tracepoints, apart from what counts system calls."""
    for name in RAW_TRACEPOINTS:
        if name == SYSTEM_CALLS:
            continue
        try:
            with _explained():
                bpf.attach_raw_tracepoint(tp=name, fn_name=FUNCTION_PREFIX + name)
        except KernelError:
            if name not in FORMER_NAMES:
                raise
            former = FORMER_NAMES[name]
            with _explained():
                bpf.attach_raw_tracepoint(tp=former, fn_name=FUNCTION_PREFIX + name)
            links = bpf.raw_tracepoint_fds
            links[name.encode()] = links.pop(former.encode())


def _count_calls(bpf: Any, types: KernelTypes) -> None:  # BCC has no types
    """Attach what counts system calls, the fastest that this kernel takes."""
    from bcc import BPF, lib

    cast = types.function_id(RDONLY_CAST) if run_queue_type(types) else 0
    for name in COUNT_CALL:
        start = lib.bpf_function_start(bpf.module, name.encode())
        if not start:  # not made for this kernel
            continue
        if cast:
            size = lib.bpf_function_size(bpf.module, name.encode())
            call_kernel_function(start, size, RDONLY_CAST_MARK, cast)
        try:
            with _explained():
                bpf.load_func(name, BPF.RAW_TRACEPOINT)
        except KernelError:
            if name == COUNT_CALL[-1]:
                raise
            continue
        bpf.attach_raw_tracepoint(tp=SYSTEM_CALLS, fn_name=name)
        return


def _fill(bpf: Any, serial: int) -> None:  # BCC has no types
    """What the maps hold before anyone reads them: all group numbers free, a secret hash seed."""
    from bcc import lib

    for group in range(1, MAX_GROUPS):
        bpf["free_groups"].push(ctypes.c_uint32(group))
    control = bpf["control"].Leaf(
        generation=1, image_seed=int.from_bytes(os.urandom(8)), serial=serial
    )
    bpf["control"][ctypes.c_int(0)] = control
    for name in OWN_MAPS:
        descriptor = lib.bpf_table_fd(bpf.module, name.encode())  # bpf[...] knows no task storage
        if descriptor >= 0:  # run queues are not for every kernel
            freeze_map(descriptor)


def load(settings: Settings, pin: Path, cgroup_mount: Path, *, alone: bool) -> None:
    """Compile, attach and pin everything; the folder ``pin`` appears whole or not at all.

    Args:
        settings: sizes of the tables.
        pin: the folder.
        cgroup_mount: where cgroup2 is mounted.
        alone: no other version is loaded, so that this one is to count at once.

    Raises:
        KernelError: the program does not compile, load, attach or pin here.
    """
    serial = int.from_bytes(os.urandom(8)) | 1
    pin.parent.mkdir(exist_ok=True)
    # bpffs reserves names with a dot.
    unfinished = Path(tempfile.mkdtemp(prefix=UNFINISHED_PREFIX, dir=pin.parent))
    try:
        types = KernelTypes()
        bpf = _compile(settings, types, serial)
        _share_counting(bpf)
        if alone:
            for cpu in range(possible_cpus()):
                bpf["counting"][ctypes.c_int(cpu)] = ctypes.c_uint64(serial)
        _fill(bpf, serial)
        _attach(bpf)
        _count_calls(bpf, types)
        for name in MAPS:
            _pin(bpf[name].map_fd, unfinished / name)
        for name in RAW_TRACEPOINTS:
            _pin(bpf.raw_tracepoint_fds[name.encode()], unfinished / (LINK_PREFIX + name))
        root = os.open(cgroup_mount, os.O_RDONLY | os.O_DIRECTORY)
        for name, attach_type in CGROUP_HOOKS.items():
            with _explained():
                hook = bpf.load_func(name, _PROG_TYPE_CGROUP_SOCK_ADDR, attach_type=attach_type)
            link = create_cgroup_link(hook.fd, root, attach_type)
            _pin(link, unfinished / (LINK_PREFIX + name))
        unfinished.rename(pin)
    except BaseException:
        for path in unfinished.iterdir():
            path.unlink()
        unfinished.rmdir()
        if alone:
            COUNTING_PIN.unlink(missing_ok=True)
        raise


def main() -> None:
    """Entry point of the loader process."""
    request = json.load(sys.stdin)
    try:
        load(
            Settings(**request["settings"]),
            Path(request["pin"]),
            Path(request["cgroup_mount"]),
            alone=request["alone"],
        )
    except BaselineError as error:
        json.dump({"problem": error.problem, "way_out": error.way_out}, sys.stdout)
    except OSError as error:
        json.dump({"problem": str(error), "way_out": "Run `baseline doctor`"}, sys.stdout)
    else:
        json.dump({}, sys.stdout)


if __name__ == "__main__":
    main()
