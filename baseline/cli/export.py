"""``baseline export``: names instead of numbers, for analysts."""

from pathlib import Path

import click

from baseline.cli.progress import say
from baseline.recordings import Recording
from baseline.report.export import export_recording


@click.command(
    "export",
    epilog="""\b
  baseline export recording --out tables
  duckdb -c "SELECT * FROM 'tables/syscalls.parquet' LIMIT 9"
""",
)
@click.argument("recording", type=click.Path(path_type=Path), metavar="RECORDING")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder to write.",
)
@click.option("--force", is_flag=True, help="Replace an export that exists.")
def command(recording: Path, out: Path, force: bool) -> None:
    """Write a recording as tidy Parquet tables: names, not numbers.

    One row for each thing counted in each window; a README.txt beside the tables says what the
    columns mean. Any tool that reads Parquet reads them.
    """
    for file in export_recording(Recording(recording), out, force=force):
        say(f"Wrote {file}")
