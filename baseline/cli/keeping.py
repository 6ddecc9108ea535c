"""When ``watch`` says that a successor need not read again what it has read."""

import time
from collections.abc import Callable

_BETWEEN_QUIET = 5.0
"""Seconds after which it is said at the latest: it takes a twentieth of all that watching takes."""

_LONGEST_WAIT = 60.0
"""Seconds after which it is said though alerts wait: their disk may be full for days, and others
get no room back until we have said so."""


class Keeping:
    """Answers after each interval, see :data:`baseline.kernel.source.Commit`.

    What was told is not to be told again, so that is said as soon as it has arrived.  Windows of
    which there was nothing to tell may well be read again, all in one, after a kill; and so must be
    those whose alerts still wait in memory, which a kill would take along.

    Args:
        have_delivered: whether all that was told has arrived.
    """

    def __init__(self, have_delivered: Callable[[], bool]) -> None:
        self._have_delivered = have_delivered
        self._is_due = True
        self._kept = time.monotonic()

    def told(self) -> None:
        """Something was told of what was read."""
        self._is_due = True

    def commit(self, is_urgent: bool) -> int | None:
        """Whether all that was read is to be kept as read."""
        now = time.monotonic()
        since = now - self._kept
        if not (self._is_due or is_urgent or since >= _BETWEEN_QUIET):
            return None
        if not (is_urgent or since >= _LONGEST_WAIT or self._have_delivered()):
            return None
        self._is_due = False
        self._kept = now
        return 0
