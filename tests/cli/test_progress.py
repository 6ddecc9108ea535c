import os
import sys

import pytest

from baseline.cli.progress import say


def test_what_nobody_read_is_counted_and_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    full = 0
    try:
        while True:
            full += os.write(theirs, bytes(4096))
    except BlockingIOError:
        os.set_blocking(theirs, True)
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        say("first")  # returns, though nobody reads
        say("second")
        while full > 0:
            full -= len(os.read(ours, full))
        say("third")
        say("fourth")
        assert os.read(ours, 4096) == b"2 messages before this had no reader.\nthird\nfourth\n"
    os.close(ours)


def test_a_reader_that_left_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    stream = os.fdopen(theirs, "w")
    monkeypatch.setattr(sys, "stderr", stream)
    say("anything")
    with pytest.raises(BrokenPipeError):
        stream.close()
