"""Offsets of struct members in the running kernel, from its BPF Type Format data.

The format is ``Documentation/bpf/btf.rst`` of the kernel.  Only what offsets need is read.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from baseline.errors import KernelError

VMLINUX = Path("/sys/kernel/btf/vmlinux")

_OTHER_KERNEL = "Use Linux 6.1 or newer; if it is, report its release: we have to learn it"

_MAGIC = 0xEB9F
_HEADER = struct.Struct("<HBBIIIII")
_TYPE = struct.Struct("<III")
_MEMBER = struct.Struct("<III")

_STRUCT, _UNION, _ENUM, _FUNCTION = 4, 5, 6, 12
_ALIASES = {8, 9, 10, 11, 18}  # typedef, volatile, const, restrict, type tag
# Bytes that follow a type's header: once, and for each of its members.
_EXTRA_BYTES = {1: 4, 3: 12, 14: 4, 17: 4}
_MEMBER_BYTES = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}


class KernelTypes:
    """The types of a kernel.

    Args:
        path: BTF data, the running kernel's by default.

    Raises:
        KernelError: there is no BTF, or it is none that this version reads.
    """

    def __init__(self, path: Path = VMLINUX) -> None:
        try:
            data = path.read_bytes()
        except OSError as cause:
            raise KernelError(
                f"This kernel has no type information ({path} cannot be read)",
                "Use a kernel built with CONFIG_DEBUG_INFO_BTF, as distributions ship since 2021",
            ) from cause
        self._path = path
        self._positions = [0]
        self._named: dict[tuple[int, int], int] = {}
        with self._reading():
            magic, _, _, header, types, types_size, strings, strings_size = _HEADER.unpack_from(
                data
            )
            if magic != _MAGIC:
                raise ValueError("another file")
            self._types = data[header + types : header + types + types_size]
            self._strings = data[header + strings : header + strings + strings_size]
            self._index()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (struct.error, IndexError, ValueError) as cause:
            raise KernelError(
                f"{self._path} is not BTF data", "Check the kernel's build"
            ) from cause

    def _index(self) -> None:
        position, end = 0, len(self._types)
        while position < end:
            name, info, _ = _TYPE.unpack_from(self._types, position)
            kind, members = info >> 24 & 31, info & 0xFFFF
            self._named.setdefault((kind, name), len(self._positions))
            self._positions.append(position)
            position += _TYPE.size + _EXTRA_BYTES.get(kind, 0)
            position += _MEMBER_BYTES.get(kind, 0) * members

    def offset(self, struct_name: str, member: str) -> int:
        """Byte offset of a member, also through anonymous structs and unions.

        Raises:
            KernelError: this kernel has no such struct or member.
        """
        with self._reading():
            found = self._member(self._find(_STRUCT, struct_name), member, set())
        if found is None:
            raise KernelError(
                f"This kernel's struct {struct_name} has no member {member}",
                _OTHER_KERNEL,
            )
        return found

    def enum(self, name: str) -> dict[str, int]:
        """Names and values of an enumeration.

        Raises:
            KernelError: this kernel has no such enumeration.
        """
        with self._reading():
            position = self._positions[self._find(_ENUM, name)]
            _, info, _ = _TYPE.unpack_from(self._types, position)
            values = struct.Struct("<Ii").iter_unpack(
                self._types[position + _TYPE.size : position + _TYPE.size + 8 * (info & 0xFFFF)]
            )
            return {self._text(offset): value for offset, value in values}

    def struct_id(self, name: str) -> int:
        """Number by which programs name a struct.

        Raises:
            KernelError: this kernel has no such struct.
        """
        return self._find(_STRUCT, name)

    def function_id(self, name: str) -> int:
        """Number by which programs call a function that the kernel offers to them.

        Raises:
            KernelError: this kernel has no such function.
        """
        return self._find(_FUNCTION, name)

    def _find(self, kind: int, name: str) -> int:
        needle = b"\0" + name.encode() + b"\0"
        position = self._strings.find(needle)
        while position >= 0:
            if (kind, position + 1) in self._named:
                return self._named[kind, position + 1]
            position = self._strings.find(needle, position + 1)
        raise KernelError(
            f"This kernel has no type {name}",
            _OTHER_KERNEL,
        )

    def _text(self, offset: int) -> str:
        return self._strings[offset : self._strings.index(b"\0", offset)].decode()

    def _resolve(self, type_id: int) -> tuple[int, int]:
        for _ in self._positions:
            _, info, target = _TYPE.unpack_from(self._types, self._positions[type_id])
            kind = info >> 24 & 31
            if kind not in _ALIASES:
                return type_id, kind
            type_id = target
        raise ValueError("an alias of itself")

    def _member(self, type_id: int, wanted: str, searched: set[int]) -> int | None:
        """Offset of a member, looked for once in each type."""
        if type_id in searched:
            return None
        searched.add(type_id)
        position = self._positions[type_id]
        _, info, _ = _TYPE.unpack_from(self._types, position)
        has_bitfields = info >> 31
        for index in range(info & 0xFFFF):
            name, kind_id, bits = _MEMBER.unpack_from(
                self._types, position + _TYPE.size + _MEMBER.size * index
            )
            offset = int(bits & 0xFFFFFF if has_bitfields else bits) // 8
            text = self._text(name)
            if text == wanted:
                return offset
            if not text:
                inner, kind = self._resolve(kind_id)
                below = self._member(inner, wanted, searched) if kind in {_STRUCT, _UNION} else None
                if below is not None:
                    return offset + below
        return None
