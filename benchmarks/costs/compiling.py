"""The programs of ``benchmarks/programs``, compiled."""

import subprocess
from pathlib import Path

from baseline.errors import BaselineError
from costs.needed import require

PROGRAMS = Path(__file__).parents[1] / "programs"


def compiled(name: str, folder: Path, *options: str) -> Path:
    """Compile ``NAME.c`` into a folder, unless it is there already; the executable.

    Raises:
        BaselineError: it does not compile, or there is no compiler.
    """
    executable = folder / name
    if not executable.exists():
        require("cc")
        command: list[str | Path] = [
            "cc",
            "-O2",
            PROGRAMS / f"{name}.c",
            "-o",
            executable,
            *options,
        ]
        compiler = subprocess.run(command, capture_output=True, text=True, check=False)
        if compiler.returncode:
            raise BaselineError(
                f"{name}.c does not compile: {compiler.stderr.strip()}",
                "Install what `scripts/install-packages --tests` does",
            )
    return executable
