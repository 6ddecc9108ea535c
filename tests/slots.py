"""Intervals as the kernel's tables give them, made of windows."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from baseline.interval import Interval, NgramEntries, Others, Replica
from baseline.window import Window


class Slots:
    """A table in which n-grams of replicas take places, on two processors, in no order.

    Args:
        seed: of what is left to chance.
        forgets: part of the places that are given to others before each interval.
    """

    def __init__(self, seed: int, forgets: float = 0.0) -> None:
        self._chance = np.random.default_rng(seed)
        self._forgets = forgets
        self._places: dict[tuple[str, int, int], int] = {}
        self._replicas: tuple[Replica, ...] = ()

    def interval(self, windows: Sequence[Window], unplaced: int = 0) -> Interval:
        """What a reading gives that counted these windows.

        Args:
            windows: of one time.
            unplaced: so many entries found no place.
        """
        replicas = tuple(Replica(w.workload, w.replica) for w in windows)
        if replicas != self._replicas:
            self._replicas = replicas
        gone = [key for key in self._places if self._chance.random() < self._forgets]
        free = [self._places.pop(key) for key in gone]
        rows, ngrams, counts, places, renewed = [], [], [], [], []
        for row, window in enumerate(windows):
            for ngram, count in zip(
                window.ngrams.ngrams.tolist(), window.ngrams.counts.tolist(), strict=True
            ):
                here = int(self._chance.integers(0, count + 1))
                for cpu, part in enumerate((here, count - here)):
                    key = (window.replica, ngram, cpu)
                    if key not in self._places:
                        self._places[key] = free.pop() if free else self._next_place()
                        renewed.append(self._places[key])
                    rows.append(row)
                    ngrams.append(ngram)
                    counts.append(part)
                    places.append(self._places[key])
        order = self._chance.permutation(len(rows))
        kinds = (np.int64, np.uint64, np.int64, np.int64)
        columns = [
            np.array(column, kind)[order]
            for column, kind in zip((rows, ngrams, counts, places), kinds, strict=True)
        ]
        columns[3] = columns[3][: len(rows) - unplaced]
        return Interval(
            self._replicas,
            windows[0].end,
            windows[0].observed,
            NgramEntries(*columns, np.array(renewed, np.int64)),
            {
                row: Others(Counter(window.executions), Counter(window.connections))
                for row, window in enumerate(windows)
                if window.executions or window.connections
            },
            np.array([_numbers(window) for window in windows], np.int64),
        )

    def _next_place(self) -> int:
        return max(self._places.values(), default=0) + int(self._chance.integers(1, 9))


def _numbers(window: Window) -> list[list[int]]:
    ledger = window.ledger
    return [list(t) for t in (ledger.ngrams, ledger.executions, ledger.connections, ledger.events)]
