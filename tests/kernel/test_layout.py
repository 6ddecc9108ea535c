"""The kernel part and its readers agree: ``bpf/layout.h`` is compiled and compared."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import require_tools

from baseline import syscalls, window
from baseline.kernel import layout, program
from baseline.resources import resource_directory

HEADER = resource_directory("bpf") / "layout.h"

STRUCTS = {
    "slot": layout.SLOT,
    "ngram_key": layout.NGRAM_KEY,
    "execution_key": layout.EXECUTION_KEY,
    "connection_key": layout.CONNECTION_KEY,
    "image": layout.IMAGE,
    "process": layout.PROCESS,
    "ledger": layout.LEDGER,
    "control": layout.CONTROL,
    "event": layout.EVENT,
    "cgroup_path": None,  # plain text
}
"""Struct -> its dtype."""

CONSTANTS = {
    "SYMBOL_BITS": syscalls.SYMBOL_BITS,
    "NGRAM_LENGTH": syscalls.NGRAM_LENGTH,
    "NGRAM_MASK": (1 << syscalls.SYMBOL_BITS * syscalls.NGRAM_LENGTH) - 1,
    "SYMBOL_OUT_OF_RANGE": syscalls.OUT_OF_RANGE,
    "SYMBOL_CANCELLED": syscalls.CANCELLED,
    "SYMBOL_COMPAT": syscalls.COMPAT_FLAG,
    "KIND_IO_URING": syscalls.KIND_IO_URING << syscalls.KIND_SHIFT,
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
    "COMM_SIZE": layout.COMM_SIZE,
    "DIRECTION_IN": layout.DIRECTIONS.index("in"),
    "DIRECTION_OUT": layout.DIRECTIONS.index("out"),
    "EVENT_NGRAM": layout.EVENT_NGRAM,
    "EVENT_EXECUTION": layout.EVENT_EXECUTION,
    "EVENT_CONNECTION": layout.EVENT_CONNECTION,
    "CGROUP_PATH_SIZE": None,  # the map says it
}
"""Constant -> its value in Python."""


def offsets(dtype: np.dtype[np.void]) -> dict[str, tuple[int, int]]:
    """Field -> offset and size."""
    fields = dtype.fields or {}
    return {name: (int(field[1]), field[0].itemsize) for name, field in fields.items()}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """What the compiler says: ``struct``, ``struct.member``, ``struct.member size``, constant."""
    require_tools("gcc")
    expressions = {name: name for name in CONSTANTS}
    for name, dtype in STRUCTS.items():
        expressions[name] = f"sizeof(struct {name})"
        members = offsets(dtype) if dtype else {}
        for member in [*members, *(("ngram", "execution", "connection") if name == "event" else ())]:
            expressions[f"{name}.{member}"] = f"__builtin_offsetof(struct {name}, {member})"
            expressions[f"{name}.{member} size"] = f"sizeof(((struct {name} *)0)->{member})"
    prints = [
        f'printf("%s=%llu\\n", "{key}", (unsigned long long)({expression}));'
        for key, expression in expressions.items()
    ]
    source = "\n".join(
        [
            "#include <stdint.h>",
            "#include <stdio.h>",
            *(f"typedef uint{bits}_t u{bits};" for bits in (8, 16, 32, 64)),
            f'#include "{HEADER}"',
            "int main(void) {",
            *prints,
            "}",
        ]
    )
    folder = tmp_path_factory.mktemp("layout")
    (folder / "layout.c").write_text(source)
    command = ["gcc", "-Wall", "-Werror", folder / "layout.c", "-o", folder / "layout"]
    subprocess.run(command, check=True)
    lines = subprocess.run([folder / "layout"], capture_output=True, text=True, check=True).stdout
    return {key: int(value) for key, _, value in (line.partition("=") for line in lines.split("\n") if line)}


def test_every_struct_and_constant_is_compared() -> None:
    text = HEADER.read_text()
    assert set(re.findall(r"^struct (\w+) \{", text, re.MULTILINE)) == set(STRUCTS)
    constants = re.findall(r"^#define (\w+)|^\t(\w+) = ", text, re.MULTILINE)
    assert {a or b for a, b in constants} == set(CONSTANTS)


@pytest.mark.parametrize("name", [name for name, dtype in STRUCTS.items() if dtype])
def test_struct(name: str, compiled: dict[str, int]) -> None:
    dtype = STRUCTS[name]
    assert dtype is not None
    end = 0
    for member, (offset, size) in offsets(dtype).items():
        assert (offset, size) == (compiled[f"{name}.{member}"], compiled[f"{name}.{member} size"])
        assert offset == end, "a member of the struct is missing here, or it has padding"
        end += size
    assert end == dtype.itemsize
    assert compiled[name] == (layout.EVENT_SIZE if name == "event" else dtype.itemsize)


@pytest.mark.parametrize("item", ["ngram", "execution", "connection"])
def test_an_event_is_its_header_and_then_its_item(item: str, compiled: dict[str, int]) -> None:
    assert compiled[f"event.{item}"] == layout.EVENT.itemsize


@pytest.mark.parametrize("name", [name for name, value in CONSTANTS.items() if value is not None])
def test_constant(name: str, compiled: dict[str, int]) -> None:
    assert compiled[name] == CONSTANTS[name]


def test_one_depth_of_lineages() -> None:
    assert layout.MAX_LINEAGE == window.MAX_LINEAGE


def test_hash_reads_whole_words(compiled: dict[str, int]) -> None:
    assert compiled["image"] % 8 == 0
    assert Path(HEADER).name == "layout.h"
