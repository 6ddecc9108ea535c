"""How far the first sights' reader has read, kept so that the next one reads on without a gap.

The kernel goes on counting when a command is killed, or ends with ``--keep``; its tables hold
everything, and this file says what of it was reported already.  It lies in ``/run``, which like the
kernel's tables does not outlive the machine, and is replaced whole after each window.
"""

import time
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from baseline.kernel.agents import RUN_DIRECTORY

_FILE = RUN_DIRECTORY / "position.npz"

Arrays = Mapping[str, npt.NDArray[Any]]


class Position(NamedTuple):
    """A point in the kernel's counting.

    Attributes:
        time: of the monotonic clock, in seconds.
        arrays: what was read by then, as :meth:`baseline.kernel.tables.Tables.position` gives it.
    """

    time: float
    arrays: Arrays


def save_position(arrays: Arrays) -> None:
    """Keep what was read up to now.

    Raises:
        OSError: it cannot be written; the point before is kept.
    """
    unfinished = _FILE.with_suffix(".tmp")
    with unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, time=np.array(time.monotonic()), **arrays)
        file.flush()
        unfinished.replace(_FILE)


def load_position() -> Position | None:
    """What was kept last; ``None`` where nothing was, or it cannot be read."""
    try:
        with np.load(_FILE, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    return Position(float(arrays.pop("time")), arrays)


def forget_position() -> None:
    """Let the next reader begin with its own start."""
    _FILE.unlink(missing_ok=True)
