"""Reader of a BPF ring buffer (Documentation/bpf/ringbuf.rst) by memory map, without a library.

The first page holds the consumer's position and is ours to write; the second holds the producer's;
then comes the data, mapped twice in a row, so that a record never wraps.  A record is a header of
eight bytes (length with a busy bit and a discard bit) and its content, rounded up to eight bytes.
"""

import mmap
import struct
from collections.abc import Iterator

from baseline.kernel.bpf_syscall import BpfMap

_BUSY = 1 << 31
_DISCARDED = 1 << 30
_HEADER_SIZE = 8
_POSITION_SIZE = 8
_LENGTH = struct.Struct("<I")


class RingBuffer:
    """The one reader of a ring buffer.

    Args:
        table: the map, of type ``BPF_MAP_TYPE_RINGBUF``.
        read_on: take what an earlier reader left; otherwise it is dropped.

    Attributes:
        descriptor: can be read when there may be something to take.
    """

    def __init__(self, table: BpfMap, *, read_on: bool = False) -> None:
        page = mmap.PAGESIZE
        self._mask = table.max_entries - 1
        self._consumer = mmap.mmap(table.descriptor, page, mmap.MAP_SHARED)
        self._producer = mmap.mmap(
            table.descriptor,
            page + 2 * table.max_entries,
            mmap.MAP_SHARED,
            mmap.PROT_READ,
            offset=page,
        )
        self._consumed = memoryview(self._consumer)[:_POSITION_SIZE].cast("Q")
        self._produced = memoryview(self._producer)[:_POSITION_SIZE].cast("Q")
        self.descriptor = table.descriptor
        self._position = self._consumed[0]
        if not read_on:
            self._go_to(self._produced[0])

    def records(self) -> Iterator[bytes]:
        """Take the records that are there now."""
        # Root may have moved it, to have us skip records: only we know how far we are.
        self._go_to(self._position)
        produced = self._produced[0]
        while self._position < produced:
            start = mmap.PAGESIZE + (self._position & self._mask)
            (length,) = _LENGTH.unpack_from(self._producer, start)
            if length & _BUSY:
                return  # its writer is not done; the next wait wakes up for it
            size = length & ~_DISCARDED
            content = start + _HEADER_SIZE
            record = None if length & _DISCARDED else self._producer[content : content + size]
            self._go_to(self._position + ((_HEADER_SIZE + size + 7) & ~7))
            if record is not None:
                yield record

    def close(self) -> None:
        """Unmap; the kernel goes on writing until the buffer is full."""
        self._consumed.release()
        self._produced.release()
        self._consumer.close()
        self._producer.close()

    def _go_to(self, position: int) -> None:
        self._consumed[0] = self._position = position
