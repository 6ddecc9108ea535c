"""What can go wrong in a way the user can mend, each as one sentence with the way out.

Every error that a user may meet is a :class:`BaselineError`; the command line turns it into its
message and its exit code (``baseline.cli.main``).  Anything else that escapes is a bug.
"""

import shlex
import sys


class BaselineError(Exception):
    """Base of all errors shown to users.

    Args:
        problem: one sentence that says what is wrong, without a full stop.
        way_out: what the user can do about it, as an imperative sentence without a full stop.
    """

    exit_code = 1

    def __init__(self, problem: str, way_out: str) -> None:
        super().__init__(f"{problem}. {way_out}.")
        self.problem = problem
        self.way_out = way_out


class UsageError(BaselineError):
    """The command was called in a way that cannot be meant: bad option, bad glob, output exists."""

    exit_code = 2


class MissingLibraryError(BaselineError):
    """An optional library is not installed.

    Args:
        need: what needs it, such as "Metrics need".
        package: its name on PyPI.
    """

    def __init__(self, need: str, package: str) -> None:
        install = shlex.join([sys.executable, "-m", "pip", "install", package])
        super().__init__(f"{need} {package}", f"Install it: {install}")


class RecordingError(BaselineError):
    """A recording is missing, truncated, tampered with, or of another format version."""


class ModelError(BaselineError):
    """A model is missing, damaged, of another format version or of another architecture."""


class OutputError(BaselineError):
    """The output could not be written: the disk is full, read-only or not ours."""


class KernelError(BaselineError):
    """This kernel, or our rights on it, cannot do what was asked."""
