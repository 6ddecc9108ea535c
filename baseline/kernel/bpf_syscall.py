"""The bpf(2) system call, as far as a reader of pinned maps needs it (include/uapi/linux/bpf.h).

Reading the pins directly keeps BCC and its compiler out of the agent.  Only the standard library is
used, because the loader's process needs this too.
"""

import ctypes
import errno
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_CALL_NUMBER = {"x86_64": 321, "aarch64": 280}.get(platform.machine(), -1)
"""On other machines there is no such call, so the kernel says."""

_MAP_LOOKUP_ELEM = 1
_MAP_UPDATE_ELEM = 2
_MAP_DELETE_ELEM = 3
_OBJ_GET = 7
_OBJ_GET_INFO_BY_FD = 15
_MAP_LOOKUP_AND_DELETE_ELEM = 21
_MAP_FREEZE = 22
_MAP_LOOKUP_BATCH = 24
_LINK_CREATE = 28

_ANY, _NO_EXIST = 0, 1  # flags of an update

_FEW = 256
"""Entries that are asked for at once where there may be fewer; more take another call."""

PER_CPU_HASH = 5
"""Map type whose values are one for each possible CPU."""

_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command: int, attributes: ctypes.Structure | ctypes.Array[ctypes.c_uint64]) -> int:
    result: int = _libc.syscall(
        _CALL_NUMBER,
        command,
        ctypes.byref(attributes),
        ctypes.sizeof(attributes),
    )
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _attributes(*words: int) -> ctypes.Array[ctypes.c_uint64]:
    """``union bpf_attr`` from its first 64-bit words; the rest is zero."""
    return (ctypes.c_uint64 * 16)(*words)


def get_object(path: Path) -> int:
    """File descriptor of a pinned map, program or link."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    return _bpf(_OBJ_GET, _attributes(ctypes.addressof(name)))


def create_cgroup_link(program: int, cgroup: int, attach_type: int) -> int:
    """Attach a program to a cgroup by a link, which can be pinned and ends with its last pin."""
    return _bpf(_LINK_CREATE, _attributes(program | cgroup << 32, attach_type))


def freeze_map(descriptor: int) -> None:
    """Take from everybody, root included, the right to change a map by bpf(2), for its lifetime.

    The kernel's own programs go on writing (``map_freeze`` in kernel/bpf/syscall.c).
    """
    _bpf(_MAP_FREEZE, _attributes(descriptor))


class _LinkInfo(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("program", ctypes.c_uint32),
        ("unused", ctypes.c_uint32),
        ("cgroup", ctypes.c_uint64),
        ("rest", ctypes.c_uint8 * 256),
    )


class Link(NamedTuple):
    """What a link attaches.

    Attributes:
        program: id of the program.
        cgroup: id of the cgroup, 0 after it was detached; of other links 0.
    """

    program: int
    cgroup: int


def link_info(descriptor: int) -> Link:
    """What a link attaches now: a program can be exchanged, and a cgroup's be detached, by root."""
    info = _LinkInfo()
    _info(descriptor, info)
    return Link(info.program, info.cgroup)


def _info(descriptor: int, info: ctypes.Structure) -> None:
    words = descriptor | ctypes.sizeof(info) << 32, ctypes.addressof(info)
    _bpf(_OBJ_GET_INFO_BY_FD, _attributes(*words))


