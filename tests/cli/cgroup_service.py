"""A Python program in a cgroup of its own, to be looked at by commands."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from processes import Process, killed_at_the_end

from baseline.workloads.cgroups import cgroup2_mount

_BEGINNING = """
import os, sys
def join():
    open(sys.argv[1], "w").write(str(os.getpid()))
    print("joined", flush=True)
"""


@contextmanager
def running_in(path: str, script: str) -> Iterator[Process]:
    """A script, with pipes, that has joined a cgroup which is made for it and goes with it.

    Args:
        path: of the cgroup, below the mount.
        script: what it does; it calls ``join()`` when it has imported what it needs, besides
            ``os`` and ``sys``.
    """
    folder = cgroup2_mount() / path
    folder.mkdir()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _BEGINNING + script, folder / "cgroup.procs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with killed_at_the_end(process):
            assert process.stdout
            assert process.stdout.readline() == "joined\n"
            yield process
    finally:
        (folder / "cgroup.kill").write_text("1")  # what it has started
        while "populated 1" in (folder / "cgroup.events").read_text():
            pass
        folder.rmdir()
