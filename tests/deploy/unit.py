"""Reads systemd units as far as ours go (systemd.syntax(7)), so that tests and unit cannot part."""

import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "baseline-watch.service"
DROP_INS = [DEPLOY / "containers.conf", DEPLOY / "metrics.conf"]


class Service:
    """The section [Service] of a unit and its drop-ins.

    Args:
        files: the unit, then drop-ins, in their order.
    """

    def __init__(self, *files: Path) -> None:
        self.settings = [setting for file in files for setting in _service_settings(file)]

    def all(self, name: str) -> list[str]:
        """Each value that was given."""
        return [value for key, value in self.settings if key == name]

    def last(self, name: str) -> str:
        """The value that holds, of a setting with one."""
        return self.all(name)[-1]

    def words(self, name: str) -> list[str]:
        """Values of a setting whose lines add up."""
        return [word for value in self.all(name) for word in value.split()]

    def allows(self) -> set[str]:
        """Names of the system calls that ``SystemCallFilter=`` leaves."""
        allowed: set[str] = set()
        for line in self.all("SystemCallFilter"):
            calls = {call for word in line.removeprefix("~").split() for call in _calls(word)}
            allowed = allowed - calls if line.startswith("~") else allowed | calls
        return allowed


def _service_settings(file: Path) -> Iterator[tuple[str, str]]:
    section = ""
    for line in file.read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            yield key, value


@cache
def _calls(name: str) -> frozenset[str]:
    """System calls of a group, as this systemd has it."""
    if not name.startswith("@"):
        return frozenset([name])
    command = ["systemd-analyze", "syscall-filter", name]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    members = (line.strip() for line in listed.splitlines()[1:])
    names = (member for member in members if member and not member.startswith("#"))
    return frozenset(call for member in names for call in _calls(member))
