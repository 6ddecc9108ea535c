"""Moments as text, ISO 8601 in UTC, and lengths of time."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime.fromtimestamp(0, UTC)


def iso_time(nanoseconds: int, to: str = "microseconds") -> str:
    """ISO 8601 in UTC, such as ``2026-11-22T14:03:22.481902Z``, never rounded up.

    Machines get microseconds, as the times of an export have them: so both can be joined.

    Args:
        nanoseconds: since the epoch.
        to: how exactly: ``microseconds``, ``milliseconds`` or ``seconds``.
    """
    moment = _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    return moment.isoformat(timespec=to).replace("+00:00", "Z")


def in_seconds(seconds: float) -> str:
    """A length of time as exact as anybody wants it, without its unit: ``0.333``, ``1800``."""
    return f"{seconds:.0f}" if seconds >= 1000 else f"{seconds:.3g}"
