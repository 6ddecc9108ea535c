"""The running commands that use the kernel program: who they are and what they track.

Each holds a lock on a file of its own below ``/run/baseline/agents``, named by its process id, with
the epoch that it has acknowledged (``baseline.kernel.reclaiming``), its version of the program and
its ``--cgroup`` globs inside, one a line.  The kernel lets the lock go however the process ends, so
a file that can be locked belongs to nobody any more.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from baseline.durable import output_error

RUN_DIRECTORY = Path("/run/baseline")

_BETWEEN_ATTEMPTS = 0.01
"""Seconds from one attempt to lock a file to the next."""

_SHOWN = 60
"""Characters of a command line in a message."""


@contextlib.contextmanager
def setup_lock() -> Iterator[None]:
    """Held while the program is loaded or taken away, so that no two commands do it at once."""
    RUN_DIRECTORY.mkdir(mode=0o700, exist_ok=True)
    with (RUN_DIRECTORY / "setup.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def try_lock(descriptor: int, *, attempts: int = 1) -> bool:
    """Lock an open file, unless another process has it; the end of ours lets it go.

    Args:
        descriptor: of the file.
        attempts: how many, a moment apart, because others may just be asking whose it is.
    """
    for attempt in range(attempts):
        if attempt:
            time.sleep(_BETWEEN_ATTEMPTS)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def is_locked(descriptor: int) -> bool:
    """Whether another process has an open file locked; if not, it cannot until ours is closed.

    Any number of processes may ask at once: none is taken for who has it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


class Role:
    """Something that one process at a time may do.

    Args:
        name: of the role, such as ``events`` for reading the ring buffer.

    Attributes:
        held: whether it is ours.
    """

    def __init__(self, name: str) -> None:
        self._file = (RUN_DIRECTORY / f"{name}.lock").open("w")
        self.held = try_lock(self._file.fileno())

    def close(self) -> None:
        """Let another process have it."""
        self._file.close()


class Agent:
    """This process, as a user of the program.

    Args:
        version: of the program, as its fingerprint.
        globs: what it tracks, as paths with wildcards below the cgroup2 mount.
    """

    _directory = RUN_DIRECTORY / "agents"

    def __init__(self, version: str, globs: Sequence[str]) -> None:
        self._lines = (version, *globs)
        self._path = self._directory / str(os.getpid())
        self._descriptor = -1
        self._acknowledged = 0

    def register(self) -> None:
        """Let the others know of us, until :meth:`leave` or the end of the process.

        Raises:
            OutputError: the run directory cannot be written.
        """
        # Locked before it has its name: whoever finds it unlocked there takes it for a dead one's.
        unfinished = RUN_DIRECTORY / f"agent-{self._path.name}.new"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            os.write(self._descriptor, "\n".join((_epoch_line(0), *self._lines)).encode())
            try_lock(self._descriptor)
            unfinished.rename(self._path)
        except OSError as cause:
            unfinished.unlink(missing_ok=True)
            raise output_error(self._path, cause) from cause

    def acknowledge(self, epoch: int) -> None:
        """Say that all counts of before this epoch were read and taken."""
        if epoch != self._acknowledged:
            os.pwrite(self._descriptor, _epoch_line(epoch).encode(), 0)
            self._acknowledged = epoch

    def leave(self) -> None:
        """We are no user any more."""
        with contextlib.suppress(NotADirectoryError):  # where we could not be registered
            self._path.unlink(missing_ok=True)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @classmethod
    def others(cls) -> dict[int, list[str]]:
        """Process id -> globs of the other commands that run now; the files of dead ones go."""
        return {pid: lines[2:] for pid, lines in cls._running().items()}

    @classmethod
    def users_of_others(cls, version: str) -> list[int]:
        """Process ids of the commands that use another version than this one."""
        return [pid for pid, lines in cls._running().items() if lines[1] != version]

    @classmethod
    def epochs(cls) -> list[int]:
        """What the other commands that run now have acknowledged."""
        return [int(lines[0]) for lines in cls._running().values()]

    @classmethod
    def _running(cls) -> dict[int, list[str]]:
        running: dict[int, list[str]] = {}
        for path in cls._directory.glob("*"):
            if path.name == str(os.getpid()):
                continue
            with contextlib.suppress(FileNotFoundError):
                with path.open() as file:
                    if is_locked(file.fileno()):
                        running[int(path.name)] = file.read().split("\n")
                        continue
                path.unlink()
        return running


def named(processes: Iterable[int]) -> str:
    """Processes with their commands, for a message."""
    return ", ".join(f"process {process} ({_command(process)})" for process in processes)


def _command(process: int) -> str:
    """The beginning of a command line, without Python in front."""
    try:
        text = Path(f"/proc/{process}/cmdline").read_text(errors="replace")
    except OSError:
        return "ended"
    words = text.rstrip("\0").split("\0")
    start = next((n for n, word in enumerate(words) if Path(word).name == "baseline"), 0)
    line = " ".join(words[start:])
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."


def _epoch_line(epoch: int) -> str:
    """Always as long, so that it can be written over."""
    return f"{epoch:020}"
