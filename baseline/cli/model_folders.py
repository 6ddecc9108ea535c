"""Which folder holds which model, in a folder that is one model or holds several."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from baseline.model.folders import read_manifests


def checksums(directory: Path) -> dict[str, str]:
    """Workload -> checksum of its model, of a folder whose models were read without complaint."""
    return {manifest["workload"]: manifest["sha256"] for _, manifest in _manifests(directory)}


def folder_of(directory: Path, workload: str) -> Path:
    """Folder of a workload's model, of a folder whose models were read without complaint."""
    return next(f for f, manifest in _manifests(directory) if manifest["workload"] == workload)


def _manifests(directory: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for folder, content in read_manifests(directory).items():
        yield folder, json.loads(content)
