"""Which folder holds which model, in a folder that is one model or holds several."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from baseline.model.folders import read_manifests


def checksums(directory: Path) -> dict[str, str]:
    """Workload -> checksum of its model, of a folder whose models were read without complaint."""
    manifests = map(_parsed, read_manifests(directory).values())
    return {manifest["workload"]: manifest["sha256"] for manifest in manifests}


def folder_of(manifests: Mapping[Path, bytes], workload: str) -> Path:
    """Folder of a workload's model.

    Args:
        manifests: of models that were read without complaint, by their folders.
        workload: its name.
    """
    return next(f for f, manifest in manifests.items() if _parsed(manifest)["workload"] == workload)


def _parsed(manifest: bytes) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(manifest)
    return parsed
