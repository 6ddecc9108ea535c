"""How this command was started, for messages that tell the user to run another one."""

import shutil
import sys
from pathlib import Path

_FOUND_BY_SUDO = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""As sudo is usually set up: what a shell finds elsewhere, it does not."""


def this_command() -> str:
    """The command in words that can be typed again, also after sudo."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return f"{sys.executable} -m {program.parent.name}"
    found = shutil.which("baseline", path=":".join(_FOUND_BY_SUDO))
    if program.name != "baseline" or (found and Path(found).samefile(program)):
        return "baseline"
    return str(program.absolute())
