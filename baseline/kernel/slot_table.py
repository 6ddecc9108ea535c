"""The memory-mapped table of n-grams, as a reader sees it."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from baseline.kernel import layout
from baseline.kernel.accounts import Counts

_COUNT = np.uint64(layout.COUNT_MASK)
_SHIFT = np.uint64(layout.GROUP_SHIFT)

_SEEN_SLOT = np.dtype([("slot", "<u4"), ("group_count", "<u8")])


class SlotGrowth(NamedTuple):
    """Slots that grew.

    Attributes:
        slots: their numbers, shape (k,).
        ngrams, groups, counts: what each counts, for whom, and its growth, shape (k,).
        renewed: numbers of those that counted something else before, or nothing.
    """

    slots: npt.NDArray[np.int64]
    ngrams: npt.NDArray[np.uint64]
    groups: npt.NDArray[np.int64]
    counts: Counts
    renewed: npt.NDArray[np.int64]

    def without(self, groups: npt.NDArray[np.bool_]) -> "SlotGrowth":
        """The same but of these groups, by number; the last one stands for all beyond."""
        goes = groups.take(self.groups, mode="clip")
        if not goes.any():
            return self
        stays = ~goes
        return SlotGrowth(
            self.slots[stays],
            self.ngrams[stays],
            self.groups[stays],
            self.counts[stays],
            self.renewed,
        )

    def by_group(self, groups: int) -> Counts:
        """Growth of each of so many groups."""
        return np.bincount(self.groups, self.counts, groups).astype(np.int64)


class SlotTable:
    """A reader of the table, with what it has read.

    Args:
        slots: the kernel's memory, dtype ``layout.SLOT``.
    """

    def __init__(self, slots: npt.NDArray[np.void]) -> None:
        self._group_counts = slots["group_count"]
        self._ngrams = slots["ngram"]
        self._seen = np.zeros(slots.size, np.uint64)
        self._differ = np.empty(slots.size, np.bool_)
        self._taken = np.empty(0, np.intp)  # next to all slots are empty, as a rule

    def position(self) -> npt.NDArray[np.void]:
        """What was read so far, see :class:`baseline.kernel.position.Position`."""
        entries = np.empty(len(self._taken), _SEEN_SLOT)
        entries["slot"], entries["group_count"] = self._taken, self._seen[self._taken]
        return entries.view(f"V{_SEEN_SLOT.itemsize}")

    def go_to(self, position: npt.NDArray[np.void]) -> None:
        """Take what :meth:`position` gave as read."""
        entries = position.view(_SEEN_SLOT)
        self._seen[:] = 0
        self._seen[entries["slot"]] = entries["group_count"]
        self._taken = np.flatnonzero(self._seen)

    def forget(self, groups: npt.NDArray[np.int64]) -> None:
        """Begin anew with groups whose counts were wiped."""
        owners = self._seen[self._taken] >> _SHIFT
        goes = np.isin(owners, groups.astype(np.uint64))
        self._seen[self._taken[goes]] = 0
        self._taken = self._taken[~goes]

    def read(self) -> SlotGrowth:
        """What grew since the last reading."""
        # All of them, whatever the kernel counted apart: that count is there to check this one.
        np.not_equal(self._group_counts, self._seen, out=self._differ)
        grown = np.flatnonzero(self._differ)
        # Counts before n-grams: whoever sees a count sees the n-gram it belongs to.
        now, before = self._group_counts[grown], self._seen[grown]
        ngrams = self._ngrams[grown]
        groups = now >> _SHIFT
        # A slot may have been wiped and taken by another group since.
        is_same = groups == before >> _SHIFT
        self._seen[grown] = now
        renewed = grown[~is_same]
        if len(renewed):
            taken = np.concatenate([self._taken, grown[before == 0]])
            self._taken = taken[self._seen[taken] != 0]
        counts = (now & _COUNT) - np.where(is_same, before & _COUNT, 0)
        return SlotGrowth(grown, ngrams, groups.view(np.int64), counts.view(np.int64), renewed)
