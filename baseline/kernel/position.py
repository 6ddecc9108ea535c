"""How far a reader has read, kept so that its successor reads on without a gap.

The kernel goes on counting when a command is killed, or ends with ``--keep``; its tables hold
everything, and this file says what of it was reported already.  It lies in ``/run``, which like the
kernel's tables does not outlive the machine, and is replaced whole each time.  It is a line of JSON
and then the bytes of all arrays: it is written once in an interval, and with a header for each
array (:func:`numpy.save`) it took more than reading the tables.  What follows them means nothing
(:mod:`baseline.kernel.replaced_file`).  For as long as it is fresh, what
its reader has not read is neither wiped nor let go.
"""

import json
import math
import os
import re
import struct
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from baseline.invocation import this_command
from baseline.kernel.agents import RUN_DIRECTORY, is_locked, try_lock
from baseline.kernel.replaced_file import ReplacedFile

_DIRECTORY = RUN_DIRECTORY / "positions"

KEPT_FOR = 3600.0
"""Seconds after which nobody waits any more for a reader that was killed."""

_UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
)
"""What a file that is none of ours may raise."""

_KIND = re.compile(r"[<|][uiV][1-9]\d{0,3}", re.ASCII)
"""Numbers and raw bytes, as numpy writes their types."""

_SUFFIX = ".position"

_ATTEMPTS = 100
"""To become a reader: those who ask whether there is one are in the way for an instant each."""

_ALIVE = struct.Struct("<d")
"""What a lock file holds: when its reader was last alive."""

Arrays = Mapping[str, npt.NDArray[Any]]


class Position(NamedTuple):
    """A point in the kernel's counting.

    Attributes:
        serial: of the loaded program that counts.
        epoch: what the reader had seen, see :mod:`baseline.kernel.reclaiming`.
        time: of the monotonic clock, in seconds.
        globs: what the reader tracks.
        mark: a number of the reader's own, such as how many parts of a recording it wrote.
        arrays: what was read by then, as :meth:`baseline.kernel.tables.Tables.position` gives it.
    """

    serial: int
    epoch: int
    time: float
    globs: tuple[str, ...]
    mark: int
    arrays: Arrays


class PositionFile:
    """Where the position of one reader is kept; whoever holds it is that reader.

    Args:
        name: of the reader, the same for its successor.

    Attributes:
        held: whether it is ours; another process of the same name may have it.
        last_alive: when the reader before us was last seen to run, which may be long after it kept
            its position; of the monotonic clock, ``None`` where it is not known.
    """

    def __init__(self, name: str) -> None:
        _DIRECTORY.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = _DIRECTORY / f"{name}{_SUFFIX}"
        self._file = ReplacedFile(self._path)
        lock = self._path.with_suffix(".lock")
        lock.touch()
        self._lock = lock.open("r+b", buffering=0)
        self.held = try_lock(self._lock.fileno(), attempts=_ATTEMPTS)
        told = self._lock.read(_ALIVE.size)
        self.last_alive: float | None = _ALIVE.unpack(told)[0] if len(told) == _ALIVE.size else None

    def say_alive(self) -> None:
        """Leave word for a successor that we ran until now, where no position is saved."""
        with suppress(OSError):  # it is for a message alone
            os.pwrite(self._lock.fileno(), _ALIVE.pack(time.monotonic()), 0)

    def save(self, position: Position) -> None:
        """Replace what was kept.

        Raises:
            OSError: it cannot be written; the point before is kept.
        """
        arrays = position.arrays
        kinds = {name: (array.dtype.str, array.shape) for name, array in arrays.items()}
        head = {**position._asdict(), "arrays": kinds}
        parts = [json.dumps(head).encode(), b"\n", *(its.tobytes() for its in arrays.values())]
        self._file.write(b"".join(parts))

    def load(self) -> Position | None:
        """What was kept last; ``None`` where nothing was, it is too old, or it cannot be read."""
        return _load(self._path)

    def forget(self) -> None:
        """Let the successor begin with its own start."""
        self._file.remove()

    def close(self) -> None:
        """Let another process be this reader."""
        self._file.close()
        self._lock.close()


def positions(*, of_running: bool) -> Iterator[Position]:
    """What is kept, without its arrays.

    Args:
        of_running: also positions of readers that run now, not only of those that may come back.
    """
    for path in _DIRECTORY.glob(f"*{_SUFFIX}"):
        if not of_running:
            with path.with_suffix(".lock").open("a") as lock:
                if is_locked(lock.fileno()):
                    continue
        if position := _load(path, with_arrays=False):
            yield position


def left_behind(loaded: Container[int], reader: str) -> Iterator[str]:
    """What readers that were killed left unread, in a sentence each; what is too old is forgotten.

    Args:
        loaded: serials of the programs that are in the kernel.
        reader: name of the one who asks, and reads what its predecessor left.
    """
    for path in sorted(_DIRECTORY.glob(f"*{_SUFFIX}")):
        with path.with_suffix(".lock").open("a") as lock:
            position = _load(path, with_arrays=False, however_old=True)
            if is_locked(lock.fileno()) or position is None:
                continue
            if not (is_fresh := _is_fresh(position)):
                path.unlink(missing_ok=True)
        of = ", ".join(position.globs)
        if not is_fresh:
            yield f"Counts of {of} that a killed command left over an hour ago are dropped"
        elif position.serial in loaded and path.name != f"{reader}{_SUFFIX}":
            yield (
                f"A command that was killed left counts of {of}: start it again to read them, "
                f"or drop them with `{this_command()} unload` after the end of this one"
            )


def wanted_globs(running: Mapping[int, Sequence[str]]) -> list[str]:
    """What is tracked for the commands that run, and for those that may come back."""
    return [
        glob
        for globs in (*running.values(), *(p.globs for p in positions(of_running=False)))
        for glob in globs
    ]


def _load(path: Path, *, with_arrays: bool = True, however_old: bool = False) -> Position | None:
    try:
        with path.open("rb") as file:
            head = json.loads(file.readline())
            arrays = {
                str(name): np.frombuffer(file.read(_size(kind, shape)), kind).reshape(shape)
                for name, (kind, shape) in head["arrays"].items()
                if with_arrays
            }
        serial, epoch, mark = (int(head[name]) for name in ("serial", "epoch", "mark"))
        globs = tuple(map(str, head["globs"]))
        position = Position(serial, epoch, float(head["time"]), globs, mark, arrays)
    except _UNREADABLE:
        return None
    return position if however_old or _is_fresh(position) else None


def _is_fresh(position: Position) -> bool:
    return 0 <= time.monotonic() - position.time < KEPT_FOR


def _size(kind: str, shape: Sequence[int]) -> int:
    """Bytes of an array.

    Raises:
        ValueError: it is of nothing that we keep.
    """
    if not _KIND.fullmatch(kind):
        raise ValueError(f"{kind} is no type of an array")
    return np.dtype(kind).itemsize * math.prod(shape)
