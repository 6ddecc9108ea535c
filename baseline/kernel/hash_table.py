"""A hash map of counts that only grow, as a reader sees it."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from baseline.kernel.accounts import Counts
from baseline.kernel.bpf_syscall import BpfMap

_NEW = 256
"""Room for entries that came since the last reading; more take one more call."""


class Growth(NamedTuple):
    """Entries that grew.

    Attributes:
        keys, groups, counts: raw key of each, its group, and its growth, shape (k,).
    """

    keys: npt.NDArray[np.void]
    groups: npt.NDArray[np.int64]
    counts: Counts

    def where(self, chosen: npt.NDArray[np.bool_]) -> "Growth":
        """The same of chosen ones alone, shape (k,)."""
        return Growth(self.keys[chosen], self.groups[chosen], self.counts[chosen])

    def without(self, groups: npt.NDArray[np.bool_]) -> "Growth":
        """The same but of these groups, by number; the last one stands for all beyond."""
        goes = groups.take(self.groups, mode="clip")
        return self.where(~goes) if goes.any() else self

    def by_group(self, groups: int) -> Counts:
        """Growth of each of so many groups."""
        return np.bincount(self.groups, self.counts, groups).astype(np.int64)

    def entries(self) -> Iterator[tuple[int, np.void, int]]:
        """Group, key and growth of each."""
        yield from zip(self.groups.tolist(), self.keys, self.counts.tolist(), strict=True)


class HashTable:
    """A reader of the map, with what it has read.

    Args:
        table: the map.
        key: dtype of its keys.
    """

    def __init__(self, table: BpfMap, key: np.dtype[np.void]) -> None:
        self._table = table
        self._key = key
        self._entry = np.dtype([("key", "V", key.itemsize), ("count", "<u8")])
        self._nothing = Growth(np.empty(0, key), np.empty(0, np.int64), np.empty(0, np.int64))
        self._position: npt.NDArray[np.void] | None = None
        self._remember([], np.empty(0, np.uint64))

    def position(self) -> npt.NDArray[np.void]:
        """What was read so far, see :class:`baseline.kernel.position.Position`."""
        if self._position is None:  # of most maps it is the same for long
            entries = np.empty(len(self._counts), self._entry)
            entries["key"] = np.frombuffer(b"".join(self._known), entries["key"].dtype)
            entries["count"] = self._counts
            self._position = entries.view(f"V{self._entry.itemsize}")
        return self._position

    def go_to(self, position: npt.NDArray[np.void]) -> None:
        """Take what :meth:`position` gave as read."""
        entries = position.view(self._entry)
        self._remember(entries["key"].tolist(), entries["count"].copy())

    def forget(self, groups: npt.NDArray[np.int64]) -> None:
        """Begin anew with groups whose counts were wiped."""
        keys = np.frombuffer(b"".join(self._known), self._key)
        stays = ~np.isin(keys["group"], groups.astype(keys["group"].dtype))
        self._remember(_raw(keys[stays]).tolist(), self._counts[stays])

    def _remember(self, keys: list[bytes], counts: npt.NDArray[np.uint64]) -> None:
        """Take so much of each key as read."""
        self._known = {key: place for place, key in enumerate(keys)}
        self._counts = counts
        self._position = None
        # The keys of the last walk through the map, as raw bytes, and the place of each.
        self._walked = b""
        self._places = np.empty(0, np.intp)

    def read(self, *, needed: bool) -> Growth:
        """What grew since the last reading; the map is not touched where it is not needed."""
        if not needed:
            return self._nothing
        self._position = None
        batches = list(self._table.entries(len(self._known) + _NEW))
        walked = b"".join(keys for keys, _ in batches)
        # A per-CPU value is one count for each CPU.
        counts = np.frombuffer(b"".join(values for _, values in batches), "<u8")
        keys = np.frombuffer(walked, self._key)
        now = counts.reshape(len(keys), -1).sum(axis=1) if len(keys) else counts
        if walked != self._walked:
            self._find_places(keys)
            self._walked = walked
        before = self._counts[self._places]
        grown = np.flatnonzero(now != before)
        self._counts[self._places] = now
        return Growth(
            keys[grown],
            keys["group"][grown].astype(np.int64),
            (now - before)[grown].view(np.int64),
        )

    def _find_places(self, keys: npt.NDArray[np.void]) -> None:
        """Places of the keys among those that are known; new ones are by now, counted never."""
        known = self._known
        self._places = np.array(
            [known.setdefault(key, len(known)) for key in _raw(keys).tolist()], np.intp
        )
        unread = np.zeros(len(known) - len(self._counts), np.uint64)
        self._counts = np.concatenate([self._counts, unread])


def _raw(keys: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """The same bytes, each key a single value."""
    return keys.view(f"V{keys.dtype.itemsize}")
