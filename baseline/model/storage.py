"""Models on disk: a folder of a manifest and Parquet tables; loading one executes nothing.

``docs/model-format.md`` is the specification.  A model may come from an untrusted hand: sizes are
bounded, tables are used only where their checksum is that of the manifest, and what they say has to
make sense.  A signature covers the manifest's bytes, and through its checksums the whole model.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from baseline.durable import new_directory, new_file, sha256
from baseline.errors import ModelError
from baseline.model import held_out as held_out_table
from baseline.model.folders import (
    FORMAT,
    MANIFEST,
    RESTORE,
    SIGNATURE,
    folder_name,
    not_a_model,
    not_models,
    read_manifest,
    read_manifests,
)
from baseline.model.held_out import HeldOut
from baseline.model.provenance import Provenance
from baseline.model.training import Span, Training, joined
from baseline.model.workload_model import SIGNAL_MODELS, WorkloadModel
from baseline.parquet import as_array, described, read_table, write_table
from baseline.reading import read_as_written
from baseline.syscalls import ARCHITECTURE, syscall_names
from baseline.window import Ledger, Tally

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

VERSION = 3
_MAX_WORKLOAD_BYTES = 4096  # PATH_MAX of Linux: a workload may be named by the path of its cgroup
_MAX_NUMBER = 1 << 63
_NONSENSE = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RecursionError,
)
"""What comes of tables that are well formed and cannot be true."""

_TIMES = {"start", "end", "first_seen", "last_seen"}
_SPANS = pa.schema(
    [
        described("start", pa.int64(), "when watching began, in ns since the epoch"),
        described("end", pa.int64(), "when it paused or ended, likewise"),
    ]
)
_SCHEMAS: dict[str, pa.Schema] = {
    name: schema for kind in SIGNAL_MODELS.values() for name, schema in kind.schemas.items()
} | {"held_out": held_out_table.SCHEMA, "spans": _SPANS}


def save_model(model: WorkloadModel, directory: Path, *, force: bool = False) -> None:
    """Write a model as a folder, whole or not at all.

    Raises:
        UsageError: the folder exists, and ``force`` is not set or it is no model.
        OutputError: it cannot be written.
    """
    with new_directory(directory, force=force, foreign=not_a_model) as folder:
        _write(model, folder)


def save_models(models: Iterable[WorkloadModel], directory: Path, *, force: bool = False) -> None:
    """Write a folder with a folder for each model, whole or not at all.

    Raises:
        UsageError: the folder exists, and ``force`` is not set or it holds not models alone.
        OutputError: it cannot be written.
    """
    with new_directory(directory, force=force, foreign=not_models) as folder:
        for model in models:
            inner = folder / folder_name(model.workload)
            inner.mkdir()
            _write(model, inner)


def load_models(
    directory: Path, signers: Sequence["Ed25519PublicKey"] = ()
) -> dict[str, WorkloadModel]:
    """Workload -> model, of a folder that is one model or holds several.

    Args:
        directory: the folder.
        signers: each model must be signed by one of these keys; without any, none must be.

    Raises:
        ModelError: there is none, or one is damaged, changed, of another format version or of
            another architecture, or not signed as it must be.  Signatures are verified before
            anything else is looked at, in any of them.
    """
    contents = read_manifests(directory, signers)
    models: dict[str, WorkloadModel] = {}
    for folder, content in contents.items():
        model = _load(folder, content)
        if model.workload in models:
            raise ModelError(
                f"{directory} holds two models of {model.workload}", "Remove one of their folders"
            )
        models[model.workload] = model
    return models


def load_model(directory: Path, signers: Sequence["Ed25519PublicKey"] = ()) -> WorkloadModel:
    """Read one model; ``signers`` as in :func:`load_models`.

    Raises:
        ModelError: it is missing, damaged, changed, of another format version, or not signed.
    """
    return _load(directory, read_manifest(directory, signers))


def sign_models(directory: Path, key: "Ed25519PrivateKey") -> list[Path]:
    """Sign a model, or each of several, once all of them were read without complaint.

    Returns:
        The signatures that were written; each replaces the one that was there.

    Raises:
        ModelError: there is no model, or one is damaged.
        OutputError: a signature cannot be written.
    """
    contents = read_manifests(directory)
    for folder, content in contents.items():
        _load(folder, content)
    for folder, content in contents.items():
        with new_file(folder / SIGNATURE) as file:
            file.write_bytes(key.sign(content))
    return [folder / SIGNATURE for folder in contents]


def _load(directory: Path, content: bytes) -> WorkloadModel:
    """The model of a folder with this manifest."""
    manifest = _parse_manifest(directory / MANIFEST, content)
    tables = {}
    for name, schema in _SCHEMAS.items():
        path = directory / f"{name}.parquet"
        entry = manifest["files"].get(path.name)
        size, checksum = map((entry if isinstance(entry, dict) else {}).get, ("bytes", "sha256"))
        table = read_as_written(path, size, checksum, ModelError, RESTORE)
        tables[name] = read_table(table, path, schema, ModelError, RESTORE)
    try:
        return _model(manifest, tables)
    except _NONSENSE as cause:
        raise ModelError(f"{directory} contradicts itself ({cause!s:.200})", RESTORE) from cause


def _write(model: WorkloadModel, folder: Path) -> None:
    tables = {
        name: table for signal in model.signals.values() for name, table in signal.tables().items()
    }
    tables["held_out"] = model.held_out.table()
    tables["spans"] = pa.table(list(zip(*model.training.spans, strict=True)), schema=_SPANS)
    description = {
        "format": FORMAT,
        "version": VERSION,
        "workload": model.workload,
        "architecture": model.architecture,
    }
    metadata = {key: str(value) for key, value in description.items()}
    for name, table in tables.items():
        write_table(table, folder / f"{name}.parquet", metadata)
    training = asdict(model.training)
    del training["spans"]  # in a table, because a job that runs every minute has a great many
    training["ledger"] = {
        field: tally._asdict() for field, tally in vars(model.training.ledger).items()
    }
    manifest = {
        **description,
        "training": training,
        "provenance": model.provenance.to_dict(),
        "syscalls": {
            abi: {str(n): name for n, name in syscall_names(model.architecture, compat).items()}
            for abi, compat in (("native", False), ("compat", True))
        },
        "files": {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in sorted(folder.glob("*.parquet"))
        },
    }
    manifest["sha256"] = _digest(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def _digest(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of what a manifest says, without its own ``sha256``; spaces do not matter."""
    said = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _parse_manifest(path: Path, content: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(content)
        digest = _digest(manifest) if isinstance(manifest, dict) else ""
    except (ValueError, RecursionError) as cause:
        raise ModelError(f"{path} is damaged", RESTORE) from cause
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ModelError(f"{path} is no manifest of a model", RESTORE)
    if (version := manifest.get("version")) != VERSION:
        raise ModelError(
            f"{path.parent} has format version {json.dumps(version):.20}, not {VERSION}",
            "Learn again from its recording, or use the version of baseline that wrote it",
        )
    if manifest.get("sha256") != digest:
        raise ModelError(f"{path} is not what was written: its checksum differs", RESTORE)
    if not isinstance(manifest.get("files"), dict):
        raise ModelError(f"{path} lists no files", RESTORE)
    return manifest


def _model(manifest: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> WorkloadModel:
    workload, architecture = manifest["workload"], manifest["architecture"]
    if not isinstance(workload, str) or not isinstance(architecture, str):
        raise TypeError("workload and architecture must be text")
    if len(workload.encode()) > _MAX_WORKLOAD_BYTES:  # raises ValueError where it is not Unicode
        raise ValueError("the name of the workload is too long")
    syscall_names(architecture, compat=False)  # raises KeyError where we do not know it
    _require_bounded(tables)
    training = _training(manifest["training"], tables["spans"])
    signals = {
        signal: kind.from_tables({name: tables[name] for name in kind.schemas}, architecture)
        for signal, kind in SIGNAL_MODELS.items()
    }
    held_out = HeldOut.from_table(tables["held_out"])
    if len({model.windows for model in signals.values()} | {len(held_out)}) > 1:
        raise ValueError("the numbers of windows differ")
    if len(held_out) > training.windows or held_out.replica.max() >= training.replicas:
        raise ValueError("there are more held-out windows or replicas than there were in training")
    provenance = Provenance.from_dict(manifest["provenance"])
    return WorkloadModel(workload, architecture, training, signals, held_out, provenance=provenance)


def _require_bounded(tables: Mapping[str, pa.Table]) -> None:
    """Refuse numbers with which one cannot reckon: below zero, none at all, or too large to add.

    Raises:
        ValueError: there is one.
    """
    for name, table in tables.items():
        for field, column in zip(table.schema, table.columns, strict=True):
            if field.type not in (pa.int64(), pa.float64()):
                continue
            values = as_array(column)
            most = values.max(initial=0) if field.name in _TIMES else values.sum(dtype=np.float64)
            if not (values.min(initial=0) >= 0 and most < _MAX_NUMBER):  # true of no NaN
                raise ValueError(f"a number in {name} cannot be")


def _training(values: Mapping[str, Any], spans_table: pa.Table) -> Training:
    ledger = Ledger(**{name: Tally(**tally) for name, tally in values["ledger"].items()})
    spans: tuple[Span, ...] = tuple(zip(*(c.to_pylist() for c in spans_table.columns), strict=True))
    training = Training(**{**values, "ledger": ledger}, spans=spans)
    tallies = (ledger.ngrams, ledger.executions, ledger.connections, ledger.events)
    numbers = [training.observed, training.windows, training.replicas]
    numbers += [number for tally in tallies for number in tally]
    if not all(type(number) is int and 0 <= number < _MAX_NUMBER for number in numbers):
        raise ValueError("the training is not described in whole numbers")
    if not spans or not training.observed or not training.windows or joined(spans) != spans:
        raise ValueError("the training took no time")
    return training


def require_architecture(model: WorkloadModel, architecture: str = ARCHITECTURE) -> None:
    """Refuse to judge one architecture's calls by a model of another's.

    Raises:
        ModelError: they differ.
    """
    if model.architecture != architecture:
        raise ModelError(
            f"The model of {model.workload} is of {model.architecture}, this is {architecture}",
            f"Learn on {architecture}: the same call has another number there",
        )
