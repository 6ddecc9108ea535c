"""Signatures that say who wrote a file: Ed25519 (RFC 8032), with keys as openssl has them (PEM).

A signature is the 64 bytes that ``openssl pkeyutl -sign -rawin`` writes, too; the same file and the
same key always have the same one.  Needs cryptography, the ``signing`` extra; imported here alone,
because only those who sign or verify need it.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from baseline.errors import MissingLibraryError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

SIGNATURE_BYTES = 64

_MAX_KEY_BYTES = 1 << 16
_GENERATE = "Make one with: openssl genpkey -algorithm ed25519 -out KEY"
_EXTRACT = "Give the public key: openssl pkey -in KEY -pubout -out KEY.pub"


def read_private_key(path: Path) -> "Ed25519PrivateKey":
    """The key that signs, from a PEM file that nobody else may read.

    Raises:
        UsageError: it cannot be read, others may read it, it has a passphrase, or it is no such
            key.
        MissingLibraryError: cryptography is not installed.
    """
    _require_library()
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _read(path, private=True)
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError as cause:  # what the library has for a key that is encrypted
        raise UsageError(
            f"The key {path} has a passphrase",
            "Have openssl ask for it: openssl pkeyutl -sign -rawin -inkey KEY "
            "-in manifest.json -out manifest.json.sig",
        ) from cause
    except (ValueError, UnsupportedAlgorithm, InternalError) as cause:
        raise UsageError(f"{path} holds no private key in PEM", _GENERATE) from cause
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"The key {path} is not for Ed25519", _GENERATE)
    return key


def read_public_key(path: Path) -> "Ed25519PublicKey":
    """The key that verifies, from a PEM file.

    Raises:
        UsageError: it cannot be read, or is no such key.
        MissingLibraryError: cryptography is not installed.
    """
    _require_library()
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm, InternalError) as cause:
        raise UsageError(f"{path} holds no public key in PEM", _EXTRACT) from cause
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"The key {path} is not for Ed25519", _EXTRACT)
    return key


def is_signed(content: bytes, signature: bytes, keys: Iterable["Ed25519PublicKey"]) -> bool:
    """Whether this is the signature of this content by one of these keys."""
    from cryptography.exceptions import InvalidSignature

    for key in keys:
        try:
            key.verify(signature, content)
        except InvalidSignature:
            continue
        return True
    return False


def _require_library() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as cause:
        raise MissingLibraryError("Signatures need", "cryptography") from cause


def _read(path: Path, *, private: bool = False) -> bytes:
    """A key as it is in its file, which may be a pipe from where keys are kept."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(_MAX_KEY_BYTES + 1)
            if private and b"PUBLIC KEY" in content:
                raise UsageError(
                    f"{path} holds a public key", "Give the private one, which it was made from"
                )
            # As ssh has it: who gave us a key of another user's knows why it can be read.
            if private and status.st_uid == os.getuid() and stat.S_IMODE(status.st_mode) & 0o077:
                raise UsageError(
                    f"The key {path} can be read by others",
                    f"Keep it to yourself: chmod 600 {path}",
                )
    except OSError as cause:
        raise UsageError(
            f"The key {path} cannot be read: {cause.strerror}", "Give a file that you may read"
        ) from cause
    return content[:_MAX_KEY_BYTES]
