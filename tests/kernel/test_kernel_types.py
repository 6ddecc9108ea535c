"""Offsets and numbers read from the running kernel's types, against bpftool and the compiler."""

import re
import subprocess
from pathlib import Path

import pytest
from compiler import refuted
from requirements import require_tools

from baseline.errors import KernelError
from baseline.kernel.btf import VMLINUX, KernelTypes
from baseline.kernel.structs import kernel_structs
from baseline.syscalls import IO_URING_OPCODES

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def both() -> str:
    """All types of this kernel in C, as bpftool reads them, and beside them the structs of the
    generated header, each renamed to ``our_...``."""
    require_tools("bpftool")
    command = ["bpftool", "btf", "dump", "file", str(VMLINUX), "format", "c"]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    ours = re.sub(r"\bstruct (\w+)", r"struct our_\1", kernel_structs(KernelTypes()))
    return f"{theirs}\n{ours}"


@pytest.fixture(scope="module")
def members() -> list[tuple[str, str]]:
    """Struct and member, of all that are read."""
    header = kernel_structs(KernelTypes())
    found = re.findall(r"__builtin_offsetof\(struct (\w+), (\w+)\)", header)
    assert len(found) > 40
    return found


def test_every_offset_is_the_kernels(
    both: str, members: list[tuple[str, str]], tmp_path: Path
) -> None:
    offset = "__builtin_offsetof(struct {}, {})"
    claims = [
        f"{offset.format(struct, member)} == {offset.format(f'our_{struct}', member)}"
        for struct, member in members
    ]
    claims += [
        "CGROUP_SELF_OFFSET == __builtin_offsetof(struct cgroup, self)",
        "MOUNT_MNT_OFFSET == __builtin_offsetof(struct mount, mnt)",
    ]
    assert refuted(both, claims, tmp_path) == []


def test_every_size_is_the_kernels(
    both: str, members: list[tuple[str, str]], tmp_path: Path
) -> None:
    # Structs inside structs have just the members that are read.
    inner = set(re.findall(r"struct our_\w+ (\w+); };", both))
    size = "sizeof(((struct {} *)0)->{})"
    claims = [
        f"{size.format(struct, member)} == {size.format(f'our_{struct}', member)}"
        for struct, member in members
        if member not in inner
    ]
    assert len(claims) > 30
    assert refuted(both, claims, tmp_path) == []


def test_io_uring_opcodes_are_the_kernels() -> None:
    enum = KernelTypes().enum("io_uring_op")
    names = {number: name.removeprefix("IORING_OP_").lower() for name, number in enum.items()}
    last = enum["IORING_OP_LAST"]
    assert last > 50
    both_know = range(min(last, len(IO_URING_OPCODES)))
    assert [IO_URING_OPCODES[n] for n in both_know] == [names[n] for n in both_know]


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "no type information"), (b"\0" * 64, "is not BTF data")]
)
def test_a_kernel_without_types(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "vmlinux"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(KernelError, match=problem):
        KernelTypes(path)


@pytest.mark.parametrize(
    ("struct", "member", "problem"),
    [("task_struct", "no_such_member", "has no member"), ("no_such_struct", "pid", "has no type")],
)
def test_a_kernel_that_lacks_what_is_read(struct: str, member: str, problem: str) -> None:
    with pytest.raises(KernelError, match=problem):
        KernelTypes().offset(struct, member)
