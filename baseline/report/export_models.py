"""Models as tidy Parquet for analysts, beside :mod:`baseline.report.export` for recordings."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from baseline.model.connections import ConnectionModel
from baseline.model.executions import ExecutionModel
from baseline.model.ngrams import NgramModel
from baseline.model.workload_model import WorkloadModel
from baseline.parquet import described
from baseline.report.export import (
    CONNECTION_COLUMNS,
    EXECUTION_COLUMNS,
    NGRAM_COLUMNS,
    README,
    connection_arrays,
    execution_arrays,
    ngram_arrays,
    tidy_folder,
)
from baseline.window import Signal

_WORKLOAD = described("workload", pa.string(), "name of the workload")
_WINDOWS = described("windows", pa.int64(), "windows of training in which it occurred")
_COUNT = described("count", pa.int64(), "how often it occurred in training")

MODEL_TABLES = {
    "models": pa.schema(
        [
            _WORKLOAD,
            described("architecture", pa.string(), "architecture that was watched"),
            described("windows", pa.int64(), "windows of training"),
            described("seconds", pa.float64(), "time watched in training, in s"),
            *(
                described(f"{signal}_threshold", pa.float64(), "alert from this surprise, in bits")
                for signal in Signal
            ),
        ]
    ),
    "held_out": pa.schema(
        [
            _WORKLOAD,
            described("window", pa.int64(), "number of the window of training, in order of time"),
            *(
                described(f"{signal}_bits", pa.float64(), "its surprise to the others, in bits")
                for signal in Signal
            ),
        ]
    ),
    "ngrams": pa.schema([_WORKLOAD, *NGRAM_COLUMNS, _COUNT]),
    "executions": pa.schema([_WORKLOAD, *EXECUTION_COLUMNS, _WINDOWS, _COUNT]),
    "connections": pa.schema([_WORKLOAD, *CONNECTION_COLUMNS, _WINDOWS, _COUNT]),
}
"""Table -> its columns, of exported models."""


def export_models(models: Iterable[WorkloadModel], out: Path, *, force: bool = False) -> list[Path]:
    """Write what models know as tidy tables, one Parquet file for each of ``MODEL_TABLES``.

    Returns:
        The files written.

    Raises:
        UsageError: ``out`` exists and is not to be replaced.
        OutputError: the folder cannot be written; nothing is left behind.
    """
    with tidy_folder(out, MODEL_TABLES, about="What was learned.", force=force) as writers:
        for model in models:
            for name, columns in _columns(model).items():
                schema = MODEL_TABLES[name]
                names = pa.array([model.workload] * len(columns[0]), pa.string())
                writers[name].write_table(pa.Table.from_arrays([names, *columns], schema=schema))
    return [out / README, *(out / f"{name}.parquet" for name in MODEL_TABLES)]


def _columns(model: WorkloadModel) -> dict[str, Sequence[Any]]:
    """The columns of each table after the first, for one model."""
    training = model.training
    tables: dict[str, Sequence[Any]] = {
        "models": [
            pa.array([model.architecture]),
            pa.array([training.windows]),
            pa.array([training.observed / 1e9]),
            *(pa.array([model.thresholds[signal]]) for signal in Signal),
        ],
        "held_out": [
            pa.array(np.arange(training.windows)),
            *(pa.array(model.held_out[signal]) for signal in Signal),
        ],
    }
    for signal in model.signals.values():
        if isinstance(signal, NgramModel):
            counts = pa.array(signal.calls.counts)
            tables["ngrams"] = [*ngram_arrays(signal.calls.ngrams, model.architecture), counts]
        elif isinstance(signal, ExecutionModel):
            arrays = execution_arrays(list(signal.counts))
            tables["executions"] = [*arrays, *_occurrences(signal)]
        elif isinstance(signal, ConnectionModel):
            arrays = connection_arrays(list(signal.counts))
            tables["connections"] = [*arrays, *_occurrences(signal)]
    return tables


def _occurrences(signal: ExecutionModel | ConnectionModel) -> list[pa.Array]:
    items: Iterable[Any] = list(signal.counts)
    return [
        pa.array([signal.windows[item] for item in items], pa.int64()),
        pa.array([signal.counts[item] for item in items], pa.int64()),
    ]
