"""The container that a cgroup belongs to, as far as its path says."""

import re
from typing import NamedTuple

SHORT_ID_LENGTH = 12

_CONTAINER = re.compile(r"(?:^|[-:])(?P<id>[0-9a-f]{64})(?:\.scope)?$")


class Container(NamedTuple):
    """A container.

    Attributes:
        id: all 64 hexadecimal digits.
        name: what its manager calls it; empty where nobody on this machine knows.
    """

    id: str
    name: str = ""

    @property
    def short_id(self) -> str:
        """The start of the id, as container managers print it."""
        return self.id[:SHORT_ID_LENGTH]


def container_id(cgroup: str) -> str:
    """The id of the innermost container that a cgroup's path names; empty where it names none."""
    for part in reversed(cgroup.split("/")):
        if container := _CONTAINER.search(part):
            return container["id"]
    return ""
