"""The recordings in data/ are sound, and the main job works on them without any kernel."""

from pathlib import Path

import pytest

from baseline.alerts.alert import Alert
from baseline.alerts.detector import Detector
from baseline.model.workload_model import WorkloadModel
from baseline.recordings import Recording
from baseline.window import Window

DATA = Path(__file__).parents[1] / "data"
QUIET_WINDOWS = 18  # of the twenty seconds before the intruder comes

services = pytest.mark.parametrize("name", ["nginx", "postgres", "redis"])


def windows(name: str, part: str) -> list[Window]:
    return list(Recording(DATA / name / part).windows())


def alerts(detector: Detector, stretch: list[Window]) -> list[Alert]:
    return [alert for window in stretch if (alert := detector.observe(window))]


@services
@pytest.mark.parametrize("part", ["normal", "intruded"])
def test_every_count_is_accounted_for(name: str, part: str) -> None:
    for window in windows(name, part):
        assert window.ledger.adds_up
        assert window.ledger.lost == 0
        assert window.ngrams.total == window.ledger.ngrams.recorded


@services
def test_an_intruder_is_found_and_normal_time_is_quiet(name: str) -> None:
    detector = Detector({name: WorkloadModel.fit(windows(name, "normal"))})
    intruded = windows(name, "intruded")
    assert alerts(detector, intruded[:QUIET_WINDOWS]) == []
    found = alerts(detector, intruded[QUIET_WINDOWS:])
    told = " ".join(evidence.description for alert in found for evidence in alert.score.evidence)
    for sign in ("/usr/bin/dash", "/usr/bin/curl", "/usr/bin/perl", "memfd:stage", "127.0.0.66"):
        assert sign in told
