"""Alerts on their way out, so that nothing that becomes of their destination holds up the counting.

Alerts wait in memory, in a queue of bounded size, and a thread of its own writes them.  A slow
reader thus delays alerts and nothing else; a disk that is full, read-only or gone is tried again
every second.  Where the queue is full, new alerts are left out and not those that wait: the
first ones tell how an intrusion began, and an intruder who makes noise cannot push them out.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

ROOM = 8 << 20
"""Bytes of alerts that may wait: some thousand of them."""

RETRY_SECONDS = 1.0

LAST_SECONDS = 5.0
"""How long the end waits for what was not written yet."""


class Destination(Protocol):
    """Where alerts go.

    Attributes:
        name: as people call it, such as ``standard output``.
    """

    name: str

    def write(self, data: bytes) -> None:
        """Write all of one alert; it may take as long as it likes.

        Raises:
            BrokenPipeError: nobody will ever read it.
            OSError: it cannot be written now.  It is called again with the same alert.
        """


class Delivery:
    """Takes alerts at once, and writes them when the destination is ready.

    Args:
        destination: where they go.
        say: told once when something keeps alerts from it, and once when that has passed.
        room: bytes that may wait.
        retry_seconds: from one attempt to write to the next.
    """

    def __init__(
        self,
        destination: Destination,
        say: Callable[[str], None],
        *,
        room: int = ROOM,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self.name = destination.name
        self._destination = destination
        self._say = say
        self._room = room
        self._retry_seconds = retry_seconds
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._lost = 0
        self._left_out = 0
        self._is_failing = False
        self._is_gone = False
        self._is_closing = False
        self._thread = threading.Thread(target=self._deliver, name=self.name, daemon=True)
        self._thread.start()

    def put(self, text: str) -> None:
        """Take one alert, without waiting for anything."""
        data = text.encode(errors="backslashreplace")
        with self._changed:
            has_room = not self._waiting or self._size + len(data) <= self._room
            if has_room and not self._is_gone:
                self._waiting.append(data)
                self._size += len(data)
                self._changed.notify_all()
                return
            self._lost += 1
            if self._is_gone:
                return
            self._left_out += 1
            is_first = self._left_out == 1
        if is_first:
            self._say(
                f"Too many alerts wait for {self.name}: new ones are left out until those are "
                "written."
            )

    @property
    def undelivered(self) -> int:
        """Alerts that were taken and did not arrive."""
        with self._changed:
            return self._lost + len(self._waiting)

    def has_delivered(self) -> bool:
        """Whether no alert waits any more."""
        with self._changed:
            return not self._waiting

    def close(self, seconds: float = LAST_SECONDS) -> None:
        """Write what waits, as far as that is possible at once and takes no longer than this."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(seconds)

    def _deliver(self) -> None:
        while (data := self._next()) is not None:
            try:
                self._destination.write(data)
            except BrokenPipeError:
                self._give_up()
            except OSError as error:
                if not self._wait_after(error):
                    return
            else:
                self._delivered()

    def _next(self) -> bytes | None:
        """The alert that has waited longest, when there is one; ``None`` at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            return self._waiting[0] if self._waiting else None

    def _give_up(self) -> None:
        with self._changed:
            self._is_gone = True
            self._lost += len(self._waiting)
            self._waiting.clear()
        self._say(f"Nobody reads {self.name} any more: its alerts are only counted from now on.")

    def _wait_after(self, error: OSError) -> bool:
        """Wait until it is time to try again; whether it is worth it."""
        with self._changed:
            is_first, self._is_failing = not self._is_failing, True
            is_last = self._is_closing
        if is_first:
            reason = os.strerror(error.errno) if error.errno else str(error)
            self._say(
                f"Alerts cannot be written to {self.name}: {reason}. They wait, and it is tried "
                "again."
            )
        with self._changed:
            self._changed.wait_for(lambda: self._is_closing, self._retry_seconds)
        return not is_last

    def _delivered(self) -> None:
        with self._changed:
            self._size -= len(self._waiting.popleft())
            was_failing, self._is_failing = self._is_failing, False
            is_well = was_failing and not self._left_out
            left_out = 0
            if not self._waiting:
                left_out, self._left_out = self._left_out, 0
        if is_well or left_out:
            number = f"; {left_out:,} were left out" * bool(left_out)
            self._say(f"Alerts are written to {self.name} again{number}.")
