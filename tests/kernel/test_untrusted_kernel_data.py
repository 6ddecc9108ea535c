"""The kernel's own data, read from where somebody else might have written it."""

import struct
import time
from pathlib import Path

import numpy as np
import pytest
from fuzzing import changed_bytes, fuzzed, refusal_of
from hypothesis import given
from hypothesis import strategies as st

from baseline.errors import KernelError
from baseline.kernel import layout, position
from baseline.kernel.btf import KernelTypes
from baseline.kernel.decoding import decode_connection, decode_event
from baseline.kernel.images import Images, decode_image
from baseline.printable import printable
from baseline.recordings.tables import check
from baseline.window import Connection, Execution, Image, Window

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


@given(st.binary(min_size=layout.CONNECTION_KEY.itemsize, max_size=layout.CONNECTION_KEY.itemsize))
@fuzzed(300)
def test_any_connection_can_be_recorded(record: bytes) -> None:
    key = np.frombuffer(record, layout.CONNECTION_KEY)[0]
    check(window(connections={decode_connection(key): 1}))


def event(kind: int, arguments: bytes) -> bytes:
    """A first sight as the kernel writes it."""
    header = np.zeros((), layout.EVENT)
    header["type"], header["group"], header["pid"] = kind, 1, 23
    header["arguments_length"] = len(arguments)
    header["arguments"] = arguments.ljust(layout.ARGUMENTS_SIZE, b"\0")
    return header.tobytes() + bytes(layout.EXECUTION_KEY.itemsize)


class NoNames(Images):
    """A table of images without any."""

    def __init__(self) -> None:
        pass

    def name(self, image_hash: int) -> Image:
        return Image(f"image {image_hash}")


@given(
    st.integers(0, 4).flatmap(lambda kind: changed_bytes(event(kind, b"sh\0-c\0id\0"))),
)
@fuzzed(500)
def test_any_event_is_of_something(record: bytes) -> None:
    """The process chose its name and arguments; the rest is the kernel's, and as long as ever."""
    record = record[: layout.EVENT_SIZE].ljust(layout.EVENT_SIZE, b"\0")
    _, _, item, who = decode_event(record, NoNames())
    process = who()
    assert isinstance(item, int | Execution | Connection)
    if process:
        assert sum(map(len, process.arguments)) <= 4 * layout.ARGUMENTS_SIZE  # as escapes
        printable(" ".join((process.comm, *process.arguments))).encode()


@given(st.data())
@fuzzed(300)
def test_any_position_is_one_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    monkeypatch.setattr(position, "_DIRECTORY", tmp_path)
    kept = position.PositionFile("reader")
    arrays = {"slots": np.arange(9, dtype=np.uint64), "sights": np.zeros((2, 3), np.int64)}
    second = time.monotonic() // 1  # written in as many digits every time, as hypothesis needs it
    kept.save(position.Position(7, 3, second, ("demo/*",), 2, arrays))
    assert kept.load() is not None
    file = tmp_path / "reader.position"
    file.write_bytes(data.draw(changed_bytes(file.read_bytes()) | st.binary(max_size=99)))
    found = kept.load()
    assert found is None or all(isinstance(glob, str) for glob in found.globs)
    kept.close()
