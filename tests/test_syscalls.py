import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import ngrams

from baseline.syscalls import (
    CANCELLED,
    COMPAT_FLAG,
    KIND_IO_URING,
    KIND_SHIFT,
    NGRAM_LENGTH,
    NO_CALL,
    OUT_OF_RANGE,
    SYMBOL_BITS,
    ngram_names,
    pack,
    symbol_name,
    syscall_names,
    unpack,
)

READ, OPENAT = 1, 258  # symbols on x86_64: the number plus one


def packed(*symbols: int, kind: int = 0) -> int:
    """An n-gram by the book: the newest symbol lowest, the kind in the four highest bits."""
    value = kind
    for symbol in (NO_CALL,) * (NGRAM_LENGTH - len(symbols)) + symbols:
        value = value << SYMBOL_BITS | symbol
    return value


@given(st.lists(ngrams))
def test_pack_is_the_inverse_of_unpack(values: list[int]) -> None:
    packed_ngrams = np.array(values, np.uint64)
    symbols = unpack(packed_ngrams)
    assert symbols.shape == (len(values), NGRAM_LENGTH)
    assert pack(symbols).tolist() == values
    assert pack(symbols).dtype == np.uint64


@given(st.lists(st.integers(0, 2**SYMBOL_BITS - 1), min_size=6, max_size=6), st.integers(0, 15))
def test_unpack_tells_symbols_with_their_kind(symbols: list[int], kind: int) -> None:
    ngram = np.array([packed(*symbols, kind=kind)], np.uint64)
    assert unpack(ngram).tolist() == [[kind << SYMBOL_BITS | symbol for symbol in symbols]]


def test_known_numbers_have_their_names() -> None:
    assert symbol_name(READ, "x86_64") == "read"
    assert symbol_name(OPENAT, "x86_64") == "openat"
    assert symbol_name(57, "aarch64") == "openat"
    assert symbol_name(436, "x86_64") == "clone3"  # bcc's own table stops at 334
    assert syscall_names("x86_64", compat=False)[59] == "execve"


def test_the_32_bit_abi_has_its_own_numbers() -> None:
    assert symbol_name(COMPAT_FLAG + 6, "x86_64") == "compat:open"
    assert symbol_name(6, "x86_64") == "fstat"
    assert symbol_name(COMPAT_FLAG + OUT_OF_RANGE, "x86_64") == "compat:out_of_range"


def test_odd_calls_have_symbols_of_their_own() -> None:
    assert symbol_name(OUT_OF_RANGE, "x86_64") == "out_of_range"
    assert symbol_name(CANCELLED, "x86_64") == "cancelled"
    assert symbol_name(500, "x86_64") == "syscall_499"
    assert symbol_name(NO_CALL, "x86_64") == "start"


def test_io_uring_requests_are_named_by_their_opcodes() -> None:
    kind = KIND_IO_URING << SYMBOL_BITS
    assert symbol_name(kind | 19, "x86_64") == "io_uring:openat"
    assert symbol_name(kind | 300, "x86_64") == "io_uring:opcode_299"
    assert symbol_name(kind, "x86_64") == "start"
    assert packed(kind=KIND_IO_URING) == KIND_IO_URING << KIND_SHIFT


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(KeyError):
        syscall_names("pdp11", compat=False)


def test_names_of_an_ngram_leave_out_what_came_before_the_thread() -> None:
    assert ngram_names(packed(OPENAT, READ), "x86_64") == ("openat", "read")
    assert ngram_names(packed(19, 23, kind=KIND_IO_URING), "x86_64") == (
        "io_uring:openat",
        "io_uring:read",
    )
    assert ngram_names(packed(), "x86_64") == ()
