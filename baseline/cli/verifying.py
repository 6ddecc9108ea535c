"""The option ``--verify``: models are used only where somebody who is trusted signed them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from baseline.signatures import read_public_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def verify_option() -> Callable[[Any], Any]:
    """The option, given to the command as ``signers``: the public keys, without it none."""
    return click.option(
        "--verify",
        "signers",
        multiple=True,
        type=click.Path(path_type=Path),
        callback=_read,
        metavar="PUBLIC_KEY",
        help="Refuse models that are not signed by the owner of this key, or of one of these.",
    )


def _read(
    _: click.Context, __: click.Parameter, paths: tuple[Path, ...]
) -> tuple["Ed25519PublicKey", ...]:
    return tuple(map(read_public_key, paths))
