"""What a Parquet file claims to unfold into, read from its pages' headers without unfolding any.

Compression and dictionaries let some hundred bytes stand for gigabytes, and the footer of a file
may say anything of it.  The headers of the pages may not: they are what a reader allocates by.
They stand before each page in Thrift's compact protocol (parquet-format ``parquet.thrift``, thrift
``doc/specs/thrift-compact-protocol.md``).
"""

import pyarrow.parquet as pq

_PAGE_BYTES = 4096
"""What a page costs, even an empty one: time to look at it."""

_VALUE_BYTES = 8
"""Memory of a value, whether a number, an index of a dictionary or the place of a text."""

# Fields of PageHeader, and the first field of each kind of page.
_UNCOMPRESSED, _COMPRESSED = 2, 3
_KINDS_WITH_VALUES = (5, 7, 8)  # data page, dictionary page, data page of version 2
_NUMBER_OF_VALUES = 1

_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _STRUCT = 0, 1, 2, 3, 7, 8, 12
_SIZES = {_TRUE: 0, _FALSE: 0, _BYTE: 1, _DOUBLE: 8}
_INTEGERS = (4, 5, 6)
_LISTS = (9, 10)

Fields = dict[int, "int | Fields | None"]


def unfolded_bytes(content: bytes, metadata: pq.FileMetaData, most: int) -> int:
    """At least the memory that the columns take while texts stay in their dictionaries.

    Args:
        content: the file.
        metadata: its footer.
        most: where to stop counting; something above it is returned then.

    Raises:
        ValueError: the pages are not where the footer says, or have no such headers.
    """
    total = 0
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(index)
            if not chunk.num_values:
                continue  # no page of it is read, and its offsets mean nothing
            starts = [chunk.data_page_offset]
            if chunk.has_dictionary_page and chunk.dictionary_page_offset:
                starts.append(chunk.dictionary_page_offset)
            position = min(starts)
            end = position + chunk.total_compressed_size
            if not 0 <= position <= end <= len(content):
                raise ValueError("pages beyond the end of the file")
            while position < end and total <= most:
                header, position = _struct(content, position)
                size, compressed = header.get(_UNCOMPRESSED), header.get(_COMPRESSED)
                if not isinstance(size, int) or not isinstance(compressed, int):
                    raise ValueError("a page without its size")  # noqa: TRY004  # not of Python
                if size < 0 or compressed < 0:
                    raise ValueError("a page of a size below zero")
                position += compressed
                total += _PAGE_BYTES + size + _VALUE_BYTES * _values(header)
    return total


def _values(header: Fields) -> int:
    kinds = (header.get(kind) for kind in _KINDS_WITH_VALUES)
    numbers = (kind.get(_NUMBER_OF_VALUES) for kind in kinds if isinstance(kind, dict))
    return sum(number for number in numbers if isinstance(number, int) and number > 0)


def _struct(content: bytes, position: int) -> tuple[Fields, int]:
    """A struct's fields, those of numbers and structs with their values, and where it ends."""
    fields: Fields = {}
    field = 0
    while True:
        byte, position = _byte(content, position)
        delta, kind = byte >> 4, byte & 15
        if kind == _STOP:
            return fields, position
        if delta:
            field += delta
        else:
            field, position = _integer(content, position)
        fields[field], position = _value(content, position, kind)


def _value(content: bytes, position: int, kind: int) -> "tuple[int | Fields | None, int]":
    if kind in _SIZES:
        return None, position + _SIZES[kind]
    if kind in _INTEGERS:
        return _integer(content, position)
    if kind == _BINARY:
        length, position = _varint(content, position)
        return None, position + length
    if kind in _LISTS:
        byte, position = _byte(content, position)
        number, kind = byte >> 4, byte & 15
        if number == 15:
            number, position = _varint(content, position)
        if number > len(content):
            raise ValueError("a list that is longer than the file")
        for _ in range(number):
            _, position = _value(content, position + (kind in (_TRUE, _FALSE)), kind)
        return None, position
    if kind == _STRUCT:
        return _struct(content, position)
    raise ValueError("a type that no header of a page has")


def _byte(content: bytes, position: int) -> tuple[int, int]:
    if position >= len(content):
        raise ValueError("a header beyond the end of the file")
    return content[position], position + 1


def _varint(content: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte, position = _byte(content, position)
        number |= (byte & 127) << shift
        if byte < 128:
            return number, position
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _integer(content: bytes, position: int) -> tuple[int, int]:
    number, position = _varint(content, position)
    return number >> 1 ^ -(number & 1), position
