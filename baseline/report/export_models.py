"""Models as tidy Parquet for analysts, beside :mod:`baseline.report.export` for recordings."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from baseline.model.calls import CallModel
from baseline.model.connections import ConnectionModel
from baseline.model.executions import ExecutionModel
from baseline.model.hierarchy_model import Occurrences
from baseline.model.inspection import usual_volumes
from baseline.model.ngrams import NgramModel
from baseline.model.score import NOVELTIES, Signal
from baseline.model.volumes import VolumeModel
from baseline.model.workload_model import WorkloadModel
from baseline.parquet import described
from baseline.report.export import (
    CONNECTION_COLUMNS,
    EXECUTION_COLUMNS,
    NGRAM_COLUMNS,
    README,
    TIME,
    connection_arrays,
    execution_arrays,
    ngram_arrays,
    tidy_folder,
    times,
)
from baseline.syscalls import symbol_name
from baseline.window import Connection

_WORKLOAD = described("workload", pa.string(), "name of the workload")
_WINDOWS = described("windows", pa.int64(), "windows of training with it; two of what was accepted")
_COUNT = described("count", pa.int64(), "how often in training; what was accepted counts twice")
_SEEN = [
    described(f"{side}_seen", TIME, f"{what} window with it: of training, or of an accepted alert")
    for side, what in (("first", "start of the first"), ("last", "end of the last"))
]
_LINES = pa.list_(pa.field("element", pa.string(), nullable=False))

MODEL_TABLES = {
    "models": pa.schema(
        [
            _WORKLOAD,
            described("architecture", pa.string(), "architecture that was watched"),
            described("start_time", TIME, "when training began"),
            described("end_time", TIME, "when it ended"),
            described("windows", pa.int64(), "windows of training"),
            described("replicas", pa.int64(), "replicas watched"),
            described("seconds", pa.float64(), "time watched in training, in s"),
            described("budget", pa.string(), "false alarms that the thresholds are for"),
            described("supported_budget", pa.string(), "the least that needs no extrapolation"),
            described(
                "false_alarms_per_week",
                pa.float64(),
                "the budget, and what may yet be wholly new in normal time",
            ),
            described("threshold", pa.float64(), "alert from this evidence of a window, in bits"),
            described(
                "shift_threshold",
                pa.float64(),
                "alert of a lasting shift from these bits of windows in a row",
            ),
            described(
                "state",
                pa.string(),
                "whether learning saw enough: empty, partial, lossy, unstable or complete; null "
                "where nothing tells it, as of a merged model",
            ).with_nullable(True),
            described("reason", pa.string(), "of that state; or null").with_nullable(True),
            described("quarantined", _LINES, "what training showed and is kept out of the model"),
            described(
                "notes", _LINES, "what was done to it since, such as the alerts that were accepted"
            ),
        ]
    ),
    "held_out": pa.schema(
        [
            _WORKLOAD,
            described(
                "window",
                pa.int64(),
                "number of the window, of which no model keeps the time; those of a replica are in "
                "order of time",
            ),
            described(
                "replica_number", pa.int64(), "number of its replica, whose path no model keeps"
            ),
            described("bits", pa.float64(), "its evidence, to compare with the threshold, in bits"),
            *(
                described(f"{signal}_bits", pa.float64(), "its surprise to the others, in bits")
                for signal in Signal
            ),
            *(
                described(f"{signal}_count", pa.int64(), "what it counted of this signal")
                for signal in NOVELTIES
            ),
        ]
    ),
    "ngrams": pa.schema([_WORKLOAD, *NGRAM_COLUMNS, _COUNT, *_SEEN]),
    "executions": pa.schema([_WORKLOAD, *EXECUTION_COLUMNS, _WINDOWS, _COUNT, *_SEEN]),
    "connections": pa.schema([_WORKLOAD, *CONNECTION_COLUMNS, _WINDOWS, _COUNT, *_SEEN]),
    "calls": pa.schema(
        [
            _WORKLOAD,
            described("syscall", pa.string(), "name of the system call"),
            described(
                "windows",
                pa.int64(),
                "windows of training with it; two of what was accepted, null of folded calls",
            ).with_nullable(True),
            _COUNT,
            *(
                described(
                    f"usual_{side}",
                    pa.int64(),
                    f"{side}est number in the middle 90 % of windows, as exact as the model's "
                    "bins; null where windows are of no single length, and of what was accepted",
                ).with_nullable(True)
                for side in ("low", "high")
            ),
            described(
                "usual_bits",
                pa.float64(),
                "surprise of its number that counts for nothing; null of what was accepted",
            ).with_nullable(True),
            *_SEEN,
        ]
    ),
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
    training, held_out = model.training, model.held_out
    completeness = model.provenance.completeness
    tables: dict[str, Sequence[Any]] = {
        "models": [
            pa.array([model.architecture]),
            times([training.start]),
            times([training.end]),
            pa.array([training.windows]),
            pa.array([training.replicas]),
            pa.array([training.observed / 1e9]),
            pa.array([str(model.budget)]),
            pa.array([str(model.supported_budget)]),
            pa.array([model.false_alarms_per_week]),
            pa.array([model.threshold]),
            pa.array([model.shift_threshold]),
            pa.array([completeness and completeness.state.value], pa.string()),
            pa.array([completeness and completeness.reason], pa.string()),
            pa.array([model.provenance.quarantined], _LINES),
            pa.array([model.provenance.notes], _LINES),
        ],
        "held_out": [
            pa.array(np.arange(len(held_out))),
            pa.array(held_out.replica),
            pa.array(model.combination.held_out_bits),
            *(pa.array(held_out.bits[signal]) for signal in Signal),
            *(pa.array(held_out.counts[signal]) for signal in NOVELTIES),
        ],
    }
    connections: dict[Connection, Occurrences] = {}
    for signal in model.signals.values():
        if isinstance(signal, NgramModel):
            stored = signal.tables()["ngrams"]
            names = ngram_arrays(signal.calls.ngrams, model.architecture)
            tables["ngrams"] = [*names, pa.array(signal.calls.counts), *_seen(stored)]
        elif isinstance(signal, ExecutionModel):
            arrays = execution_arrays(list(signal.occurrences))
            tables["executions"] = [*arrays, *_occurrences(signal.occurrences)]
        elif isinstance(signal, ConnectionModel):
            connections |= signal.occurrences
    tables["calls"] = _calls(model)
    tables["connections"] = [*connection_arrays(list(connections)), *_occurrences(connections)]
    return tables


def _occurrences(occurrences: Mapping[Any, Occurrences]) -> list[pa.Array]:
    seen = list(occurrences.values())
    return [
        pa.array([its.windows for its in seen], pa.int64()),
        pa.array([its.times for its in seen], pa.int64()),
        times(its.first for its in seen),
        times(its.last for its in seen),
    ]


def _calls(model: WorkloadModel) -> list[pa.Array]:
    """Calls that were made, and how many of them are usual where training made them."""
    made, volumes = model.signals[Signal.CALLS], model.signals[Signal.VOLUMES]
    assert isinstance(made, CallModel)  # noqa: S101 - for the type checker
    assert isinstance(volumes, VolumeModel)  # noqa: S101 - for the type checker
    usual = usual_volumes(volumes)
    table = volumes.tables()["volumes"].select(["count", "usual_bits", "first_seen", "last_seen"])
    counted = dict(zip(volumes.symbols.tolist(), table.to_pylist(), strict=True))
    known = {call.symbol: its for call, its in made.occurrences.items()}
    symbols = sorted(counted.keys() | known.keys())
    rows = [
        counted.get(symbol)
        or {
            "count": known[symbol].times,
            "usual_bits": None,
            "first_seen": known[symbol].first,
            "last_seen": known[symbol].last,
        }
        for symbol in symbols
    ]
    return [
        pa.array([symbol_name(symbol, model.architecture) for symbol in symbols], pa.string()),
        pa.array([known[s].windows if s in known else None for s in symbols], pa.int64()),
        pa.array([row["count"] for row in rows], pa.int64()),
        *(
            pa.array([usual[s][side] if s in usual else None for s in symbols], pa.int64())
            for side in (0, 1)
        ),
        pa.array([row["usual_bits"] for row in rows], pa.float64()),
        *(times(row[name] for row in rows) for name in ("first_seen", "last_seen")),
    ]


def _seen(stored: pa.Table) -> list[pa.Array]:
    return [times(stored[name].to_pylist()) for name in ("first_seen", "last_seen")]
