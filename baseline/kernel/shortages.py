"""What the kernel part had no room for outside the ledgers of windows: told when it grows."""

from collections.abc import Callable

import numpy as np

from baseline.kernel.loaded import LoadedProgram
from baseline.kernel.tracker import Tracked

_OF_ALL = "{:,} system calls belong to no workload: no memory for their threads"
_OF_GROUPS = {
    "lineages_lost": "{:,} processes lost their ancestors: its share of lineages is full",
    "images_lost": "{:,} programs have no name: the table of images is full",
}


class Shortages:
    """Tells the user when one of the kernel's tables was too small.

    Args:
        program: the loaded program.
        say: told in a sentence.
    """

    def __init__(self, program: LoadedProgram, say: Callable[[str], None]) -> None:
        self._program = program
        self._say = say
        self._unattributed = int(program.control["unattributed"][0])
        self._told = {name: program.ledgers[name].copy() for name in _OF_GROUPS}

    def check(self, whose: Callable[[int], Tracked | None]) -> None:
        """Say what has grown since the last check.

        Args:
            whose: which cgroup of ours a group belongs to, by its number.
        """
        count = int(self._program.control["unattributed"][0])
        if count > self._unattributed:
            self._say(_OF_ALL.format(count - self._unattributed))
            self._unattributed = count
        for name, sentence in _OF_GROUPS.items():
            used = self._program.groups
            told, now = self._told[name][:used], self._program.ledgers[name][:used].copy()
            for number in np.flatnonzero(now > told).tolist():
                if tracked := whose(number):
                    growth = int(now[number] - told[number])
                    self._say(f"{tracked.path}: {sentence.format(growth)}")
            told[:] = now
