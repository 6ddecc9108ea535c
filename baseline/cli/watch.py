"""``baseline watch``: windows to alerts."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import click

from baseline.alerts.detector import Detector
from baseline.alerts.json_lines import JsonLinesSink
from baseline.alerts.text import TextSink
from baseline.cli.ledgers import LossReport
from baseline.cli.output import writing_to_stdout
from baseline.cli.progress import ProgressBar, counted, say
from baseline.cli.sources import SourceOptions, open_source, source_options
from baseline.cli.stopping import StopSignals
from baseline.errors import ModelError
from baseline.model.storage import load_models, require_architecture
from baseline.window import Window

ANOMALIES_FOUND = 3

_SINKS: dict[str, Callable[[TextIO], TextSink | JsonLinesSink]] = {
    "text": TextSink,
    "json": JsonLinesSink,
}


@click.command(
    "watch",
    epilog="""\b
Watch a service until Ctrl-C:
  baseline watch --cgroup system.slice/nginx.service --models models
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
    source: SourceOptions,
    models: Path,
    form: str,
    fail_on: str | None,
) -> None:
    """Tell what workloads do that deviates from what was learned, and why.

    Alerts go to stdout, one for each thing that happened; everything else to stderr. Replaying
    recordings needs no rights at all.
    """
    learned = load_models(models)
    detector = Detector(learned)
    sink = _SINKS[form](sys.stdout)
    losses = LossReport(say)
    with (
        StopSignals() as stop,
        ProgressBar("Watching", source.duration if source.live else None) as progress,
        open_source(source, stop, say) as opened,
    ):
        for model in learned.values():
            require_architecture(model, opened.architecture)
        for observation in opened.observations:
            alert = detector.observe(observation)
            if alert:
                with progress.hidden(), writing_to_stdout():
                    sink.write(alert)
            if isinstance(observation, Window):
                losses.add(observation)
                progress.advance(f", {counted(detector.alerts, 'alert')}")
            for workload in detector.workloads_without_model():
                say(f"There is no model of {workload} in {models}: learn it to have it watched.")
    if detector.windows and not detector.judged:
        raise ModelError(
            f"Nothing was judged: {models} has models of {', '.join(sorted(learned))} alone",
            "Name the workload as it was learned, with --cgroup NAME=GLOB",
        )
    folded = counted(detector.folded, "anomalous window")
    say(
        f"Watched {counted(detector.judged, 'window')}: {counted(detector.alerts, 'alert')}"
        + f" ({folded} of nothing but what was reported)" * bool(detector.folded)
        + f"; {losses.summary()}."
    )
    if fail_on and detector.alerts:
        context.exit(ANOMALIES_FOUND)
