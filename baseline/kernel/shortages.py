"""What the kernel part had no room for outside the ledgers of workloads: told when it grows."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

_SENTENCES = {
    "unattributed": "{:,} system calls belong to no workload: their threads found no place",
    "lineages_lost": "{:,} processes lost their ancestors: the table of lineages is full",
    "images_lost": "{:,} programs have no name: the table of images is full",
}


class Shortages:
    """Tells the user when one of the kernel's tables for all workloads was too small.

    Args:
        control: the kernel's counters, dtype ``layout.CONTROL``, shape (1,).
        say: told in a sentence.
    """

    def __init__(self, control: npt.NDArray[np.void], say: Callable[[str], None]) -> None:
        self._control = control
        self._say = say
        self._told = {name: self._count(name) for name in _SENTENCES}

    def check(self) -> None:
        """Say what has grown since the last check."""
        for name, sentence in _SENTENCES.items():
            count = self._count(name)
            if count > self._told[name]:
                self._say(sentence.format(count - self._told[name]))
                self._told[name] = count

    def _count(self, name: str) -> int:
        return int(self._control[name][0])
