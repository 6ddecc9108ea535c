"""``baseline inspect``: what a model knows."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from baseline.cli.output import writing_to_stdout
from baseline.cli.progress import say
from baseline.cli.verifying import verify_option
from baseline.errors import UsageError
from baseline.model.inspection import describe
from baseline.model.storage import load_models
from baseline.printable import printable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


@click.command(
    "inspect",
    epilog="""\b
  baseline inspect models
  baseline inspect models --workload nginx.service --picture nginx.png""",
)
@click.argument("models", type=click.Path(path_type=Path), metavar="MODELS")
@click.option("--workload", metavar="NAME", help="Only the model of this workload.")
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw the model, too: a PNG, SVG or PDF file.",
)
@verify_option()
def command(
    models: Path,
    workload: str | None,
    picture: Path | None,
    signers: tuple["Ed25519PublicKey", ...],
) -> None:
    """Show what a model knows and how complete it is, in a page of text for each workload."""
    learned = load_models(models, signers)
    if workload and workload not in learned:
        raise UsageError(
            f"There is no model of {workload} in {models}",
            f"Choose of {', '.join(sorted(learned))}",
        )
    names = [workload] if workload else sorted(learned)
    if picture:
        if len(names) > 1:
            raise UsageError("--picture shows one model", "Choose it with --workload")
        from baseline.report.picture import draw_model  # brings matplotlib

        draw_model(learned[names[0]], picture)
        say(f"Wrote {picture}")
    pages = [describe(learned[name]) for name in names]
    with writing_to_stdout():
        for line in "\n\n".join(page.rstrip() for page in pages).split("\n"):
            click.echo(printable(line))
