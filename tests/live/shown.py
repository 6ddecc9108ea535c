"""Windows for the live table, and snapshots of them."""

from collections.abc import Mapping, Sequence

import numpy as np
from strategies import MIDNIGHT

from baseline.live.overview import Overview, Row, Snapshot
from baseline.model.score import Signal
from baseline.model.workload_model import WorkloadModel
from baseline.window import Connection, Execution, Image, Ledger, NgramCounts, Tally, Window

SECOND = 10**9
NGINX, SHELL, CURL = (Image(f"/usr/bin/{name}") for name in ("nginx", "dash", "curl"))
SHELL_STARTED = Execution((NGINX, SHELL), 33)
CURL_STARTED = Execution((NGINX, SHELL, CURL), 33)
CLIENT = Connection("in", "tcp", "10.0.0.7", 80)
INTRUDER = Connection("out", "tcp", "203.0.113.9", 4444)


def window(
    second: float,
    ngrams: Mapping[int, int],
    executions: Sequence[Execution] = (),
    connections: Sequence[Connection] = (),
    *,
    workload: str = "web",
    replica: str = "shop/web",
    seconds: float = 1,
    lost: int = 0,
) -> Window:
    """What was done until so many seconds after midnight."""
    end = MIDNIGHT + round(second * SECOND)
    length = round(seconds * SECOND)
    calls = sum(ngrams.values())
    return Window(
        workload=workload,
        replica=replica,
        start=end - length,
        end=end,
        observed=length,
        ngrams=NgramCounts.collect(
            np.array(list(ngrams), np.uint64), np.array(list(ngrams.values()), np.int64)
        ),
        executions=dict.fromkeys(executions, 1),
        connections=dict.fromkeys(connections, 1),
        ledger=Ledger(
            ngrams=Tally(calls + lost, calls, lost=lost),
            executions=Tally(*[len(executions)] * 2),
            connections=Tally(*[len(connections)] * 2),
        ),
    )


def learned(workload: str = "web", windows: int = 240) -> WorkloadModel:
    """A model of a service that makes three n-grams, two of them in numbers that vary."""
    random = np.random.default_rng(1)
    return WorkloadModel.fit(
        [
            window(
                number + 1,
                {1: int(random.integers(80, 120)), 2: int(random.integers(8, 12)), 3: 1},
                connections=[CLIENT],
                workload=workload,
            )
            for number in range(windows)
        ]
    )


def snapshot_of(windows: Sequence[Window], *models: WorkloadModel) -> Snapshot:
    """What an overview shows after these."""
    overview = Overview({model.workload: model for model in models})
    for seen in windows:
        overview.add(seen)
    return overview.snapshot()


def row(workload: str, calls: float = 0, **facts: object) -> Row:
    """A row with nothing in it but what is said."""
    nothing = {"replicas": 1, "new": {}, "newest": (), "ledger": Ledger()}
    return Row(workload=workload, calls=calls, **{**nothing, **facts})  # type: ignore[arg-type]


def snapshot(*rows: Row, is_judged: bool = True) -> Snapshot:
    """A snapshot of these rows."""
    return Snapshot(MIDNIGHT, rows, is_judged)


NGRAMS, EXECUTIONS, CONNECTIONS = Signal.NGRAMS, Signal.EXECUTIONS, Signal.CONNECTIONS_OUT
