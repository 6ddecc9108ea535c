"""Programs and libraries that the alternatives need, asked for before minutes are spent."""

import importlib.util
import shutil

from baseline.errors import BaselineError

PACKAGES = {
    "bpftrace": "bpftrace",
    "cc": "gcc and libc6-dev",
    "make": "make",
    "perf": "linux-perf",
    "redis-benchmark": "redis-tools",
    "strace": "strace",
    "wrk": "wrk",
}
"""Program -> its package in Debian."""


def require(*programs: str) -> None:
    """Insist that programs of ``PACKAGES`` are there.

    Raises:
        BaselineError: one is not.
    """
    for program in programs:
        if shutil.which(program) is None:
            raise BaselineError(
                f"{program} is not installed",
                f"Install {PACKAGES[program]}, or all by `scripts/install-packages --tests`",
            )


def require_duckdb() -> None:
    """Insist that DuckDB is there.

    Raises:
        BaselineError: it is not.
    """
    if importlib.util.find_spec("duckdb") is None:
        raise BaselineError("DuckDB is not installed", "Run pip install -e '.[benchmarks]'")
