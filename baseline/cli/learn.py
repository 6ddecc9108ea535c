"""``baseline learn``: windows to models."""

from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from baseline.alerts.printable import printable
from baseline.cli.ledgers import LossReport
from baseline.cli.output import NewRecording, require_output
from baseline.cli.progress import ProgressBar, say
from baseline.cli.sources import SourceOptions, open_source, require_windows, source_options
from baseline.cli.stopping import StopSignals
from baseline.errors import UsageError
from baseline.model.storage import save_models
from baseline.model.workload_model import WorkloadModel
from baseline.recordings.format import HEADER_FILE
from baseline.window import Window, total


@click.command(
    "learn",
    epilog="""\b
From a running service, and keep what was seen:
  baseline learn --cgroup system.slice/nginx.service --duration 10m \\
    --out models --recording recording
From recordings of several days or nodes:
  baseline learn --from monday --from tuesday --out models""",
)
@source_options()
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="MODELS",
    help="Folder to write, with a model for each workload.",
)
@click.option(
    "--recording",
    type=click.Path(path_type=Path),
    metavar="RECORDING",
    help="Keep what was seen as a recording, too.",
)
@click.option("--force", is_flag=True, help="Replace outputs that exist.")
def command(source: SourceOptions, out: Path, recording: Path | None, force: bool) -> None:
    """Learn what each workload normally does.

    Watches this machine's kernel, or takes recordings, and writes a model for each workload.
    Let it see what is normal: the whole test suite, a canary, an ordinary day. Ctrl-C ends it
    with a model of what was seen so far.
    """
    require_output(out, force=force)
    if recording:
        if not source.live:
            raise UsageError("--recording means nothing without --cgroup", "Leave it out")
        require_output(recording, force=force, marker=HEADER_FILE)
    losses = LossReport(say)
    learned: defaultdict[str, list[Window]] = defaultdict(list)
    with StopSignals() as stop:
        with (
            ProgressBar("Learning", source.duration if source.live else None) as progress,
            open_source(source, stop, say) as opened,
            NewRecording(recording, interval=opened.interval, force=force)
            if recording
            else nullcontext() as kept,
        ):
            for window in opened.windows():
                if kept:
                    kept.write(window)
                losses.add(window)
                learned[window.workload].append(window)
                progress.advance(f", {len(learned)} workloads")
        require_windows(sum(map(len, learned.values())), source)
        models = {
            workload: WorkloadModel.fit(windows, opened.architecture)
            for workload, windows in sorted(learned.items())
        }
        save_models(models, out, force=force)
    Console(stderr=True, highlight=False, markup=False, emoji=False).print(
        _summary(learned, models)
    )
    if recording:
        say(f"Wrote {recording}")
    say(f"Wrote {out}: {len(models)} models; {losses.summary()}.")


def _summary(learned: dict[str, list[Window]], models: dict[str, WorkloadModel]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, collapse_padding=True)
    table.add_column("workload", overflow="fold")
    for name in ("windows", "calls", "n-grams", "programs", "peers", "lost", "threshold"):
        table.add_column(name, justify="right", no_wrap=True)
    for workload, model in models.items():
        everything = total(learned[workload])
        table.add_row(
            printable(workload),
            f"{len(learned[workload]):,}",
            f"{everything.ngrams.total:,}",
            f"{len(everything.ngrams):,}",
            f"{len(everything.executions):,}",
            f"{len(everything.connections):,}",
            f"{everything.ledger.lost:,}",
            f"{model.threshold:.1f} bits",
        )
    return table
