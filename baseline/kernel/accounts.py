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
"""A count for each group, shape (groups,)."""


class Account:
    """The account of one signal, by group, from the loading of the program on.

    Args:
        groups: how many groups there can be.
        in_hand: events that may be counted but not yet in a table: one for each CPU.
    """

    def __init__(self, groups: int, in_hand: int) -> None:
        self._in_hand = in_hand
        self._held = np.zeros(groups, np.int64)
        self._lost = np.zeros(groups, np.int64)
        self._counted = np.zeros(groups, np.int64)

    def is_behind(self, count: Counts) -> bool:
        """Whether the tables hold something unread, when the independent count is ``count``."""
        used = len(count)
        return bool((self._held[:used] + self._lost[:used] != count).any())

    def position(self, used: int) -> npt.NDArray[np.int64]:
        """What was read so far of so many groups, shape (3, used)."""
        return np.stack([self._held[:used], self._lost[:used], self._counted[:used]])

    def go_to(self, position: npt.NDArray[np.int64]) -> None:
        """Take what :meth:`position` gave as read."""
        self._held, self._lost, self._counted = position.copy()

    def is_known(self, used: int) -> npt.NDArray[np.bool_]:
        """Which of so many groups anything was ever counted of."""
        return np.asarray(self.position(used).any(axis=0))

    def forget(self, groups: npt.NDArray[np.int64]) -> None:
        """Begin anew with groups whose counts were wiped."""
        for count in (self._held, self._lost, self._counted):
            count[groups] = 0

    def settle(
        self, *, recorded: Counts, overflowed: Counts, lost: Counts, before: Counts, after: Counts
    ) -> Counts:
        """One reading of the groups that are in use, the first of all.

        Args:
            recorded: growth of the main table since the last reading.
            overflowed: growth of the overflow table since then.
            lost: events lost since the program was loaded.
            before: the kernel's independent count since it was loaded, read before all else.
            after: the same, read after all else.

        Returns:
            Counted, recorded, overflowed and lost since the last reading, shape (4, used): the
            fields of :class:`baseline.window.Tally`.
        """
        used = len(recorded)
        held, known_lost, known = self._held[:used], self._lost[:used], self._counted[:used]
        held += recorded + overflowed
        counted = np.clip(held + lost, before - self._in_hand, after)
        growth = np.stack([counted - known, recorded, overflowed, lost - known_lost])
        known[:] = counted
        known_lost[:] = lost
        return growth
