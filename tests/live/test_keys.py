import pytest

from baseline.live.keys import Key, KeyDecoder

SENT = {
    b"\x1b[A": Key.UP,
    b"\x1bOA": Key.UP,
    b"\x1b[B": Key.DOWN,
    b"\x1b[C": Key.RIGHT,
    b"\x1b[D": Key.LEFT,
    b"\x1b[5~": Key.PAGE_UP,
    b"\x1b[6~": Key.PAGE_DOWN,
    b"\x1b[H": Key.HOME,
    b"\x1b[1~": Key.HOME,
    b"\x1b[F": Key.END,
    b"k": Key.UP,
    b"j": Key.DOWN,
    b"\n": Key.RIGHT,
    b"\r": Key.RIGHT,
    b"s": Key.SORT,
    b"p": Key.PAUSE,
    b"q": Key.QUIT,
}


@pytest.mark.parametrize(("sent", "key"), SENT.items())
def test_keys_however_they_are_cut(sent: bytes, key: Key) -> None:
    for cut in range(len(sent)):
        decoder = KeyDecoder()
        before = decoder.feed(sent[:cut])
        assert before == []
        assert decoder.is_waiting == (cut > 0)
        assert decoder.feed(sent[cut:]) == [key]
        assert not decoder.is_waiting
        assert decoder.finish() == []


def test_keys_in_a_row() -> None:
    assert KeyDecoder().feed(b"".join(SENT)) == list(SENT.values())


@pytest.mark.parametrize("unknown", [b"\x1b[1;5A", b"\x1b[24~", b"\x1bOP", b"x", "ü".encode()])
def test_others_are_left_out_as_a_whole(unknown: bytes) -> None:
    assert KeyDecoder().feed(b"j" + unknown + b"k") == [Key.DOWN, Key.UP]


def test_escape_is_known_by_what_does_not_follow() -> None:
    decoder = KeyDecoder()
    assert decoder.feed(b"j\x1b") == [Key.DOWN]
    assert decoder.is_waiting
    assert decoder.finish() == [Key.LEFT]
    assert not decoder.is_waiting
    assert decoder.feed(b"\x1bq") == [Key.LEFT, Key.QUIT]


def test_what_never_becomes_a_sequence_is_no_key() -> None:
    decoder = KeyDecoder()
    assert decoder.feed(b"\x1b[") == []
    assert decoder.finish() == []
