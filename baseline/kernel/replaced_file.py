"""A file that is replaced whole again and again, at a tenth of what a new file takes each time."""

import ctypes
import os
from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of linux/fcntl.h and linux/fs.h

_libc = ctypes.CDLL(None, use_errno=True)


class ReplacedFile:
    """Two files in turn: the one without the name is written over, and then they change names.

    They do so at one instant (renameat2(2)), so whoever opens the file, and be it after a kill,
    finds what was written last.  Behind it there may be the rest of what was longer.

    Args:
        path: the file; the other one lies beside it.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._other_path = str(path), str(path.with_suffix(".tmp"))
        self._named = self._other = -1

    def write(self, data: bytes) -> None:
        """Replace what was there.

        Raises:
            OSError: it cannot be written; what was there is kept.
        """
        if self._other >= 0:
            _write(self._other, data)
            if _exchange(self._other_path, self._path):
                self._named, self._other = self._other, self._named
                return
        # The first time, or where somebody has removed one of them.
        self.close()
        self._named = self._new_file()
        _write(self._named, data)
        os.replace(self._other_path, self._path)  # noqa: PTH105 - a Path would take longer
        self._other = self._new_file()

    def remove(self) -> None:
        """Leave nothing."""
        self.close()
        for path in (self._path, self._other_path):
            Path(path).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of both, which stay."""
        for file in (self._named, self._other):
            if file >= 0:
                os.close(file)
        self._named = self._other = -1

    def _new_file(self) -> int:
        return os.open(self._other_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)


def _write(file: int, data: bytes) -> None:
    written = 0
    while written < len(data):
        written += os.pwrite(file, memoryview(data)[written:], written)


def _exchange(one: str, other: str) -> bool:
    """Let two files change their names; whether they did."""
    if not hasattr(_libc, "renameat2"):  # it is in glibc from 2.28 on
        return False
    names = os.fsencode(one), os.fsencode(other)
    result: int = _libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
    return result == 0
