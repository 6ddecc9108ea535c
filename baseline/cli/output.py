"""Where results go: checked before the work, not after ten minutes of it."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from baseline import durable
from baseline.recordings.writer import RecordingWriter
from baseline.window import Window


def require_output(path: Path, *, force: bool, marker: str | None = None) -> None:
    """Refuse an output that could not be written at the end.

    Args:
        path: the output.
        force: it may be replaced.
        marker: what it must hold to be replaced, as in :func:`durable.require_absent`.

    Raises:
        UsageError: it exists and ``force`` is not set.
        OutputError: nobody may write there.
    """
    durable.require_absent(path, force=force, marker=marker)
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    for problem, is_one in (
        (errno.ENOTDIR, not folder.is_dir()),
        (errno.EROFS, os.statvfs(folder).f_flag & os.ST_RDONLY),
        (errno.EACCES, not os.access(folder, os.W_OK | os.X_OK)),
    ):
        if is_one:
            raise durable.output_error(path, OSError(problem, os.strerror(problem)))


class NewRecording:
    """A recording that is created with its first window, so that nothing seen leaves nothing.

    Args:
        path: folder of the recording.
        interval: seconds in a window.
        force: replace one that exists.
    """

    def __init__(self, path: Path, *, interval: float, force: bool) -> None:
        self._path = path
        self._interval = interval
        self._force = force
        self._writer: RecordingWriter | None = None

    def write(self, window: Window) -> None:
        """Take one window.

        Raises:
            OutputError: it cannot be written.
        """
        if self._writer is None:
            self._writer = RecordingWriter(self._path, interval=self._interval, force=self._force)
        self._writer.write(window)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer:
            self._writer.close()


@contextmanager
def writing_to_stdout() -> Iterator[None]:
    """Give errors of standard output their message; a pipe without a reader passes as it is.

    Raises:
        OutputError: standard output cannot be written, for example because a disk is full.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as cause:
        raise durable.output_error(Path("Standard output"), cause) from cause
