"""``baseline learn``: windows to models."""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from baseline.cli.ledgers import LossReport
from baseline.cli.output import NewRecording, require_output
from baseline.cli.progress import ProgressBar, counted, say
from baseline.cli.sources import SourceOptions, open_source, require_windows, source_options
from baseline.cli.stopping import StopSignals
from baseline.errors import UsageError
from baseline.model.inspection import MOST_FALSE_ALARMS
from baseline.model.storage import require_no_models, save_models
from baseline.model.workload_model import BUDGET_PER_WEEK, WorkloadModel
from baseline.printable import printable
from baseline.recordings.format import HEADER_FILE
from baseline.window import Signal, Window


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
    require_no_models(out, force=force)
    if len({path.resolve() for path in source.recordings}) < len(source.recordings):
        raise UsageError("A recording is given twice", "Give it once: it would count double")
    if recording:
        if not source.live:
            raise UsageError("--recording means nothing without --cgroup", "Leave it out")
        if recording.absolute() == out.absolute():
            raise UsageError("--recording and --out are the same folder", "Give them two names")
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
                progress.advance(f", {counted(len(learned), 'workload')}")
        require_windows(sum(map(len, learned.values())), source)
        models = [
            WorkloadModel.fit(windows, opened.architecture)
            for _, windows in sorted(learned.items())
        ]
        save_models(models, out, force=force)
    Console(stderr=True, highlight=False, markup=False, emoji=False).print(_summary(models))
    if any(model.false_alarms_per_week > BUDGET_PER_WEEK * 1.01 for model in models):
        say(f"Too short to keep to {BUDGET_PER_WEEK:g} false alarm a week: learn longer.")
    if recording:
        say(f"Wrote {recording}.")
    say(f"Wrote {out}: {counted(len(models), 'model')}; {losses.summary()}.")


def _rate(per_week: float) -> str:
    """A rate as exact as it is known."""
    if per_week > MOST_FALSE_ALARMS:
        return f"> {MOST_FALSE_ALARMS:,}"
    return f"{per_week:,.{0 if per_week >= 10 else 1}f}"


def _summary(models: Iterable[WorkloadModel]) -> Table:
    """One line for each model: what it was learned from and what to expect of it."""
    table = Table(box=None, header_style="dim", pad_edge=False, collapse_padding=True)
    table.add_column("workload", overflow="fold")
    for name in ("windows", "calls", "n-grams", "programs", "peers", "lost", "alarms/week"):
        table.add_column(name, justify="right", no_wrap=True)
    for model in models:
        training = model.training
        table.add_row(
            printable(model.workload),
            f"{training.windows:,}",
            f"{training.ledger.ngrams.counted:,}",
            *(f"{model.signals[signal].completeness.items:,}" for signal in Signal),
            f"{training.ledger.lost:,}",
            _rate(model.false_alarms_per_week),
        )
    return table
