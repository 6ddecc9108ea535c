"""How many replicas of a workload are watched at a time, told by their windows."""

from collections.abc import Iterable

_SPAN = 10
"""Windows of a replica in which all others have reported, too."""


class ReplicaCount:
    """Takes the windows of a workload as they come.

    Attributes:
        number: of replicas that reported in the last span of time; at least 1.
    """

    def __init__(self) -> None:
        self.number = 1
        self._seen: set[str] = set()
        self._until: int | None = None

    def add(self, replicas: Iterable[str], end: int, length: int) -> bool:
        """Take windows of one time.

        Args:
            replicas: whose they are.
            end: of them, in nanoseconds since the epoch.
            length: of them in nanoseconds.

        Returns:
            Whether there are more or fewer replicas than before.
        """
        before = self.number
        if self._until is None:
            self._until = end  # of the first ones we know after a window
        elif not 0 <= self._until - end <= _SPAN * length:
            # The span is over, or the clock was set.
            self.number, self._seen = len(self._seen), set()
            self._until = end + _SPAN * length
        self._seen.update(replicas)
        return self.number != before
