"""Who runs on which processor."""

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from baseline.demo.cgroup import OwnCgroup

CPUS = sorted(os.sched_getaffinity(0))
CLIENT_CPUS = CPUS[: max(1, len(CPUS) // 2)]
"""The lower half: those who ask."""
SERVICE_CPUS = CPUS[len(CPUS) // 2 :]
"""The upper half: what is measured.  Probes and their readers run where the kernel puts them."""


def processor_seconds(cgroup: OwnCgroup) -> float:
    """What a cgroup has used of the processors until now, in user space and kernel."""
    statistics = (cgroup.folder / "cpu.stat").read_text()
    (microseconds,) = re.findall(r"^usage_usec (\d+)$", statistics, re.M)
    return int(microseconds) / 1e6


@contextmanager
def pinned(cpus: Collection[int]) -> Iterator[None]:
    """What this thread starts meanwhile stays on these processors."""
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, usual)
