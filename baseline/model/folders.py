"""Which folders are models: by their manifests, which say what they are and may be signed."""

import hashlib
import json
import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from baseline.errors import ModelError
from baseline.reading import CHANGE_RIGHTS, read_file
from baseline.signatures import SIGNATURE_BYTES, is_signed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = "baseline model"
MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.sig"
MAX_MODELS = 4096
"""Models that one folder may hold."""

RESTORE = "Restore it from a copy or learn again"
_MAX_MANIFEST_BYTES = 1 << 24
_MAX_FOLDER_NAME = 255  # NAME_MAX of Linux
_SIGN_AGAIN = "Get it again from whoever signed it, or give --verify their public key"


def folder_name(workload: str) -> str:
    """Name of a workload's folder: percent-encoded, so that it is one name and never hidden.

    Of one that is too long for a file system the end gives way to the SHA-256 of the whole.
    """
    encoded = quote(workload, safe="@:+=,")
    if encoded.startswith("."):
        encoded = f"%2E{encoded[1:]}"
    if len(encoded) > _MAX_FOLDER_NAME:
        digest = hashlib.sha256(workload.encode()).hexdigest()
        encoded = f"{encoded[: _MAX_FOLDER_NAME - len(digest) - 1]}~{digest}"
    return encoded


def model_folders(directory: Path) -> list[Path]:
    """Folders of the models in a folder that is one model or holds several.

    Raises:
        ModelError: there is none, there are more than ``MAX_MODELS``, or it cannot be told whether
            one is there.
    """
    folders = _folders(directory)
    if not folders:
        raise ModelError(
            f"There is no model in {directory}", "Give the folder that `baseline learn` wrote"
        )
    if len(folders) > MAX_MODELS:
        raise ModelError(
            f"{directory} holds more than {MAX_MODELS:,} models", "Put them into several folders"
        )
    return folders


def holds_models(directory: Path) -> bool:
    """Whether a folder is a model or holds one.

    Raises:
        ModelError: this user may not look.
    """
    return bool(_folders(directory))


def _folders(directory: Path) -> list[Path]:
    """Up to one more than there may be.  None is passed over because this user may not look."""
    try:
        if _has_manifest(directory):
            return [directory]
        with os.scandir(directory) as inside:
            # What begins with a dot is half-written or somebody else's.
            paths = (Path(entry.path) for entry in inside if not entry.name.startswith("."))
            return sorted(islice(filter(_has_manifest, paths), MAX_MODELS + 1))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as cause:
        raise _unreadable(directory, cause) from cause


def _has_manifest(folder: Path) -> bool:
    try:
        return (folder / MANIFEST).exists()
    except OSError as cause:
        raise _unreadable(folder, cause) from cause


def _unreadable(path: Path, cause: OSError, way_out: str = RESTORE) -> ModelError:
    if isinstance(cause, PermissionError):
        return ModelError(f"{path} may not be read by this user", CHANGE_RIGHTS)
    return ModelError(f"{path} cannot be read: {cause.strerror}", way_out)


def not_a_model(folder: Path) -> str | None:
    """Why a folder is not one model and nothing else; ``None`` where it is, of whatever version.

    Web applications have a ``manifest.json``, too, and people may keep what they write beside what
    we wrote.

    Raises:
        PermissionError: this user may not look.
    """
    try:
        manifest = json.loads(read_file(folder / MANIFEST, _MAX_MANIFEST_BYTES))
    except PermissionError:
        raise
    except (OSError, ValueError, RecursionError):
        manifest = None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        return f"{folder} is no model"
    files = manifest.get("files")
    parts = {MANIFEST, SIGNATURE, *(files if isinstance(files, dict) else ())}
    others = (path for path in sorted(folder.iterdir()) if path.name not in parts)
    return next((f"{path} is no part of a model" for path in others), None)


def not_models(directory: Path) -> str | None:
    """Why a folder does not hold models and nothing else; ``None`` where it does.

    Raises:
        PermissionError: this user may not look.
    """
    inside = sorted(directory.iterdir()) if directory.is_dir() else ()
    return next(filter(None, map(not_a_model, inside)), None) if inside else "it holds no models"


def read_manifests(
    directory: Path, signers: Sequence["Ed25519PublicKey"] = ()
) -> dict[Path, bytes]:
    """Folder -> its manifest, of all models in a folder; each read once.

    Raises:
        ModelError: there is no model, or a manifest cannot be read or is not signed as it must be.
    """
    return {folder: read_manifest(folder, signers) for folder in model_folders(directory)}


def read_manifest(folder: Path, signers: Sequence["Ed25519PublicKey"] = ()) -> bytes:
    """The manifest's bytes, which one of the signers signed, if there are any.

    Raises:
        ModelError: there is none, it cannot be read, or it is not signed as it must be.
    """
    path = folder / MANIFEST
    try:
        content = read_file(path, _MAX_MANIFEST_BYTES)
    except FileNotFoundError as cause:
        raise ModelError(
            f"There is no model in {folder}", "Give the folder that `baseline learn` wrote"
        ) from cause
    except OSError as cause:
        raise _unreadable(path, cause) from cause
    if not signers:
        return content
    try:
        signature = read_file(folder / SIGNATURE, SIGNATURE_BYTES)
    except FileNotFoundError as cause:
        raise ModelError(
            f"The model {folder} is not signed",
            "Get it signed by whoever learned it, with `baseline sign`",
        ) from cause
    except OSError as cause:
        raise _unreadable(folder / SIGNATURE, cause, _SIGN_AGAIN) from cause
    if not is_signed(content, signature, signers):
        raise ModelError(
            f"The model {folder} is not as the owner of the key signed it: it was changed since, "
            "or signed by somebody else",
            _SIGN_AGAIN,
        )
    return content
