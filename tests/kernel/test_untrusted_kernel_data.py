"""The kernel's own data, read from where somebody else might have written it."""

import struct
from pathlib import Path

import numpy as np
import pytest
from fuzzing import changed_bytes, fuzzed, refusal_of
from hypothesis import given
from hypothesis import strategies as st

from baseline.errors import KernelError
from baseline.kernel import layout
from baseline.kernel.btf import KernelTypes
from baseline.kernel.decoding import decode_connection
from baseline.kernel.images import decode_image
from baseline.recordings.tables import check
from baseline.window import Execution, Window

INT, STRUCT, UNION, ENUM, TYPEDEF = 1, 4, 5, 6, 8


def btf() -> bytes:
    """Types of ``struct task { int pid; union { inner_t; int other; }; }``, and an enumeration."""
    names = ["int", "inner", "a", "task", "pid", "inner_t", "state", "RUNNING", "other"]
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in names)
    at = {name: strings.index(b"\0" + name.encode() + b"\0") + 1 for name in names} | {"": 0}

    def record(name: str, kind: int, size: int, *members: tuple[int, ...]) -> bytes:
        words = [at[name], kind << 24 | len(members), size, *(n for m in members for n in m)]
        return struct.pack(f"<{len(words)}I", *words)

    types = b"".join(
        [
            record("int", INT, 4) + struct.pack("<I", 32),  # 1
            record("inner", STRUCT, 8, (at["a"], 1, 32)),  # 2
            record("inner_t", TYPEDEF, 2),  # 3
            record("", UNION, 8, (0, 3, 0), (at["other"], 1, 0)),  # 4
            record("task", STRUCT, 16, (at["pid"], 1, 0), (0, 4, 64)),  # 5
            record("state", ENUM, 4, (at["RUNNING"], 1)),  # 6
        ]
    )
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    return header + types + strings


@pytest.fixture
def types_file(tmp_path: Path) -> Path:
    return tmp_path / "vmlinux"


def test_types_of_a_small_kernel(types_file: Path) -> None:
    types_file.write_bytes(btf())
    types = KernelTypes(types_file)
    assert [types.offset("task", member) for member in ("pid", "a", "other")] == [0, 12, 8]
    assert types.enum("state") == {"RUNNING": 1}


@given(changed_bytes(btf()) | st.binary(max_size=99))
@fuzzed(500)
def test_any_types_have_offsets_or_are_refused(types_file: Path, content: bytes) -> None:
    types_file.write_bytes(content)

    def use() -> None:
        types = KernelTypes(types_file)
        for name, member in (("task", "pid"), ("task", "a"), ("task", "other"), ("inner", "a")):
            assert types.offset(name, member) >= 0
        assert types.enum("state")

    refusal_of(use, KernelError)


def window(**parts: object) -> Window:
    return Window("web", "", 0, 1, 1, **parts)  # type: ignore[arg-type]  # by the tests below


@given(st.binary(min_size=layout.IMAGE.itemsize, max_size=layout.IMAGE.itemsize))
@fuzzed(300)
def test_any_image_can_be_recorded(record: bytes) -> None:
    image = decode_image(np.frombuffer(record, layout.IMAGE)[0])
    check(window(executions={Execution((image,), 0): 1}))


@given(
    st.binary(min_size=layout.CONNECTION_KEY.itemsize, max_size=layout.CONNECTION_KEY.itemsize),
    st.sampled_from(range(len(layout.DIRECTIONS))),
)
@fuzzed(300)
def test_any_connection_can_be_recorded(record: bytes, direction: int) -> None:
    key = np.frombuffer(record, layout.CONNECTION_KEY).copy()
    key["direction"] = direction
    check(window(connections={decode_connection(key[0]): 1}))
