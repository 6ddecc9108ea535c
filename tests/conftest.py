"""What the mark ``kernel`` means, in every folder, and commands that end with their test."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from processes import Process, Start, killed_at_the_end
from requirements import require_kernel

from baseline.kernel.collector import pinned_versions
from baseline.kernel.unloading import unload


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture: they may need the kernel, too."""
    if item.get_closest_marker("kernel"):
        require_kernel()


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts commands, with pipes for stdout and stderr unless told otherwise.

    Those that still run at the end of the test are killed, and what they had loaded is taken away:
    left behind, it would be in the way of the tests that follow.
    """
    started: list[Process] = []
    with ExitStack() as stack:

        def begin(command: Sequence[object], **options: Any) -> Process:
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            process = subprocess.Popen([*map(str, command)], **{**pipes, **options})
            started.append(stack.enter_context(killed_at_the_end(process)))
            return process

        yield begin
        left = [process for process in started if process.poll() is None]
    if left and os.geteuid() == 0 and pinned_versions():
        unload()


# How long an example takes says more about the machine than about the code.
settings.register_profile("baseline", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("baseline")
