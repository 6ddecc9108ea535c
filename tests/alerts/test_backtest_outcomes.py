from pathlib import Path

import pytest

from baseline.alerts.backtest import Backtest, alerts_of
from baseline.alerts.detector import Detector
from baseline.model.budget import Budget
from baseline.model.poisson import poisson_interval
from baseline.model.workload_model import WorkloadModel
from baseline.recordings import Recording
from baseline.window import Window

DATA = Path(__file__).parents[2] / "data"
WEEK, HOUR = Budget(1, "week"), Budget(1, "hour")


@pytest.fixture(scope="module")
def models() -> dict[str, WorkloadModel]:
    fitted = (
        WorkloadModel.fit(list(Recording(DATA / name / "normal").windows()))
        for name in ("nginx", "redis")
    )
    return {model.workload: model for model in fitted}


def test_alerts_are_those_of_the_detector_at_each_budget(models: dict[str, WorkloadModel]) -> None:
    windows = list(Recording(DATA / "nginx" / "intruded").windows())
    often = Budget(30, "minute")
    backtest = Backtest(models, [often, WEEK])
    for window in windows:
        backtest.observe(window)
    outcomes = backtest.outcomes()
    assert [(o.workload, o.budget) for o in outcomes] == [("nginx", often), ("nginx", WEEK)]
    for outcome in outcomes:
        model = models["nginx"].with_budget(outcome.budget)
        detector = Detector({"nginx": model})
        told = [alert for window in windows if (alert := detector.observe(window))]
        assert list(outcome.alerts) == told == alerts_of(model, windows)
    assert len(outcomes[0].alerts) > len(outcomes[1].alerts) > 0


def test_the_ratio_is_of_what_the_budget_allows_in_the_time(
    models: dict[str, WorkloadModel],
) -> None:
    backtest = Backtest(models, [HOUR])
    windows = list(Recording(DATA / "nginx" / "intruded").windows())
    for window in windows:
        backtest.observe(window)
    (outcome,) = backtest.outcomes()
    seconds = sum(w.observed for w in windows) / 1e9
    assert outcome.seconds == pytest.approx(seconds, rel=0.01)
    assert outcome.expected == pytest.approx(outcome.seconds / 3600)
    assert outcome.ratio == pytest.approx(len(outcome.alerts) / outcome.expected)
    low, high = poisson_interval(len(outcome.alerts))
    assert outcome.interval == pytest.approx((low / outcome.expected, high / outcome.expected))


def seconds(replica: str, *numbers: int, workload: str = "nginx") -> list[Window]:
    return [
        Window(workload, replica, n * 10**9, (n + 1) * 10**9, 10**9, ledger=Window.ledger)
        for n in numbers
    ]


def test_replicas_share_a_budget_and_pauses_do_not_count(models: dict[str, WorkloadModel]) -> None:
    backtest = Backtest(models, [WEEK])
    windows = seconds("a", *range(10), *range(1000, 1005)) + seconds("b", *range(5))
    for window in sorted(windows, key=lambda w: w.end):
        backtest.observe(window)
    (outcome,) = backtest.outcomes()
    assert outcome.seconds == 15
    for stranger in seconds("c", 2000, workload="other"):
        backtest.observe(stranger)
    assert [o.workload for o in backtest.outcomes()] == ["nginx"]
