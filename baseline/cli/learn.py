"""``baseline learn``: windows to models."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from baseline.cli.learning import HOUR, Learning, estimated
from baseline.cli.ledgers import LossReport
from baseline.cli.output import RecordingOutput, require_output
from baseline.cli.progress import ProgressBar, counted, say, show
from baseline.cli.quarantining import quarantine as quarantined
from baseline.cli.sources import SourceOptions, open_source, require_windows, source_options
from baseline.cli.stopping import StopSignals
from baseline.durable import without
from baseline.errors import BaselineError, UsageError
from baseline.model.budget import DEFAULT_BUDGET
from baseline.model.completeness import WorkloadCompleteness
from baseline.model.folders import not_models
from baseline.model.inheritance import inherit as inherited
from baseline.model.inspection import MOST_FALSE_ALARMS
from baseline.model.score import PEERS, Signal
from baseline.model.storage import load_models, save_models
from baseline.model.workload_model import WorkloadModel
from baseline.printable import printable
from baseline.recordings.format import HEADER_FILE
from baseline.window import Histogram, Window

INCOMPLETE = 3

CEILING = HOUR
"""Seconds after which ``--until-stable`` gives up, where no duration is given."""


@click.command(
    "learn",
    epilog="""\b
From a running service, and keep what was seen:
  baseline learn --cgroup system.slice/nginx.service --duration 10m \\
    --out models --recording recording
Until it has seen enough, but two hours at most; in CI, fail if it has not:
  baseline learn --cgroup system.slice/nginx.service --until-stable \\
    --duration 2h --out models --fail-on incomplete
From recordings of several days or nodes:
  baseline learn --from monday --from tuesday --out models
