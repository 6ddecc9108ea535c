"""``baseline sign``: models that say who vouches for them."""

from pathlib import Path

import click

from baseline.cli.progress import counted, say
from baseline.model.storage import sign_models
from baseline.signatures import read_private_key


@click.command(
    "sign",
    epilog="""\b
Make a key, which you keep, and its public key, which goes to every node:
  openssl genpkey -algorithm ed25519 -out baseline.key
  openssl pkey -in baseline.key -pubout -out baseline.pub
Sign models, and watch by none that were changed since:
  baseline sign models --key baseline.key
  baseline watch --cgroup 'shop/*' --models models --verify baseline.pub""",
)
@click.argument("models", type=click.Path(path_type=Path), metavar="MODELS")
@click.option(
    "--key",
    required=True,
    type=click.Path(path_type=Path),
    metavar="KEY",
    help="Private key for Ed25519 in PEM, which nobody else may read.",
)
def command(models: Path, key: Path) -> None:
    """Sign models, so that others can be sure that they are yours and unchanged.

    Writes manifest.json.sig into the folder of each model, in place of one that is there. What
    learn, merge and accept write is not signed: look at it, then sign it. A signature vouches for
    one model, not for a set of them, and for good: who can write to the folder can take a model
    away, or put back an older one that was signed with the same key.
    """
    signatures = sign_models(models, read_private_key(key))
    say(f"Signed {counted(len(signatures), 'model')} in {models}.")
