"""A cgroup that we make, start programs in, and remove with all that runs there."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from baseline.errors import BaselineError
from baseline.workloads.cgroups import cgroup2_mount

_SECONDS_TO_END = 10


class OwnCgroup:
    """A cgroup below the cgroup2 mount, there while the context lasts.

    Args:
        path: below the mount, such as ``baseline-demo/nginx``; an empty one left over is taken.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.folder = cgroup2_mount() / path

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._processes():
            raise BaselineError(
                f"Processes run in the cgroup {self.path} already",
                f"End them: kill $(cat {self.folder / 'cgroup.procs'})",
            )
        return self

    def start(self, arguments: Sequence[str | Path], **options: Any) -> subprocess.Popen[bytes]:
        """Start a program inside; its output is thrown away unless ``options`` say otherwise."""
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        # The shell joins and becomes the program, so that nothing of ours runs inside.
        join = f'echo $$ > "{self.folder / "cgroup.procs"}"; exec "$@"'
        return subprocess.Popen(
            ["/bin/sh", "-c", join, "join", *arguments],
            **{**quiet, "stderr": subprocess.DEVNULL, "start_new_session": True, **options},
        )

    def run(self, arguments: Sequence[str | Path], **options: Any) -> None:
        """Run a program inside to its end, however it ends."""
        self.start(arguments, **options).wait()

    def __exit__(self, *_: object) -> None:
        deadline = time.monotonic() + _SECONDS_TO_END
        while (processes := self._processes()) and time.monotonic() < deadline:
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.05)
        with contextlib.suppress(OSError):
            self.folder.rmdir()
            if self.folder.parent != cgroup2_mount():
                self.folder.parent.rmdir()  # succeeds for the last one

    def _processes(self) -> list[int]:
        return [int(line) for line in (self.folder / "cgroup.procs").read_text().split()]
