"""How often something may happen: a few times at once, then at a steady rate (a token bucket)."""


class Allowance:
    """A token bucket, by the clock of the observations.

    Args:
        burst: how often at once, at least 1.
        per_second: how often in the long run.
    """

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst = burst
        self._per_nanosecond = per_second / 1e9
        self._left = float(burst)
        self._time: int | None = None

    def has(self, time: int) -> bool:
        """Whether it may happen at this moment, in nanoseconds."""
        if self._time is not None:
            # A clock that is set back gives nothing, and takes nothing away.
            passed = max(time - self._time, 0)
            self._left = min(self._left + passed * self._per_nanosecond, self._burst)
        self._time = time
        return self._left >= 1

    def take(self, time: int) -> bool:
        """The same; if so, it counts as having happened."""
        may = self.has(time)
        self._left -= may
        return may
