"""``baseline watch``: windows to alerts."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from baseline.alerts.detector import Detector
from baseline.alerts.incident import Incidents, still_open
from baseline.cli.alert_outputs import FORMATS, AlertOutputs
from baseline.cli.budget import budget_option
from baseline.cli.keeping import Keeping
from baseline.cli.ledgers import LossReport
from baseline.cli.progress import ProgressBar, counted, say
from baseline.cli.sources import Reader, SourceOptions, open_source, source_options
from baseline.cli.stopping import StopSignals
from baseline.cli.verifying import verify_option
from baseline.cli.watching import Watching
from baseline.errors import ModelError
from baseline.interference import Interference
from baseline.memory import give_back
from baseline.model.budget import Budget
from baseline.model.merging import window_length
from baseline.model.storage import load_models, require_architecture
from baseline.model.workload_model import WorkloadModel
from baseline.moments import in_seconds
from baseline.workloads.naming import container_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from baseline.alerts.metrics import WatchMetrics

ANOMALIES_FOUND = 3

_NAMED = 3

_CONTAINERS_REMEMBERED = 4096


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
@verify_option()
@budget_option(
    "budget",
    "False alarms to expect of each workload: 1/day, 2/month; of a minute, hour, day, week, "
    "month or year.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="Alerts as text for people, or as JSON lines (docs/alert-format.md has their keys).",
)
@click.option(
    "--metrics",
    "address",
    metavar="[HOST:]PORT",
    help="Metrics for Prometheus at this port, for this machine alone; 0 takes one that is free.",
)
@click.option(
    "--alerts",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Append alerts to this file, too, as JSON lines, each on disk before the next. It may be "
    "rotated at any time, with no signal.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["anomaly"]),
    help="Exit with 3 if there was an alert, or if somebody tampered with the counting; a replay "
    "that was interrupted before that with 130 (Ctrl-C) or 143.",
)
@click.pass_context
def command(
    context: click.Context,
    *,
    source: SourceOptions,
    models: Path,
    signers: tuple["Ed25519PublicKey", ...],
    budget: Budget,
    form: str,
    address: str | None,
    alerts: Path | None,
    fail_on: str | None,
) -> None:
    """Tell what workloads do that deviates from what was learned, and why.

    Alerts go to stdout, one for each thing that happened; everything else to stderr. The first
    one opens an incident of its workload, further ones update it, and after ten quiet minutes it
    is closed. Whoever reads them slowly, or not at all, does not hold up the counting: alerts wait
    in memory, a full disk is tried again, and what could not be delivered is counted. Secrets in
    command lines and names are redacted. Replaying recordings needs no rights at all.

    A cgroup that is not there yet is waited for, with or without wildcards.
    """
    learned = {
        name: model.with_budget(budget) for name, model in load_models(models, signers).items()
    }
    known = _some(sorted(learned))
    or_name_it = ", or name it as it was learned, with --cgroup NAME=GLOB" * source.live
    # Asked at the first sight of each replica: its manager forgets a container that has ended.
    find_container = lru_cache(_CONTAINERS_REMEMBERED)(container_of)
    detector = Detector(learned, container_of=find_container)
    incidents = Incidents(detector)
    metrics, server = _metrics(address, learned)
    give_back()
    losses = LossReport(say)
    keeping = Keeping(lambda: outputs.have_delivered())  # noqa: PLW0108 - they come later
    interferences = 0
    with (
        StopSignals() as stop,
        open_source(
            source,
            stop,
            say,
            writes=alerts is not None,
            reader=Reader("watch", "\n".join(source.cgroups), commit=keeping.commit),
            first_sights=True,
            waits=True,
        ) as opened,
        ProgressBar("Watching", source.duration if source.live else None) as progress,
        # Their threads begin now, with no more rights than the source has left us.
        server,
        AlertOutputs(form, alerts, progress, say) as outputs,
    ):
        for model in learned.values():
            require_architecture(model, opened.architecture)
        say_what_is_supported(learned, budget, say)
        say_what_length_hides(learned, opened.interval, say, live=source.live)
        if metrics:
            metrics.follow(incidents, outputs.deliveries)
        watching = Watching(detector, incidents, metrics, outputs, losses, progress, keeping)
        for observation in opened.observations:
            if isinstance(observation, Interference):
                interferences += 1
                outputs.write_interference(observation)  # no counts say so: nothing to be kept
                continue
            watching.take(observation)
            for workload in detector.workloads_without_model():
                say(
                    f"There is no model of {workload} in {models}, which has models of {known} "
                    f"alone: learn it to have it watched{or_name_it}."
                )
        interrupted = 0 if source.live else stop.exit_code
        for report in incidents.rest():
            outputs.write(report)
    if detector.windows and not detector.judged:
        raise ModelError(
            f"Nothing was judged: {models} has models of {known} alone",
            "Name the workload as it was learned, with --cgroup NAME=GLOB"
            if source.live
            else "Give a recording of a workload that was learned",
        )
    folded = counted(detector.folded, "anomalous window")
    say(
        f"Watched {counted(detector.judged, 'window')}: {counted(detector.alerts, 'alert')}"
        + f" in {counted(incidents.opened, 'incident')}" * bool(detector.alerts)
        + f" ({folded} of nothing but what was reported)" * bool(detector.folded)
        + f"; {losses.summary()}."
        + f" Tampered with: {counted(interferences, 'warning')}." * bool(interferences)
    )
    if still := still_open(incidents.open):
        say(f"Incidents still open: {_some(still)}.")
    if interrupted:
        say(f"Interrupted: judged the first {counted(detector.judged, 'window')} alone.")
    found = ANOMALIES_FOUND if detector.alerts or interferences else interrupted
    code = found if fail_on else 0
    outputs.require_delivered(code)
    context.exit(code)


def _metrics(
    address: str | None, learned: Mapping[str, WorkloadModel]
) -> tuple["WatchMetrics | None", AbstractContextManager[object]]:
    """What counts, and what answers while it is entered; nothing of it without an address."""
    if address is None:
        return None, nullcontext()
    from baseline.alerts.metrics import Address, MetricsServer, WatchMetrics

    metrics = WatchMetrics(learned)
    server = MetricsServer(Address.parse(address), metrics)
    say(f"Metrics are at {server.url}")
    return metrics, server


def _some(names: Sequence[str]) -> str:
    """The first names, and how many there are beyond."""
    more = f" and {len(names) - _NAMED} more" * (len(names) > _NAMED)
    return f"{', '.join(names[:_NAMED])}{more}"


def say_what_is_supported(
    learned: Mapping[str, WorkloadModel], budget: Budget, say: Callable[[str], None]
) -> None:
    """Tell which models would need more learning to keep the budget."""
    supported = [
        f"{name} {model.supported_budget}"
        for name, model in sorted(learned.items())
        if budget.per_second < model.supported_budget.per_second
    ]
    if supported:
        say(
            f"Learning was too short to vouch for {budget} (it supports "
            f"{_some(supported)}): thresholds are extrapolated. Learn longer."
        )


def say_what_length_hides(
    learned: Mapping[str, WorkloadModel],
    interval: float,
    say: Callable[[str], None],
    *,
    live: bool,
) -> None:
    """Tell which models were calibrated on windows of quite another length."""
    for name, model in sorted(learned.items()):
        length = (window_length(model) or 0) / 1e9 or model.training.window_seconds
        if not length / 2 <= interval <= length * 2:
            learned_in, these = in_seconds(length), in_seconds(interval)
            way_out = (
                f"Use --interval {learned_in}s"
                if live
                else "Learn from a recording with such windows"
            )
            say(
                f"{name} was learned in windows of {learned_in} s, these are of {these} s: "
                f"the budget does not hold and volumes of calls are not judged. {way_out}."
            )
