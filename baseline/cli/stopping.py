"""Ctrl-C and SIGTERM as a request to come to an end, with everything written."""

import signal
import time
from types import FrameType, TracebackType
from typing import ClassVar, Self

LONGEST_WAIT = 0.1
"""Seconds after which a request is noticed at the latest."""


class StopSignals:
    """While entered, SIGINT and SIGTERM do not interrupt: they make this return ``True``.

    Work that can end early asks ``stop()`` between its steps.  A second Ctrl-C interrupts after
    all, for those who cannot wait.
    """

    signals: ClassVar[tuple[signal.Signals, ...]] = (signal.SIGINT, signal.SIGTERM)
    """What asks for the end."""

    def __init__(self) -> None:
        self._requested = False

    def __call__(self) -> bool:
        """Whether somebody wants the work to end."""
        return self._requested

    def sleep(self, seconds: float) -> None:
        """Sleep, unless and until somebody wants the work to end."""
        end = time.monotonic() + seconds
        while not self._requested and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, LONGEST_WAIT))

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._request) for number in self.signals}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self._requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._requested = True
