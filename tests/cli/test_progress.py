import os
import select
import sys

import pytest
from unread import stuck_pipe

from baseline.cli.progress import say, show


def test_what_nobody_read_is_counted_and_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = stuck_pipe()
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        say("first")  # returns, though nobody reads
        say("second")
        assert set(read_what_is_there(ours)) == set(b"x")
        say("third")
        say("fourth")
        assert os.read(ours, 4096) == b"2 messages before this had no reader.\nthird\nfourth\n"
    os.close(ours)


def test_of_a_long_table_there_is_what_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    lines = [f"{number:03}{'-' * 1000}" for number in range(200)]
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        show("\n".join(lines))  # returns, though nobody reads
        shown = read_what_is_there(ours).decode().splitlines()
        assert shown == lines[: len(shown)]
        assert 0 < len(shown) < len(lines)
        say("then")
        assert os.read(ours, 4096) == b"1 message before this had no reader.\nthen\n"
    os.close(ours)


def read_what_is_there(descriptor: int) -> bytes:
    content = b""
    while select.select([descriptor], [], [], 0)[0]:
        content += os.read(descriptor, 1 << 16)
    return content


def test_a_reader_that_left_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    stream = os.fdopen(theirs, "w")
    monkeypatch.setattr(sys, "stderr", stream)
    say("anything")
    with pytest.raises(BrokenPipeError):
        stream.close()
