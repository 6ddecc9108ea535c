"""What is judged: baseline's model, through the same public API that ``baseline watch`` uses."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from labelled_rows import Case, Run
from labelled_traces import Trace, call_numbers

from baseline.alerts.detector import Detector
from baseline.model.budget import Budget
from baseline.model.workload_model import WorkloadModel
from baseline.syscalls import NGRAM_LENGTH, NO_CALL, OUT_OF_RANGE, pack
from baseline.window import Ledger, NgramCounts, Tally, Window

CALL_NANOSECONDS = 1_000_000
"""Traces have no times: a clock ticks with each call, and they come one after the other."""

ROW_NANOSECONDS = 100_000_000


def trace_scores(train: Sequence[Trace], judged: Sequence[Trace]) -> npt.NDArray[np.float64]:
    """How rare each judged trace is, in bits, to a model of the others."""
    windows = trace_windows([*train, *judged])
    model = WorkloadModel.fit(windows[: len(train)])
    return np.array([model.score(window).bits for window in windows[len(train) :]])


class RowAlarms(NamedTuple):
    """Whether each row of each attacked run is an alarm, up to the success of its attack.

    Attributes:
        rows: its own score is above the threshold, as the peers judge rows, each by itself.
        alerts: ``baseline watch`` tells of it: what was told is not told again for a while, and
            rows are judged together with those before them, too.
    """

    rows: list[npt.NDArray[np.bool_]]
    alerts: list[npt.NDArray[np.bool_]]


def row_alarms(case: Case, promised_rate: float) -> RowAlarms:
    """Alarms of both kinds, by one model.

    Args:
        case: runs of one workload.
        promised_rate: false alarms a row that the budget allows.
    """
    numbers = call_numbers(case.calls)
    symbols = symbols_of(np.array([numbers[name] for name in case.calls]))
    model = WorkloadModel.fit([w for run in case.normal for w in row_windows(run, symbols)])
    hourly = promised_rate * model.training.windows_per_second * 3600
    model = model.with_budget(Budget(hourly, "hour"))
    alarms = RowAlarms([], [])
    for run, attack in case.attacked:
        detector = Detector({model.workload: model})
        rows = row_windows(run, symbols)[: attack.success + 1]
        alarms.rows.append(np.array([model.score(row).is_anomaly for row in rows]))
        alarms.alerts.append(np.array([detector.observe(row) is not None for row in rows]))
    return alarms


def symbols_of(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Symbols of system calls, as the collector would number them."""
    return np.minimum(numbers + 1, OUT_OF_RANGE)


def trace_windows(traces: Sequence[Trace]) -> list[Window]:
    """Each trace as one window, one after the other."""
    ends = np.cumsum([len(trace.calls) for trace in traces]).tolist()
    return [_trace_window(trace, end) for trace, end in zip(traces, ends, strict=True)]


def _trace_window(trace: Trace, end: int) -> Window:
    """The n-grams of a thread from its first call on; ``end`` is counted in calls."""
    start = np.full(NGRAM_LENGTH - 1, NO_CALL)
    symbols = np.concatenate([start, symbols_of(trace.calls)])
    calls = len(trace.calls)
    ngrams = pack(np.column_stack([symbols[i : i + calls] for i in range(NGRAM_LENGTH)]))
    counts = NgramCounts.collect(ngrams, np.ones(len(ngrams), np.int64))
    start_ns, duration = (end - calls) * CALL_NANOSECONDS, calls * CALL_NANOSECONDS
    return _window(trace.name, start_ns, duration, counts)


def row_windows(run: Run, symbols: npt.NDArray[np.int64]) -> list[Window]:
    """A run as windows of one row each.

    The data has no n-grams, so each call is counted as if it were the first of its thread.
    """
    first_calls = np.full((len(symbols), NGRAM_LENGTH), NO_CALL)
    first_calls[:, -1] = symbols
    ngrams = pack(first_calls)
    return [
        _window(run.name, time * 1_000_000, ROW_NANOSECONDS, NgramCounts.collect(ngrams, row))
        for time, row in zip(run.times.tolist(), run.counts, strict=True)
    ]


def _window(replica: str, start: int, duration: int, counts: NgramCounts) -> Window:
    calls = counts.total
    return Window(
        workload="benchmark",
        replica=replica,
        start=start,
        end=start + duration,
        observed=duration,
        ngrams=counts,
        ledger=Ledger(ngrams=Tally(counted=calls, recorded=calls)),
    )
