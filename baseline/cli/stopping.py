"""Ctrl-C and its like as a request to come to an end, with everything written."""

import os
import select
import signal
import sys
import time
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Self

from baseline.cli.streams import takes_text

LONGEST_WAIT = 0.1
"""Seconds after which a request is noticed at the latest."""

_GIVES_UP = 3
"""How many times Ctrl-C, or another signal and then Ctrl-C, do not wait for the end any more."""


def ending_signals() -> list[signal.Signals]:
    """What asks for the end: Ctrl-C, SIGTERM, and a terminal that is gone unless under nohup."""
    hang_up = [signal.SIGHUP] * (_has_terminal() and not _is_under_nohup())
    return [signal.SIGINT, signal.SIGTERM, *hang_up]


def answer_needless_hang_up() -> None:
    """Without a terminal that could go, let SIGHUP end nothing.

    To a service it says that files were rotated; ours are opened anew anyway.
    """
    if not _has_terminal() and not _is_under_nohup():
        signal.signal(signal.SIGHUP, _answer_once)


def _answer_once(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    _answer("SIGHUP is not needed: files may be rotated at any time. SIGTERM ends this command.")


def _has_terminal() -> bool:
    """Whether a terminal controls this process, of which SIGHUP would say that it is gone."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _is_under_nohup() -> bool:
    return signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


class StopSignals:
    """While entered, the signals that ask for the end do not interrupt: this returns ``True``.

    Work that can end early asks ``stop()`` between its steps.  Ctrl-C pressed twice in haste loses
    nothing: the second one is answered, and the third interrupts, for those who cannot wait.
    """

    def __init__(self) -> None:
        self._requested = False
        self._signals: list[int] = []
        self._woken = -1

    def __call__(self) -> bool:
        """Whether somebody wants the work to end."""
        return self._requested

    @property
    def is_requested(self) -> bool:
        """Whether a signal asked for it."""
        return bool(self._signals)

    @property
    def exit_code(self) -> int:
        """128 and the first signal that asked for it, as of a shell; 0 where none did."""
        return 128 + self._signals[0] if self._signals else 0

    @property
    def woken(self) -> int | None:
        """Can be read as soon as somebody wants the work to end; ``None`` if it must be asked."""
        return self._woken

    def sleep(self, seconds: float) -> None:
        """Sleep, unless and until somebody wants the work to end."""
        end = time.monotonic() + seconds
        while not self._requested and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, LONGEST_WAIT))

    def __enter__(self) -> Self:
        self._woken = os.eventfd(0)
        self._before = {n: signal.signal(n, self._request) for n in ending_signals()}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._woken)

    def _request(self, number: int, frame: FrameType | None) -> None:
        self._requested = True
        self._signals.append(number)
        os.eventfd_write(self._woken, 1)
        if number == signal.SIGHUP:
            _forget_lost_terminal()
        if number == signal.SIGINT and len(self._signals) > 1:
            if len(self._signals) >= _GIVES_UP:
                _answer("Interrupted: what was not written by now is lost.")
                raise KeyboardInterrupt
            _answer("Ending in order; Ctrl-C once more ends at once, and loses what is unwritten.")


def _answer(message: str) -> None:
    """Tell it from within a signal handler, which may have interrupted a stream that writes."""
    if takes_text(sys.stderr):
        with suppress(OSError):
            os.write(sys.stderr.fileno(), f"{message}\n".encode())


def _forget_lost_terminal() -> None:
    """Where stderr was a terminal that is gone, let nothing fail for want of it."""
    with suppress(OSError):
        lost = select.poll()
        lost.register(sys.stderr.fileno(), 0)
        if any(state & select.POLLHUP for _, state in lost.poll(0)):
            nobody = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nobody, sys.stderr.fileno())
            os.close(nobody)
