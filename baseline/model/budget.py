"""The alert budget: how many false alarms a workload may raise."""

import re
from dataclasses import dataclass

from baseline.errors import UsageError

_SECONDS = {
    "minute": 60,
    "hour": 3600,
    "day": 86_400,
    "week": 7 * 86_400,
    "month": 30 * 86_400,
    "year": 365 * 86_400,
}
_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*([a-z]+)\s*")


@dataclass(frozen=True)
class Budget:
    """So many false alarms in so much time, for each workload.

    Attributes:
        alarms: how many, above zero.
        unit: in what time: a minute, hour, day, week, month (30 days) or year.
    """

    alarms: float
    unit: str

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Read ``1/week``, ``2/month``, ``0.5/day``.

        Raises:
            UsageError: it is no budget.
        """
        match = _TEXT.fullmatch(text)
        budget = cls(float(match[1]), match[2]) if match and match[2] in _SECONDS else None
        if not budget or not 0 < budget.per_second < float("inf"):
            raise UsageError(
                f"{text!r} is no alert budget",
                f"Write a number above zero and a time: 1/week, 2/month; times are "
                f"{', '.join(_SECONDS)}",
            )
        return budget

    @classmethod
    def of_rate(cls, per_second: float) -> "Budget":
        """A rate in the shortest unit in which it is at least one, else in years."""
        unit = next((u for u, length in _SECONDS.items() if per_second * length >= 1), "year")
        return cls(per_second * _SECONDS[unit], unit)

    @property
    def per_second(self) -> float:
        """False alarms in a second."""
        return self.alarms / _SECONDS[self.unit]

    def __str__(self) -> str:
        number = f"{self.alarms:.2g}" if self.alarms < 10 else f"{self.alarms:,.0f}"
        return f"{number}/{self.unit}"


DEFAULT_BUDGET = Budget(1, "week")
