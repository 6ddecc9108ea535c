"""baseline attached and detached in milliseconds, its tables and its reader kept.

Loading it anew for each slice of a few hundred milliseconds would take longer than the slice.  Its
links end with their last descriptor; what they attach is attached again from the same programs.
"""

import ctypes
import os
import threading
from contextlib import ExitStack
from typing import Self

from baseline.errors import KernelError
from baseline.kernel.bpf_syscall import link_info
from baseline.kernel.program import CGROUP_HOOKS, LINK_PREFIX
from baseline.kernel.source import KernelSource
from baseline.window import Window
from baseline.workloads.cgroups import CgroupSelector, cgroup2_mount
from costs.probes import Seen, Tracked

FIRST_READING = 0.2
"""Seconds after it was attached: in a slice that is shorter than a second there is one, too."""

_LIBBPF = "libbpf.so.1"


class SwitchedSource(KernelSource):
    """The kernel as a source, whose program can be taken from all of its hooks for a while."""

    def __enter__(self) -> Self:
        super().__enter__()
        self._libbpf = ctypes.CDLL(_LIBBPF, use_errno=True)
        self._programs: dict[str, int] = {}
        self._stack.callback(self._close_programs)
        for name, link in self._collector.links.items():
            program = self._libbpf.bpf_prog_get_fd_by_id(link_info(link).program)
            self._programs[name] = self._checked(program)
        return self

    def detach(self) -> None:
        """Take the program from every hook."""
        nothing = os.open(os.devnull, os.O_RDONLY)
        for name, link in self._collector.links.items():
            (self._collector.pin / (LINK_PREFIX + name)).unlink(missing_ok=True)
            os.dup2(nothing, link)  # that was the last one: the kernel detaches
        os.close(nothing)

    def attach(self) -> None:
        """Put it on every hook again.

        Raises:
            KernelError: the kernel refuses.
        """
        root = os.open(cgroup2_mount(), os.O_RDONLY | os.O_DIRECTORY)
        for name, held in self._collector.links.items():
            program = self._programs[name]
            if name in CGROUP_HOOKS:
                link = self._libbpf.bpf_link_create(program, root, CGROUP_HOOKS[name], None)
            else:
                link = self._libbpf.bpf_raw_tracepoint_open(name.encode(), program)
            os.dup2(self._checked(link), held)
            os.close(link)
        os.close(root)

    def _checked(self, descriptor: int) -> int:
        if descriptor < 0:
            reason = os.strerror(ctypes.get_errno())
            raise KernelError(f"The program cannot be attached again: {reason}", "Start again")
        return descriptor

    def _close_programs(self) -> None:
        for descriptor in self._programs.values():
            os.close(descriptor)


class Switched(Tracked):
    """baseline on cgroups that it counts; while attached, its tables are read as ``watch`` does."""

    def _count(self, glob: str, stack: ExitStack) -> None:
        selector = CgroupSelector.parse(glob, cgroup2_mount())
        self._source = stack.enter_context(
            SwitchedSource(
                [selector], say=lambda _: None, settings=self.settings, first_sights=False
            )
        )
        self.seen = Seen(0)
        self._start_reading()
        stack.callback(self._stop_reading)

    def pause(self) -> None:
        """Take it from all hooks."""
        self._stop_reading()
        self._source.detach()

    def resume(self) -> None:
        """Put it there again."""
        self._source.attach()
        self._start_reading()

    def _start_reading(self) -> None:
        self._ended = threading.Event()
        self._reader = threading.Thread(target=self._read_on)
        self._reader.start()

    def _stop_reading(self) -> None:
        self._ended.set()
        self._reader.join()

    def _read_on(self) -> None:
        wait = FIRST_READING
        while not self._ended.wait(wait):
            self._take()
            wait = 1.0
        self._take()

    def _take(self) -> None:
        counted, lost = self.seen or Seen(0)
        for window in self._source.observations(duration=0):
            if isinstance(window, Window):
                counted += window.ngrams.total
                lost += window.ledger.ngrams.lost
        self.seen = Seen(counted, lost)
