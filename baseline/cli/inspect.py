"""``baseline inspect``: what a model knows."""

from pathlib import Path

import click

from baseline.cli.output import writing_to_stdout
from baseline.errors import UsageError
from baseline.model.inspection import describe
from baseline.model.storage import load_models


@click.command(
    "inspect",
    epilog="""\b
  baseline inspect models
  baseline inspect models --workload nginx.service""",
)
@click.argument("models", type=click.Path(path_type=Path), metavar="MODELS")
@click.option("--workload", metavar="NAME", help="Only the model of this workload.")
def command(models: Path, workload: str | None) -> None:
    """Show what a model knows and how complete it is, in a page of text for each workload."""
    learned = load_models(models)
    if workload and workload not in learned:
        raise UsageError(
            f"There is no model of {workload} in {models}",
            f"Choose of {', '.join(sorted(learned))}",
        )
    pages = [describe(learned[name]) for name in ([workload] if workload else sorted(learned))]
    with writing_to_stdout():
        click.echo("\n\n".join(page.rstrip() for page in pages))
