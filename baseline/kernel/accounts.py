"""The ledger's check: is every event that the kernel counted in a table, or counted as lost?

The kernel counts every call, execution and connection once more, apart from the tables and before
it touches them.  While it goes on counting, no reader can see both at one instant, so that count
is read before and after the tables.  What the tables hold, with what was lost, must lie between
the two (less the one event that each CPU may have in hand).  If it does, it *is* the count at the
instant of the reading.  If not, the account keeps the nearer bound, and the ledger does not add up.
"""

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
"""A count for each group, shape (groups,), or of each signal, shape (signals, groups)."""


class Accounts:
    """The accounts of all signals, by group, from the loading of the program on.

    Args:
        signals: how many there are.
        groups: how many groups there can be.
        in_hand: events that may be counted but not yet in a table: one for each CPU.
    """

    def __init__(self, signals: int, groups: int, in_hand: int) -> None:
        self._in_hand = in_hand
        # Held, lost and counted.
        self._sums = np.zeros((3, signals, groups), np.int64)

    def is_behind(self, signal: int, count: Counts) -> bool:
        """Whether the tables hold something unread, when the independent count is ``count``."""
        held, lost, _ = self._sums[:, signal, : len(count)]
        return bool((held + lost != count).any())

    def position(self, signal: int, used: int) -> npt.NDArray[np.int64]:
        """What was read so far of so many groups, shape (3, used)."""
        return self._sums[:, signal, :used]

    def go_to(self, signal: int, position: npt.NDArray[np.int64]) -> None:
        """Take what :meth:`position` gave as read, and nothing of groups beyond."""
        self._sums[:, signal] = 0
        self._sums[:, signal, : position.shape[1]] = position

    def are_known(self, used: int) -> npt.NDArray[np.bool_]:
        """Which of so many groups anything was ever counted of."""
        return np.asarray(self._sums[:, :, :used].any(axis=(0, 1)))

    def forget(self, groups: npt.NDArray[np.int64]) -> None:
        """Begin anew with groups whose counts were wiped."""
        self._sums[:, :, groups] = 0

    def settle(
        self, *, recorded: Counts, overflowed: Counts, lost: Counts, before: Counts, after: Counts
    ) -> Counts:
        """One reading of the groups that are in use, the first of all.

        Args:
            recorded: growth of the main tables since the last reading, shape (signals, used).
            overflowed: growth of the overflow tables since then.
            lost: events lost since the program was loaded.
            before: the kernel's independent count since it was loaded, read before all else.
            after: the same, read after all else.

        Returns:
            Counted, recorded, overflowed and lost since the last reading, shape
            (4, signals, used): the fields of :class:`baseline.window.Tally`.
        """
        held, known_lost, known = self._sums[:, :, : recorded.shape[1]]
        held += recorded + overflowed
        counted = np.clip(held + lost, before - self._in_hand, after)
        growth = np.array([counted - known, recorded, overflowed, lost - known_lost])
        known[:] = counted
        known_lost[:] = lost
        return growth
