"""``baseline export``: names instead of numbers, for analysts."""

from pathlib import Path

import click

from baseline.cli.progress import say
from baseline.errors import UsageError
from baseline.model.folders import holds_models
from baseline.model.storage import load_models
from baseline.recordings import Recording
from baseline.recordings.format import HEADER_FILE
from baseline.report.export import export_recording
from baseline.report.export_models import export_models


@click.command(
    "export",
    epilog="""\b
  baseline export recording --out tables
  baseline export models --out learned
  duckdb -c "SELECT * FROM 'tables/syscalls.parquet' LIMIT 9"
""",
)
@click.argument("source", type=click.Path(path_type=Path), metavar="RECORDING|MODELS")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder to write.",
)
@click.option("--force", is_flag=True, help="Replace an export that exists.")
def command(source: Path, out: Path, force: bool) -> None:
    """Write a recording or models as tidy Parquet tables: names, not numbers.

    One row for each thing counted in each window, or learned; a README.txt beside the tables says
    what the columns mean. Any tool that reads Parquet reads them.
    """
    if holds_models(source):
        files = export_models(load_models(source).values(), out, force=force)
    elif (source / HEADER_FILE).exists():
        files = export_recording(Recording(source), out, force=force)
    else:
        what = "is neither a recording nor models" if source.exists() else "does not exist"
        raise UsageError(
            f"{source} {what}", "Give the folder that `baseline record` or `baseline learn` wrote"
        )
    for file in files:
        say(f"Wrote {file}")
