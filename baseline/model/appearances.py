"""Where the items of one histogram appeared, and what that tells of how complete learning is.

Of each item is remembered where it was first and last seen, which is enough to tell, for any cut of
the time into slices, what one slice alone showed (``baseline.model.discovery`` says what follows
from that).
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from baseline.model.completeness import SignalCompleteness
from baseline.model.discovery import unseen_mass_bound
from baseline.model.novelty import Integers
from baseline.model.score import Item

SLICES = 20
"""Slices that learning is cut into; more where there are more replicas."""

LEAST_WINDOWS = 3
"""Windows that a slice should have at least, so that it holds neighbours that are alike."""

_SEVERAL = -1
"""Instead of where an item was last seen: several replicas showed it."""

NgramsOfWindow = tuple[npt.NDArray[np.uint64], int, int]
"""Distinct n-grams of a window, its replica, and its position in it."""


class Slices:
    """Learning cut into slices of about the same number of windows, each of one replica.

    Args:
        windows: of each replica.
    """

    def __init__(self, windows: list[int]) -> None:
        self._windows = np.array(windows, np.int64)
        length = max(self._windows.sum() / SLICES, LEAST_WINDOWS)
        self._slices = np.maximum(np.rint(self._windows / length), 1).astype(np.int64)
        self._windows_before = np.cumsum(self._windows) - self._windows
        self._slices_before = np.cumsum(self._slices) - self._slices

    def __len__(self) -> int:
        return int(self._slices.sum())

    def windows(self, replicas: Integers, positions: Integers) -> Integers:
        """A number for each window that is at such a position of such a replica."""
        numbers: Integers = self._windows_before[replicas] + positions
        return numbers

    def slices(self, replicas: Integers, positions: Integers) -> Integers:
        """The number of the slice of each such window."""
        within = positions * self._slices[replicas] // self._windows[replicas]
        numbers: Integers = self._slices_before[replicas] + within
        return numbers


class Appearances:
    """Where each item of one histogram appeared."""

    def __init__(self) -> None:
        self._first: dict[Item, tuple[int, int]] = {}  # first replica, first position in it
        self._last: dict[Item, int] = {}  # last position, in whichever replica
        self._own: dict[int, set[Item]] = {}  # by replica, the items that it was the first to show
        self._several: set[Item] = set()  # items of more than one replica

    def add(self, items: Iterable[Item], replica: int, position: int) -> None:
        """Take the items of one window."""
        # Sets and dictionaries go through what is shown; only what is new is gone through here.
        shown = dict.fromkeys(items, position)
        if not shown:
            return
        own = self._own.setdefault(replica, set())
        for item in shown.keys() - self._first.keys():
            self._first[item] = replica, position
            own.add(item)
        self._several |= shown.keys() - own
        self._last.update(shown)

    def add_ngrams(self, windows: Sequence[NgramsOfWindow]) -> None:
        """Take the n-grams of many windows; they are all that is ever added."""
        sizes = [len(ngrams) for ngrams, _, _ in windows]
        ngrams = np.concatenate([ngrams for ngrams, _, _ in windows])
        replica, position = (
            np.repeat(np.array([window[i] for window in windows], np.int64), sizes) for i in (1, 2)
        )
        distinct = np.unique(ngrams)
        item_of_row = np.searchsorted(distinct, ngrams)
        # Of what is assigned to one place several times, the last stays.
        last = np.zeros(len(distinct), np.int64)
        last[item_of_row] = position
        first_row = np.zeros(len(distinct), np.int64)
        first_row[item_of_row[::-1]] = np.arange(len(ngrams))[::-1]
        items = distinct.tolist()
        firsts = zip(replica[first_row].tolist(), position[first_row].tolist(), strict=True)
        owner = np.array(
            [
                self._first.setdefault(item, first)[0]
                for item, first in zip(items, firsts, strict=True)
            ],
            np.int64,
        )
        elsewhere = item_of_row[replica != owner[item_of_row]]
        self._several.update(distinct[np.unique(elsewhere)].tolist())
        self._last.update(zip(items, last.tolist(), strict=True))

    def figures(self, cut: Slices, windows: int, seconds: float) -> SignalCompleteness:
        """What follows from them."""
        replicas, first = np.array(list(self._first.values()), np.int64).reshape(-1, 2).T
        last = np.array(
            [_SEVERAL if item in self._several else self._last[item] for item in self._first],
            np.int64,
        )
        slices = cut.slices(replicas, first)
        is_unique = (last != _SEVERAL) & (cut.slices(replicas, last) == slices)
        uniques = np.bincount(slices[is_unique], minlength=len(cut))
        sizes, slices_of_size = np.unique(uniques[uniques > 0], return_counts=True)
        introducing = cut.windows(replicas, first)
        _, once = np.unique(introducing[is_unique], return_index=True)
        introducing_by_slice = np.bincount(slices[is_unique][once], minlength=len(cut))
        _, bursts = np.unique(introducing[slices > 0], return_counts=True)
        return SignalCompleteness(
            items=len(self._first),
            windows=windows,
            seconds=seconds,
            slices=len(cut),
            uniques=dict(zip(sizes.tolist(), slices_of_size.tolist(), strict=True)),
            largest_burst=int(bursts.max(initial=0)),
            unseen_mass=len(once) / windows,
            unseen_mass_bound=unseen_mass_bound(introducing_by_slice, windows),
        )
