"""The kernel part and its readers agree: ``bpf/layout.h`` is compiled and compared."""

import re
from pathlib import Path

import numpy as np
import pytest
from compiler import refuted

from baseline import syscalls, window
from baseline.kernel import layout, program
from baseline.resources import resource_directory

HEADER = (resource_directory("bpf") / "layout.h").read_text()
TYPES = "".join(f"typedef __UINT{bits}_TYPE__ u{bits};\n" for bits in (8, 16, 32, 64))

STRUCTS = {
    "slot": layout.SLOT,
    "counter": layout.COUNTER,
    "owner": layout.OWNER,
    "ngram_key": layout.NGRAM_KEY,
    "execution_key": layout.EXECUTION_KEY,
    "connection_key": layout.CONNECTION_KEY,
    "image": layout.IMAGE,
    "process": layout.PROCESS,
    "ledger": layout.LEDGER,
    "control": layout.CONTROL,
}
"""Struct -> its dtype.  An event is a header and one of these; a cgroup's path is plain text."""

CONSTANTS = {
    "SYMBOL_BITS": syscalls.SYMBOL_BITS,
    "NGRAM_LENGTH": syscalls.NGRAM_LENGTH,
    "NGRAM_MASK": (1 << syscalls.SYMBOL_BITS * syscalls.NGRAM_LENGTH) - 1,
    "SYMBOL_OUT_OF_RANGE": syscalls.OUT_OF_RANGE,
    "SYMBOL_CANCELLED": syscalls.CANCELLED,
    "SYMBOL_COMPAT": syscalls.COMPAT_FLAG,
    "KIND_SHIFT": syscalls.KIND_SHIFT,
    "KIND_IO_URING": syscalls.KIND_IO_URING << syscalls.KIND_SHIFT,
    "KIND_FOLDED": syscalls.KIND_FOLDED << syscalls.KIND_SHIFT,
    "GROUP_FREE": layout.GROUP_FREE,
    "GROUP_TAKING": layout.GROUP_TAKING,
    "GROUP_TRACKED": layout.GROUP_TRACKED,
    "GROUP_ENDED": layout.GROUP_ENDED,
    "GROUP_WIPED": layout.GROUP_WIPED,
    "IMAGE_FOLDED": layout.IMAGE_FOLDED,
    "ANY_USER": layout.ANY_USER,
    "ARGUMENTS_SIZE": layout.ARGUMENTS_SIZE,
    "MAX_ARGUMENTS": layout.MAX_ARGUMENTS,
    "MAX_GROUPS": program.MAX_GROUPS,
    "GROUP_SHIFT": layout.GROUP_SHIFT,
    "COUNT_MASK": layout.COUNT_MASK,
    "MAX_LINEAGE": layout.MAX_LINEAGE,
    "PATH_COMPONENTS": layout.PATH_COMPONENTS,
    "COMPONENT_SIZE": layout.COMPONENT_SIZE,
    "SCRIPT_SIZE": layout.SCRIPT_SIZE,
    "IMAGE_UNLINKED": layout.IMAGE_UNLINKED,
    "IMAGE_PATH_CUT": layout.IMAGE_PATH_CUT,
    "IMAGE_DETACHED": layout.IMAGE_DETACHED,
    "CGROUP_PATH_SIZE": layout.CGROUP_PATH_SIZE,
    "COMM_SIZE": layout.COMM_SIZE,
    "DIRECTION_IN": layout.DIRECTIONS.index("in"),
    "DIRECTION_OUT": layout.DIRECTIONS.index("out"),
    "EVENT_NGRAM": layout.EVENT_NGRAM,
    "EVENT_EXECUTION": layout.EVENT_EXECUTION,
    "EVENT_CONNECTION": layout.EVENT_CONNECTION,
}
"""Constant -> its value in Python."""


def layout_claims(struct: str, dtype: np.dtype[np.void]) -> list[str]:
    """What a dtype says of its struct: each member's place and size."""
    return [
        claim
        for member, (kind, offset, *_) in (dtype.fields or {}).items()
        for claim in (
            f"__builtin_offsetof(struct {struct}, {member}) == {offset}",
            f"sizeof(((struct {struct} *)0)->{member}) == {kind.itemsize}",
        )
    ]


def test_everything_is_compared() -> None:
    structs = set(re.findall(r"^struct (\w+) \{", HEADER, re.MULTILINE))
    assert structs == {*STRUCTS, "event", "cgroup_path"}
    constants = re.findall(r"^(?:#define |\t)([A-Z][A-Z_]+)(?: =)? ", HEADER, re.MULTILINE)
    assert set(constants) == set(CONSTANTS)


@pytest.mark.parametrize("struct", STRUCTS)
def test_struct(struct: str, tmp_path: Path) -> None:
    dtype = STRUCTS[struct]
    size = f"sizeof(struct {struct}) == {dtype.itemsize}"
    assert refuted(TYPES + HEADER, [size, *layout_claims(struct, dtype)], tmp_path) == []
    members = [kind.itemsize for kind, *_ in (dtype.fields or {}).values()]
    assert sum(members) == dtype.itemsize, "the kernel compares keys with their padding"


def test_event(tmp_path: Path) -> None:
    claims = [f"sizeof(struct event) == {layout.EVENT_SIZE}", *layout_claims("event", layout.EVENT)]
    claims += [
        f"__builtin_offsetof(struct event, {item}) == {layout.EVENT.itemsize}"
        for item in ("ngram", "execution", "connection")
    ]
    assert refuted(TYPES + HEADER, claims, tmp_path) == []


def test_constants(tmp_path: Path) -> None:
    claims = [f"{name} == {value}ULL" for name, value in CONSTANTS.items()]
    assert refuted(TYPES + HEADER, claims, tmp_path) == []


def test_one_depth_of_lineages() -> None:
    assert layout.MAX_LINEAGE == window.MAX_LINEAGE


def test_a_false_claim_is_refuted(tmp_path: Path) -> None:
    claims = ["sizeof(struct slot) == 16", "sizeof(struct slot) == 24"]
    assert refuted(TYPES + HEADER, claims, tmp_path) == claims[1:]
