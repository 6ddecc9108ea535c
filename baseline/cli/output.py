"""Where results go: checked before the work, not after ten minutes of it."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from baseline import durable
from baseline.durable import Foreign
from baseline.errors import OutputError
from baseline.recordings.writer import RecordingWriter
from baseline.window import Window


def require_output(path: Path, *, force: bool, foreign: Foreign | None = None) -> None:
    """Refuse an output that could not be written at the end.

    Args:
        path: the output.
        force: it may be replaced.
        foreign: which folders may not be, as in :func:`durable.require_absent`.

    Raises:
        UsageError: it exists and ``force`` is not set.
        OutputError: nobody may write there.
    """
    durable.require_absent(path, force=force, foreign=foreign)
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


class RecordingOutput:
    """A recording that is created with its first window, so that nothing seen leaves nothing.

    A disk that is full or read-only for a while delays it: what is seen waits in memory.

    Args:
        path: folder of the recording.
        interval: seconds in a window.
        force: replace one that exists.
        append: continue one that exists.
        parts: after how many of its parts; ``None`` for all.
        by_itself: as in :class:`RecordingWriter`; otherwise :meth:`commit` does it.
        say: told once when it cannot be written, and once when it can be again.

    Raises:
        BaselineError: what exists cannot be continued.
    """

    def __init__(
        self,
        path: Path,
        *,
        interval: float,
        force: bool = False,
        append: bool = False,
        parts: int | None = None,
        by_itself: bool = True,
        say: Callable[[str], None],
    ) -> None:
        self._path = path
        self._interval = interval
        self._force = force
        self._append = append
        self._parts = parts
        self._by_itself = by_itself
        self._say = say
        self._writer = self._open() if append and path.exists() else None
        self._was_behind = False
        self._failure: OutputError | None = None

    def write(self, window: Window) -> None:
        """Take one window.

        Raises:
            OutputError: there is no recording yet, and it cannot be created.
        """
        self._writer = writer = self._writer or self._open()
        with self._telling(writer):
            writer.write(window)

    def commit(self, *, at_once: bool) -> int | None:
        """Write what is due, or all that waits.

        Returns:
            The number of parts that the recording has, if all that was taken is in them.
        """
        writer = self._writer
        if writer is None:
            return 0
        is_all = False
        with self._telling(writer):
            is_all = writer.commit(at_once=at_once)
        return writer.parts_committed if is_all else None

    @contextmanager
    def _telling(self, writer: RecordingWriter) -> Iterator[None]:
        """Tell when the writer falls behind, and when it is no longer."""
        try:
            yield
        except OutputError as error:
            if not self._was_behind:
                self._say(f"{error.problem}. What is seen waits in memory, and it is tried again.")
            self._was_behind = True
        if self._was_behind and not writer.is_behind:
            self._was_behind = False
            self._say(f"{self._path} is written again, with all that waited.")

    @property
    def is_written(self) -> bool:
        """Whether everything is in the recording, once it has ended."""
        return self._failure is None

    def require_written(self) -> None:
        """Own up to what is not in the recording.

        Raises:
            OutputError: the last of it could not be written at the end.
        """
        if self._failure:
            raise self._failure

    def _open(self) -> RecordingWriter:
        return RecordingWriter(
            self._path,
            interval=self._interval,
            force=self._force,
            append=self._append,
            parts=self._parts,
            by_itself=self._by_itself,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer:
            try:
                self._writer.close()
            except OutputError as error:
                self._failure = error


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