class _MapInfo(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("key_size", ctypes.c_uint32),
        ("value_size", ctypes.c_uint32),
        ("max_entries", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("rest", ctypes.c_uint8 * 256),
    )


class _Batch(ctypes.Structure):
    _fields_ = (
        ("in_batch", ctypes.c_uint64),
        ("out_batch", ctypes.c_uint64),
        ("keys", ctypes.c_uint64),
        ("values", ctypes.c_uint64),
        ("count", ctypes.c_uint32),
        ("map", ctypes.c_uint32),
        ("element_flags", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    )


@dataclass(frozen=True)
class BpfMap:
    """A pinned map, open.

    Attributes:
        descriptor: its file descriptor.
        key_size, value_size: bytes of one entry; a per-CPU value is all CPUs' together.
        max_entries: its capacity.
    """

    descriptor: int
    key_size: int
    value_size: int
    max_entries: int

    @classmethod
    def open(cls, path: Path, cpus: int = 1) -> "BpfMap":
        """Open a pin.

        Args:
            path: the pin, in a bpf file system.
            cpus: possible CPUs, which a per-CPU map has values for.

        Raises:
            OSError: there is no such pin, or we may not open it.
        """
        descriptor = get_object(path)
        info = _MapInfo()
        _info(descriptor, info)
        # The kernel pads each CPU's value to 8 bytes (kernel/bpf/hashtab.c).
        value_size = info.value_size
        if info.type == PER_CPU_HASH:
            value_size = (value_size + 7) // 8 * 8 * cpus
        return cls(descriptor, info.key_size, value_size, info.max_entries)

    @property
    def memory(self) -> int:
        """Bytes that it takes of the kernel, all of it, as the kernel reckons them."""
        shown = Path(f"/proc/self/fdinfo/{self.descriptor}").read_text()
        return int(shown.partition("memlock:")[2].split()[0])

    def lookup(self, key: bytes) -> bytes | None:
        """Value of a key, ``None`` where it is not there."""
        value = ctypes.create_string_buffer(self.value_size)
        try:
            _bpf(_MAP_LOOKUP_ELEM, self._element(key, ctypes.addressof(value)))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return value.raw

    def update(self, key: bytes, value: bytes) -> None:
        """Set a key's value."""
        self._set(key, value, _ANY)

    def insert(self, key: bytes, value: bytes) -> None:
        """Set the value of a key that is not there.

        Raises:
            OSError: with EEXIST, it is there; with E2BIG or ENOMEM, there is no room.
        """
        self._set(key, value, _NO_EXIST)

    def _set(self, key: bytes, value: bytes, flags: int) -> None:
        buffer = ctypes.create_string_buffer(value, self.value_size)
        _bpf(_MAP_UPDATE_ELEM, self._element(key, ctypes.addressof(buffer), flags))

    def delete(self, key: bytes) -> bool:
        """Remove a key; whether it was there."""
        try:
            _bpf(_MAP_DELETE_ELEM, self._element(key, 0))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            return False
        return True

    def pop(self) -> bytes | None:
        """Take the first value of a queue, ``None`` where it is empty."""
        value = ctypes.create_string_buffer(self.value_size)
        try:
            _bpf(_MAP_LOOKUP_AND_DELETE_ELEM, self._element(b"", ctypes.addressof(value)))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return value.raw

    def _element(
        self, key: bytes, value_address: int, flags: int = 0
    ) -> ctypes.Array[ctypes.c_uint64]:
        buffer = ctypes.create_string_buffer(key, self.key_size) if key else None
        attributes = _attributes(
            self.descriptor, ctypes.addressof(buffer) if buffer else 0, value_address, flags
        )
        attributes.key_buffer = buffer  # type: ignore[attr-defined]  # lives as long as the call
        return attributes

    def entries(self, chunk: int = 4096) -> Iterator[tuple[memoryview, memoryview]]:
        """All entries of a hash map or an array, in batches of keys and of values, each contiguous.

        An entry that is inserted meanwhile may or may not be among them.  (The kernel's cursor is
        a bucket number; a bucket that does not fit answers ENOSPC, and the batch grows.)
        """
        cursor = ctypes.create_string_buffer(max(self.key_size, 8))
        batch = _Batch(map=self.descriptor, out_batch=ctypes.addressof(cursor))
        while True:
            keys = ctypes.create_string_buffer(chunk * self.key_size)
            values = ctypes.create_string_buffer(chunk * self.value_size)
            batch.keys, batch.values = ctypes.addressof(keys), ctypes.addressof(values)
            batch.count = chunk
            at_end = False
            try:
                _bpf(_MAP_LOOKUP_BATCH, batch)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    chunk *= 2
                    continue
                if error.errno != errno.ENOENT:
                    raise
                at_end = True
            count = batch.count
            if count:
                yield (
                    memoryview(keys)[: count * self.key_size],
                    memoryview(values)[: count * self.value_size],
                )
            if at_end:
                return
            batch.in_batch = ctypes.addressof(cursor)

    def contents(self) -> tuple[bytes, bytes]:
        """All keys and all values, of a map of few entries; in one order while none changes."""
        batches = list(self.entries(chunk=_FEW))
        return b"".join(keys for keys, _ in batches), b"".join(values for _, values in batches)

    def close(self) -> None:
        """Let the descriptor go; the pin stays."""
        os.close(self.descriptor)