A new version, on top of what the one before did:
  baseline learn --cgroup 'shop/*' --duration 10m --inherit models \\
    --out models-2""",
)
@source_options()
@click.option(
    "--until-stable",
    is_flag=True,
    help="End as soon as every workload is complete: at most 1% of its windows show anything "
    "new. At the latest after --duration; without it, after 1h or all of the recordings.",
)
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
@click.option(
    "--inherit",
    type=click.Path(path_type=Path),
    metavar="MODELS",
    help="Start from these models, of the version before: what they know stays known, at a tenth "
    "of its weight.",
)
@click.option(
    "--quarantine/--no-quarantine",
    default=True,
    show_default=True,
    help="Keep out of the model the programs and peers of a single stretch of time, or a single "
    "replica of several, that stand out from all the rest: an intruder, perhaps.",
)
@click.option("--strict", is_flag=True, help="Refuse to learn where there is any such thing.")
@click.option("--force", is_flag=True, help="Replace outputs that exist.")
@click.option(
    "--fail-on",
    type=click.Choice(["incomplete"]),
    help="Exit with 3 if a workload is not complete at the end; its model is written all the same.",
)
@click.pass_context
def command(
    context: click.Context,
    *,
    source: SourceOptions,
    until_stable: bool,
    out: Path,
    recording: Path | None,
    inherit: Path | None,
    quarantine: bool,
    strict: bool,
    force: bool,
    fail_on: str | None,
) -> None:
    """Learn what each workload normally does.

    Watches this machine's kernel, or takes recordings, and writes a model for each workload.
    Let it see what is normal: the whole test suite, a canary, an ordinary day. Reload and restart
    the workload meanwhile, as operations will: what learning never saw is an alert. Ctrl-C ends it
    with a model of what was seen so far, and so does a terminal that is closed. A workload of which
    nothing was counted gets no model.
    """
    _check_folders(source, out, recording, inherit, force)
    if strict and not quarantine:
        raise UsageError("--strict and --no-quarantine exclude each other", "Give one of them")
    predecessors = load_models(inherit) if inherit else {}
    if until_stable and source.live and source.duration is None:
        source = replace(source, duration=CEILING)
    losses = LossReport(say)
    learning = Learning()
    with _StopWhenStable(learning if until_stable else None) as stop:
        with (
            open_source(source, stop, say, writes=True) as opened,
            ProgressBar("Learning", source.duration if source.live else None) as progress,
            RecordingOutput(recording, interval=opened.interval, force=force, say=say)
            if recording
            else nullcontext() as kept,
        ):
            for window in opened.windows():
                if kept:
                    kept.write(window)
                losses.add(window)
                learning.add(window)
                progress.report(learning.status)
            was_interrupted = stop.is_requested
        require_windows(len(learning.windows), source)
        learning.finish()
        counted_in = _with_counts(learning.windows)
        for name in sorted(set(counted_in) - set(predecessors)) if inherit else ():
            say(f"{inherit} has no model of {name}: it starts from nothing.")
        models = []
        for name, seen in sorted(counted_in.items()):
            windows, kept_out = (
                quarantined(seen, opened.architecture, strict=strict, say=say)
                if quarantine
                else (seen, ())
            )
            if name in predecessors:
                model = inherited(windows, predecessors[name], opened.architecture)
            else:
                known = learning.completeness_of(windows)
                model = WorkloadModel.fit(windows, opened.architecture, completeness=known)
            models.append(model.with_provenance(quarantined=kept_out))
        # What is told is that of the models as they are: without what was kept out of them.
        learning.completeness |= {
            model.workload: its for model in models if (its := model.provenance.completeness)
        }
        save_models(models, out, force=force)
        if was_interrupted and not source.live:
            number = sum(map(len, learning.windows.values()))
            say(f"Interrupted: learned from the first {counted(number, 'window')} alone.")
        _tell(models, learning, until_stable)
        if kept and kept.is_written:
            say(f"Wrote {recording}.")
        say(f"Wrote {out}: {counted(len(models), 'model')}; {losses.summary()}.")
        if kept:
            kept.require_written()
    if fail_on and not learning.is_stable:
        context.exit(INCOMPLETE)


def _with_counts(windows: Mapping[str, list[Window]]) -> dict[str, list[Window]]:
    """The workloads of which something was counted, and be it lost: others have no model.

    Raises:
        BaselineError: there is none.
    """
    counted_in = {
        name: seen
        for name, seen in windows.items()
        if any(tally.counted for w in seen for tally in w.ledger.of_counts)
    }
    if not counted_in:
        raise BaselineError(
            f"Nothing was counted of {', '.join(sorted(windows))}, and no model was written",
            "Learn while the service is at work, or give it more time",
        )
    for name in sorted(set(windows) - set(counted_in)):
        say(f"Nothing was counted of {name}: no model of it is written.")
    return counted_in


def _check_folders(
    source: SourceOptions, out: Path, recording: Path | None, inherit: Path | None, force: bool
) -> None:
    if len({path.resolve() for path in source.recordings}) < len(source.recordings):
        raise UsageError("A recording is given twice", "Give it once: it would count double")
    if recording:
        if not source.live:
            raise UsageError("--recording means nothing without --cgroup", "Leave it out")
        for option, folder in (("--out", out), ("--inherit", inherit)):
            if folder and _overlap(recording, folder):
                raise UsageError(
                    f"--recording and {option} are the same folder, or one lies in the other",
                    "Give them names side by side",
                )
        require_output(recording, force=force, foreign=without(HEADER_FILE))
    require_output(out, force=force, foreign=not_models)


def _overlap(one: Path, other: Path) -> bool:
    """Whether what replaces one of two folders could take the other with it."""
    one, other = one.resolve(), other.resolve()
    return one.is_relative_to(other) or other.is_relative_to(one)


class _StopWhenStable(StopSignals):
    """Ctrl-C, or nothing more to learn.

    Args:
        learning: ends the work as soon as it is stable; ``None`` where only signals do.
    """

    def __init__(self, learning: Learning | None) -> None:
        super().__init__()
        self._learning = learning

    def __call__(self) -> bool:
        """Whether the work should end."""
        return super().__call__() or (self._learning is not None and self._learning.is_stable)


def _verdict(learning: Learning) -> str:
    if learning.is_stable:
        return "Stable: every workload is complete."
    workloads = counted(len(learning.windows), "workload")
    return (
        f"Not stable: {learning.complete} of {workloads} complete, for the reasons above. "
        "Learn longer."
    )


def _tell(models: Sequence[WorkloadModel], learning: Learning, until_stable: bool) -> None:
    show(_as_text(_learned(models), _completeness(learning.completeness)))
    if until_stable:
        say(_verdict(learning))
    supported = max((model.supported_budget for model in models), key=lambda b: b.per_second)
    if supported.per_second > DEFAULT_BUDGET.per_second:
        say(f"Too short to vouch for {DEFAULT_BUDGET}: it supports {supported}. Learn longer.")


def _rate(per_week: float) -> str:
    """A rate as exact as it is known."""
    if per_week > MOST_FALSE_ALARMS:
        return f"> {MOST_FALSE_ALARMS:,}"
    return f"{per_week:,.{0 if per_week >= 10 else 1}f}"


def _as_text(*tables: Table) -> str:
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    with console.capture() as shown:
        console.print(*tables)
    # A table fills its last column with blanks.
    return "\n".join(line.rstrip() for line in shown.get().splitlines())


def _learned(models: Iterable[WorkloadModel]) -> Table:
    """One line for each model: what it was learned from, and the false alarms to expect."""
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
            *(
                f"{sum(model.signals[signal].items for signal in signals):,}"
                for signals in ((Signal.NGRAMS,), (Signal.EXECUTIONS,), PEERS)
            ),
            f"{training.ledger.lost:,}",
            _rate(model.false_alarms_per_week),
        )
    return table


def _completeness(completeness: Mapping[str, WorkloadCompleteness]) -> Table:
    """One line for each workload: whether learning was enough, and what is still to come."""
    table = Table(box=None, header_style="dim", pad_edge=False, collapse_padding=True)
    table.add_column("workload", overflow="fold")
    table.add_column("state", no_wrap=True)
    table.add_column("new n-grams/h (90%)", justify="right", no_wrap=True)
    table.add_column("because", overflow="fold")
    for workload, its in sorted(completeness.items()):
        coming = its.signals[Histogram.NGRAMS].new_items(HOUR)
        table.add_row(
            printable(workload),
            its.state.value,
            f"{estimated(coming.expected)} ({estimated(coming.low)}-{estimated(coming.high)})",
            its.reason,
        )
    return table
