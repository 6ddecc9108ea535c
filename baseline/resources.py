"""Folders of the package that hold no Python: beside it in a checkout, inside it when installed."""

from pathlib import Path

from baseline.errors import BaselineError


def resource_directory(name: str) -> Path:
    """The folder ``bpf`` (C of the kernel part) or ``data`` (recordings of real services).

    Raises:
        BaselineError: it was not installed.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package / name, package.parent / name):
        if candidate.is_dir():
            return candidate
    raise BaselineError(f"The folder {name} of baseline is missing", "Install baseline-ebpf again")
