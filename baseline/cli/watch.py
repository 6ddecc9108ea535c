"""``baseline watch``: windows to alerts."""

import gc
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TextIO

import click

from baseline.alerts.detector import Detector
from baseline.alerts.incident import Incidents, Report, still_open
from baseline.alerts.json_lines import JsonLinesSink
from baseline.alerts.text import TextSink
from baseline.cli.budget import budget_option
from baseline.cli.ledgers import LossReport
from baseline.cli.output import writing_to_stdout
from baseline.cli.progress import ProgressBar, counted, say
from baseline.cli.sources import SourceOptions, open_source, source_options
from baseline.cli.stopping import StopSignals
from baseline.errors import ModelError
from baseline.model.budget import Budget
from baseline.model.storage import load_models, require_architecture
from baseline.model.workload_model import WorkloadModel
from baseline.window import Window

ANOMALIES_FOUND = 3

_NAMED = 3

_SINKS: dict[str, Callable[[TextIO], TextSink | JsonLinesSink]] = {
    "text": TextSink,
    "json": JsonLinesSink,
}


@click.command(
    "watch",
    epilog="""\b
Watch a service until Ctrl-C:
  baseline watch --cgroup system.slice/nginx.service --models models
With at most two false alarms a month of each workload:
  baseline watch --cgroup 'shop/*' --models models --budget 2/month
Check a recording in CI:
  baseline watch --from recording --models models --fail-on anomaly""",
)
@source_options(pace=True)
@click.option(
    "--models",
    required=True,
    type=click.Path(path_type=Path),
    metavar="MODELS",
    help="Folder that 'baseline learn' wrote.",
)
@budget_option(
    "budget",
    "False alarms to expect of each workload: 1/day, 2/month; of a minute, hour, day, week, "
    "month or year.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(_SINKS)),
    default="text",
    show_default=True,
    help="Alerts as text for people, or as JSON lines.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["anomaly"]),
    help="Exit with 3 if there was an alert.",
)
@click.pass_context
def command(
    context: click.Context,
    *,
    source: SourceOptions,
    models: Path,
    budget: Budget,
    form: str,
    fail_on: str | None,
) -> None:
    """Tell what workloads do that deviates from what was learned, and why.

    Alerts go to stdout, one for each thing that happened; everything else to stderr. The first
    one opens an incident of its workload, further ones update it, and after ten quiet minutes it
    is closed. Replaying recordings needs no rights at all.
    """
    learned = {name: model.with_budget(budget) for name, model in load_models(models).items()}
    _say_what_is_supported(learned, budget)
    detector = Detector(learned)
    incidents = Incidents(detector)
    gc.freeze()  # models and libraries stay: to look through them would hold up an alert by 20 ms
    sink = _SINKS[form](sys.stdout)
    losses = LossReport(say)
    with (
        StopSignals() as stop,
        ProgressBar("Watching", source.duration if source.live else None) as progress,
        open_source(source, stop, say) as opened,
    ):
        for model in learned.values():
            require_architecture(model, opened.architecture)
        _say_what_length_hides(learned, opened.interval)
        for observation in opened.observations:
            if reports := incidents.observe(observation):
                with progress.hidden():
                    _write(reports, sink)
            if isinstance(observation, Window):
                losses.add(observation)
                progress.advance(f", {counted(detector.alerts, 'alert')}")
            for workload in detector.workloads_without_model():
                say(f"There is no model of {workload} in {models}: learn it to have it watched.")
        with progress.hidden():
            _write(incidents.rest(), sink)
    if detector.windows and not detector.judged:
        raise ModelError(
            f"Nothing was judged: {models} has models of {', '.join(sorted(learned))} alone",
            "Name the workload as it was learned, with --cgroup NAME=GLOB",
        )
    folded = counted(detector.folded, "anomalous window")
    say(
        f"Watched {counted(detector.judged, 'window')}: {counted(detector.alerts, 'alert')}"
        + f" in {counted(incidents.opened, 'incident')}" * bool(detector.alerts)
        + f" ({folded} of nothing but what was reported)" * bool(detector.folded)
        + f"; {losses.summary()}."
    )
    if still := still_open(incidents.open):
        more = f" and {len(still) - _NAMED} more" * (len(still) > _NAMED)
        say(f"Incidents still open: {', '.join(still[:_NAMED])}{more}.")
    if fail_on and detector.alerts:
        context.exit(ANOMALIES_FOUND)


def _write(reports: Iterable[Report], sink: TextSink | JsonLinesSink) -> None:
    with writing_to_stdout():
        for report in reports:
            sink.write(report)


def _say_what_is_supported(learned: Mapping[str, WorkloadModel], budget: Budget) -> None:
    """Tell which models would need more learning to keep the budget."""
    supported = [
        f"{name} {model.supported_budget}"
        for name, model in sorted(learned.items())
        if budget.per_second < model.supported_budget.per_second
    ]
    if supported:
        more = f" and {len(supported) - _NAMED} more" * (len(supported) > _NAMED)
        say(
            f"Learning was too short to vouch for {budget} (it supports "
            f"{', '.join(supported[:_NAMED])}{more}): thresholds are extrapolated. Learn longer."
        )


def _say_what_length_hides(learned: Mapping[str, WorkloadModel], interval: float) -> None:
    """Tell which models were calibrated on windows of quite another length."""
    for name, model in sorted(learned.items()):
        length = model.training.window_seconds
        if not length / 2 <= interval <= length * 2:
            say(
                f"{name} was learned in windows of {length:.3g} s, these are of {interval:g} s: "
                "the budget does not hold and volumes of calls are not judged. "
                f"Use --interval {length:.3g}s."
            )
