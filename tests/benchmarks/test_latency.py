"""The benchmark of the time to an alert finds what a line names, of whatever signal it is."""

from pathlib import Path

from latency import Newcomer, names_in, table

from baseline.alerts.backtest import alerts_of
from baseline.model.score import Signal
from baseline.model.workload_model import WorkloadModel
from baseline.recordings import Recording

NGINX = Path(__file__).parents[2] / "data" / "nginx"


def test_the_table_says_how_long_was_learned_and_at_what_budget() -> None:
    events = [Newcomer("peer", 0, "peer", "7", began=1_000_000, told=3_500_000)]
    lines = list(table([*events, Newcomer("program", 1, "program", "x", began=1)], 2.5))
    assert lines[0] == "learned for 2.5 minutes, at a budget of 60/hour"
    assert lines[-1].split() == ["all", *["2.50"] * 4, "2", "1"]
    assert max(map(len, lines)) <= 80


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
