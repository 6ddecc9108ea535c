"""The load changes as it says, and what it is recorded from is real."""

from pathlib import Path

import changing_load
import pytest
from changing_load import MOST_CLIENTS, Course

from baseline.demo.services import SERVICES
from baseline.recordings.reader import Recording

HOUR = 3600


def test_the_load_has_steps_idle_stretches_and_bursts() -> None:
    course = Course("one", HOUR)
    seconds = range(HOUR)
    assert {course.clients(second) for second in seconds} == set(range(MOST_CLIENTS + 1))
    rates = [course.rate(second) for second in seconds]
    assert all((course.rate(second) == 0) == (course.clients(second) == 0) for second in seconds)
    assert 0.6 < sum(rates) / HOUR < 1.8
    assert max(rates) > 4
    shares = [course.writing(second) for second in seconds]
    assert min(shares) == pytest.approx(0.1, abs=0.01)
    assert max(shares) == pytest.approx(0.9, abs=0.01)


def test_the_same_seed_gives_the_same_load() -> None:
    one, same, other = (Course(seed, HOUR) for seed in ("one", "one", "two"))
    rates = [[course.rate(second) for second in range(HOUR)] for course in (one, same, other)]
    assert rates[0] == rates[1] != rates[2]


@pytest.mark.kernel
def test_all_services_are_recorded_and_every_count_accounted_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing_load, "PARENT", "baseline-test-changing")
    (path,) = changing_load.record(0.1, tmp_path / "recording")
    windows = list(Recording(path).windows())
    assert {window.workload for window in windows} == set(SERVICES)
    assert all(window.ledger.adds_up for window in windows)
    assert all(sum(w.ngrams.total for w in windows if w.workload == name) for name in SERVICES)
