"""What ``watch`` does with each observation: judge it, tell of it, and count it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from baseline.alerts.detector import Detector
from baseline.alerts.incident import Incidents, Report
from baseline.cli.alert_outputs import AlertOutputs
from baseline.cli.keeping import Keeping
from baseline.cli.ledgers import LossReport
from baseline.cli.progress import ProgressBar, counted
from baseline.interval import Interval
from baseline.sighting import Observation
from baseline.window import Window

if TYPE_CHECKING:
    from baseline.alerts.metrics import WatchMetrics


@dataclass(frozen=True)
class Watching:
    """All that observations go through.

    Attributes:
        detector: what judges them.
        incidents: what becomes of that.
        metrics: count it, if there are any.
        outputs: take what is to be told.
        losses: add up the ledgers.
        progress: shows how many windows there were.
        keeping: hears that something was told.
    """

    detector: Detector
    incidents: Incidents
    metrics: "WatchMetrics | None"
    outputs: AlertOutputs
    losses: LossReport
    progress: ProgressBar
    keeping: Keeping

    def take(self, observation: Observation | Interval) -> None:
        """Take what a source yielded."""
        if isinstance(observation, Interval):
            self._take_interval(observation)
            return
        self._tell(self.incidents.observe(observation))
        if self.metrics:
            self.metrics.observe(observation, self.incidents.latest, self.detector)
        if isinstance(observation, Window):
            self.losses.add(observation)
            self._advance(1)

    def _take_interval(self, interval: Interval) -> None:
        reports, quiet, others = self.incidents.observe_quiet(interval)
        self._tell(reports)
        if self.metrics:
            self.metrics.observe_quiet(interval, quiet, self.detector)
        self.losses.add_complete(interval.tallies[quiet].sum(axis=0))
        self._advance(len(quiet))
        for window in interval.windows(others):
            self.take(window)

    def _tell(self, reports: list[Report]) -> None:
        for report in reports:
            self.outputs.write(report)
            self.keeping.told()

    def _advance(self, windows: int) -> None:
        note = f", {counted(self.detector.alerts, 'alert')}"
        self.progress.advance(note, windows=windows)
