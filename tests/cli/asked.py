"""Commands that ask a person before they do something."""

import os
import pty
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from running import BASELINE, ENVIRONMENT


class Asked:
    """A command that asks a person at the keyboard.

    Args:
        process: the command, which has asked.
        keyboard: its other end.
        said: what it said until then.
    """

    def __init__(self, process: subprocess.Popen[bytes], keyboard: int, said: bytes) -> None:
        self._process = process
        self._keyboard = keyboard
        self._said = said

    def answer(self, text: bytes) -> tuple[int, str]:
        """Type it: exit code, and all that was said."""
        os.write(self._keyboard, text)
        _, rest = self._process.communicate()
        return self._process.returncode, (self._said + rest).decode()


@contextmanager
def asked(*arguments: object) -> Iterator[Asked]:
    """Run a command until it asks whether to take it for normal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [BASELINE, *map(str, arguments)],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    ) as process:
        assert process.stderr
        said = b""
        while not said.endswith(b"[y/N]: "):
            more = os.read(process.stderr.fileno(), 1 << 12)
            assert more, said
            said += more
        try:
            yield Asked(process, ours, said)
        finally:
            process.kill()
            os.close(theirs)
            os.close(ours)
