"""The ``baseline`` command as users start it."""

import subprocess
import sys
from pathlib import Path

BASELINE = Path(sys.executable).with_name("baseline")
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "TERM": "xterm-256color"}


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with pipes for stdout and stderr."""
    return subprocess.run(
        [BASELINE, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT | environment,
    )
