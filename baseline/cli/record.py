"""``baseline record``: windows to disk."""

from pathlib import Path

import click

from baseline.cli.ledgers import LossReport
from baseline.cli.output import RecordingOutput, require_output
from baseline.cli.progress import ProgressBar, counted, say
from baseline.cli.sources import Reader, SourceOptions, open_source, require_windows, source_options
from baseline.cli.stopping import StopSignals
from baseline.durable import without
from baseline.errors import UsageError
from baseline.recordings.format import HEADER_FILE


@click.command(
    "record",
    epilog="""\b
Record a service and every child of demo for a minute:
  baseline record --cgroup web=system.slice/nginx.service --cgroup 'demo/*' \\
    --duration 60s --out recording""",
)
@source_options(replay=False)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="RECORDING",
    help="Folder to write.",
)
@click.option(
    "--append",
    is_flag=True,
    help="Continue a recording that exists, of this machine and the same interval; otherwise "
    "begin one.",
)
@click.option("--force", is_flag=True, help="Replace a recording that exists.")
def command(source: SourceOptions, out: Path, append: bool, force: bool) -> None:
    """Record what workloads do, to learn from it or replay it later.

    Counts system-call n-grams, executions and connections of each cgroup in the kernel of this
    machine and writes them to a folder of Parquet files. Ctrl-C ends it with everything written.
    While the disk is full, what is seen waits in memory; to begin with, there must be room. A
    command that was killed goes on with --append as if it had not been: the kernel has counted on,
    and all that was not written by then is in one long window.
    """
    if append and force:
        raise UsageError("--append and --force exclude each other", "Give one of them")
    if not append or not out.exists():
        require_output(out, force=force, foreign=without(HEADER_FILE))
    losses = LossReport(say)
    workloads: set[str] = set()
    windows = 0
    reader = Reader(
        "record",
        str(out.resolve()),
        reads_on=append,
        commit=lambda is_urgent: recording.commit(at_once=is_urgent),
    )
    with (
        StopSignals() as stop,
        open_source(source, stop, say, writes=True, reader=reader) as opened,
        ProgressBar("Recording", source.duration) as progress,
        RecordingOutput(
            out,
            interval=opened.interval,
            force=force,
            append=append,
            parts=opened.mark,
            by_itself=False,
            say=say,
        ) as recording,
    ):
        for window in opened.windows():
            recording.write(window)
            losses.add(window)
            workloads.add(window.workload)
            windows += 1
            progress.advance()
    require_windows(windows, source)
    recording.require_written()
    names = ", ".join(sorted(workloads))
    say(f"Wrote {out}: {counted(windows, 'window')} of {names}; {losses.summary()}.")
