"""What models would have told of recorded windows, against their budgets.

The same Detector judges as in ``watch``.  Alerts are taken as independent events at a constant
rate, so that their number is a Poisson variable; folding repeats makes that nearly so.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from baseline.alerts.alert import Alert
from baseline.alerts.detector import Detector
from baseline.model.budget import Budget
from baseline.model.poisson import poisson_interval
from baseline.model.workload_model import WorkloadModel
from baseline.window import Window


@dataclass(frozen=True)
class Outcome:
    """What came of one budget of one workload.

    Attributes:
        workload: its name.
        budget: false alarms that it may raise.
        seconds: time covered by at least one replica.
        alerts: what it would have told, in order of time.
    """

    workload: str
    budget: Budget
    seconds: float
    alerts: tuple[Alert, ...]

    @property
    def expected(self) -> float:
        """Alerts that the budget allows in this time."""
        return self.budget.per_second * self.seconds

    @property
    def ratio(self) -> float:
        """Alerts observed for each one expected."""
        return len(self.alerts) / self.expected

    @property
    def interval(self) -> tuple[float, float]:
        """Exact 95 % interval of that ratio."""
        low, high = poisson_interval(len(self.alerts))
        return low / self.expected, high / self.expected


class Backtest:
    """Judges windows by models with several budgets at once.

    Args:
        models: by workload.
        budgets: at least one, all different.
    """

    def __init__(self, models: Mapping[str, WorkloadModel], budgets: Sequence[Budget]) -> None:
        self._detectors = {
            budget: Detector({name: model.with_budget(budget) for name, model in models.items()})
            for budget in budgets
        }
        self._alerts: dict[Budget, list[Alert]] = {budget: [] for budget in budgets}
        self._covered = {name: _Covered() for name in models}

    def observe(self, window: Window) -> None:
        """Judge one more window; those of each workload come in order of time."""
        covered = self._covered.get(window.workload)
        if covered is None:
            return
        covered.add(window)
        for budget, detector in self._detectors.items():
            alert = detector.observe(window)
            if alert:
                self._alerts[budget].append(alert)

    def outcomes(self) -> list[Outcome]:
        """Of each workload that took time, by budget."""
        return [
            Outcome(
                workload,
                budget,
                covered.nanoseconds / 1e9,
                tuple(alert for alert in alerts if alert.workload == workload),
            )
            for workload, covered in sorted(self._covered.items())
            if covered.nanoseconds
            for budget, alerts in self._alerts.items()
        ]


def alerts_of(model: WorkloadModel, windows: Iterable[Window]) -> list[Alert]:
    """What a model, with the budget that it has, tells of windows."""
    detector = Detector({model.workload: model})
    return [alert for window in windows if (alert := detector.observe(window))]


class _Covered:
    """Time in which at least one replica was watched."""

    def __init__(self) -> None:
        self._until = 0
        self._spanned = 0
        self._observed = 0

    def add(self, window: Window) -> None:
        self._spanned += max(window.end - max(window.start, self._until), 0)
        self._until = max(self._until, window.end)
        self._observed += window.observed

    @property
    def nanoseconds(self) -> int:
        # The clock of the times may be set meanwhile; the time observed is of another clock.
        return min(self._spanned, self._observed) or self._observed
