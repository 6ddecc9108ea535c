"""When ``watch`` says that a successor need not read again what it has read."""

import time

_BETWEEN_QUIET = 5.0
"""Seconds after which it is said at the latest: it takes a twentieth of all that watching takes."""


class Keeping:
    """Answers after each interval, see :data:`baseline.kernel.source.Commit`.

    What was told is not to be told again, so after that it is said at once. Windows of which there
    was nothing to tell may well be read again, all in one, after a kill.
    """

    def __init__(self) -> None:
        self._is_due = True
        self._due = 0.0

    def told(self) -> None:
        """Something was told of what was read."""
        self._is_due = True

    def commit(self, is_urgent: bool) -> int | None:
        """Whether all that was read is to be kept as read."""
        now = time.monotonic()
        if not (self._is_due or is_urgent or now >= self._due):
            return None
        self._is_due = False
        self._due = now + _BETWEEN_QUIET
        return 0
