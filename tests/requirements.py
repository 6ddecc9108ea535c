"""What a test needs of the machine: without it the test is skipped, or fails where nothing may be
missing (``BASELINE_REQUIRE_KERNEL=1``)."""

import os
import shutil
from functools import cache

import pytest

from baseline.kernel.agents import Agent
from baseline.kernel.collector import pinned_versions
from baseline.kernel.doctor import examine


def missing(reason: str) -> None:
    """Skip the test, or let it fail."""
    if os.environ.get("BASELINE_REQUIRE_KERNEL") == "1":
        pytest.fail(f"{reason} (and BASELINE_REQUIRE_KERNEL is set)", pytrace=False)
    pytest.skip(reason)


def require_tools(*tools: str) -> None:
    """These programs."""
    for tool in tools:
        if shutil.which(tool) is None:
            missing(f"{tool} is not installed")


def require_kernel() -> None:
    """All that ``baseline doctor`` looks at, and nobody who uses the kernel program now."""
    if _obstacle():
        missing(_obstacle())


@cache
def _obstacle() -> str:
    if os.geteuid() == 0 and (pinned_versions() or Agent.others()):
        return "The kernel program is in use: end its commands, then run `baseline unload`"
    return "; ".join(f"{c.name}: {c.detail} (fix: {c.fix})" for c in examine() if not c.ok)
