"""The benchmark of the time to an alert finds what a line names, of whatever signal it is."""

from pathlib import Path

from latency import names_in

from baseline.alerts.backtest import alerts_of
from baseline.model.score import Signal
from baseline.model.workload_model import WorkloadModel
from baseline.recordings import Recording

NGINX = Path(__file__).parents[2] / "data" / "nginx"


def test_everything_new_has_a_name() -> None:
    model = WorkloadModel.fit(list(Recording(NGINX / "normal").windows()))
    told = {}
    for alert in alerts_of(model, Recording(NGINX / "intruded").windows()):
        evidence = [e for e in alert.score.evidence if e.signal != Signal.VOLUMES]
        names = list(names_in(alert.to_dict()))
        assert len(names) == len(evidence)
        told |= dict(zip(names, (e.signal for e in evidence), strict=True))
    assert told["/usr/bin/curl"] == Signal.EXECUTIONS
    assert told["execve"] == Signal.CALLS
    assert set(told.values()) >= {Signal.NGRAMS, Signal.CALLS, Signal.CONNECTIONS_OUT}
