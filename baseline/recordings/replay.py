"""Recordings as a source: their windows in time order, at full speed or at the recorded pace."""

import heapq
import time
from collections.abc import Callable, Iterator, Sequence

from baseline.errors import RecordingError
from baseline.recordings.reader import Recording
from baseline.window import Window

LONGEST_PAUSE = 60.0
"""Seconds without a window that are waited for; a longer pause, or a clock that was set forward,
is skipped.  One that was set back is no time at all."""


def replay(
    recordings: Sequence[Recording],
    *,
    pace: float | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[Window]:
    """Windows of several recordings, merged by the time they ended.

    Windows of one recording keep their order; of windows that ended together, those of the earlier
    recording come first.

    Args:
        recordings: recordings of one architecture.
        pace: how many times faster than recorded; ``None`` for no waiting at all.  Pauses longer
            than ``LONGEST_PAUSE`` are skipped.
        sleep: waits for so many seconds.  Where the end of the program is told by a
            ``threading.Event``, its ``wait`` returns at once then.

    Raises:
        RecordingError: the recordings are of different architectures; while iterating, one of them
            is damaged.
        ValueError: the pace is not above zero.
    """
    if pace is not None and not pace > 0:
        raise ValueError(f"a pace of {pace}")
    for recording in recordings:
        if recording.architecture != recordings[0].architecture:
            raise RecordingError(
                f"{recordings[0].path} is of {recordings[0].architecture} and "
                f"{recording.path} of {recording.architecture}, whose system calls differ",
                "Replay the recordings of each architecture on their own",
            )
    windows = heapq.merge(*(r.windows() for r in recordings), key=lambda window: window.end)
    return windows if pace is None else _paced(windows, pace, sleep)


def _paced(
    windows: Iterator[Window], pace: float, sleep: Callable[[float], object]
) -> Iterator[Window]:
    begun = time.monotonic()
    recorded = 0.0
    last_end: int | None = None
    for window in windows:
        step = 0.0 if last_end is None else (window.end - last_end) / 1e9
        last_end = window.end
        recorded += step if 0 < step <= LONGEST_PAUSE else 0
        wait = begun + recorded / pace - time.monotonic()
        if wait > 0:
            sleep(wait)
        yield window
