"""``baseline accept``: what an alert told of becomes normal, by a person's word."""

import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from baseline.alerts.accepting import accept_alerts
from baseline.alerts.backtest import alerts_of
from baseline.alerts.secret_shapes import REDACTED
from baseline.alerts.written_alert import WrittenAlert, read_alerts
from baseline.cli.budget import budget_option
from baseline.cli.model_folders import folder_of
from baseline.cli.output import require_output, writing_to_stdout
from baseline.cli.preview import losses_in, preview_of, recorded_windows
from baseline.cli.progress import say
from baseline.cli.verifying import verify_option
from baseline.errors import ModelError, UsageError
from baseline.fitting import page
from baseline.model.budget import Budget
from baseline.model.folders import MANIFEST, not_a_model, not_models, read_manifests
from baseline.model.score import Call, Item
from baseline.model.storage import (
    load_models,
    save_model,
    save_models,
)
from baseline.model.workload_model import WorkloadModel
from baseline.window import Execution

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_MAX_LINE_BYTES = 1 << 24


@click.command(
    "accept",
    epilog="""\b
See what it would hide, then take it for normal in the models themselves:
  baseline accept 0f80b44fc7e3 --model models --alerts alerts.jsonl \\
    --intrusion data/nginx/intruded --preview
  baseline accept 0f80b44fc7e3 --model models --alerts alerts.jsonl --force
The same with all other alerts of its incident:
  baseline accept 0f80b44fc7e3 --incident --model models \\
    --alerts alerts.jsonl --force
All that was new to an alert that a recording raised:
  baseline accept 0f80b44fc7e3 --model models --alerts alerts.jsonl \\
    --from recording --out models-2""",
)
@click.argument("ids", nargs=-1, required=True, metavar="ALERT...")
@click.option(
    "--model",
    "models",
    required=True,
    type=click.Path(path_type=Path),
    metavar="MODELS",
    help="Folder of the model, or of several.",
)
@verify_option()
@click.option(
    "--alerts",
    "alerts_file",
    type=click.File("rb"),
    metavar="FILE",
    help="What 'baseline watch --format json' wrote (see docs/alert-format.md); otherwise "
    "standard input.",
)
@click.option(
    "--incident",
    "whole_incident",
    is_flag=True,
    help="Take all alerts of the incidents that these belong to.",
)
@click.option(
    "--from",
    "recordings",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="RECORDING",
    help="Recording whose replay raised the alerts: take all that was new to them for normal, not "
    "only what an alert names: 32 programs and peers, 4,096 sequences. As often as wanted.",
)
@click.option(
    "--intrusion",
    "intrusions",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="RECORDING",
    help="An attack that must still be found: tell which of its alerts would be lost. As often as "
    "wanted.",
)
@budget_option(
    "alert_budget",
    "Budget of the alerts, with which recordings are judged.",
)
@click.option("--preview", is_flag=True, help="Only tell what would come of it.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="MODELS",
    help="Folder to write; the old models stay as they are.",
)
@click.option("--force", is_flag=True, help="Replace --out; without --out, the model itself.")
@click.option("--yes", is_flag=True, help="Do not ask; somebody has looked at the preview.")
def command(
    *,
    ids: tuple[str, ...],
    models: Path,
    signers: tuple["Ed25519PublicKey", ...],
    alerts_file: IO[bytes] | None,
    whole_incident: bool,
    recordings: tuple[Path, ...],
    intrusions: tuple[Path, ...],
    alert_budget: Budget,
    preview: bool,
    out: Path | None,
    force: bool,
    yes: bool,
) -> None:
    """Take what an alert told of for normal.

    Tells first what that would hide: which other alerts of the same file, and which alerts of
    recorded attacks. Nothing is learned without a person's word: it asks on the terminal before it
    writes, which needs --out or --force.
    """
    before = read_manifests(models)
    learned = load_models(models, signers)
    alerts, source = _read(alerts_file)
    chosen = _chosen(ids, alerts, source, whole_incident=whole_incident)
    places = {name: folder_of(before, name) for name in chosen if name in learned}
    if not preview:
        _require_place(models, out, places.values(), force=force)
        _require_word(yes)
    acceptances = []
    for workload, its in chosen.items():
        if workload not in learned:
            raise UsageError(
                f"There is no model of {workload} in {models}", "Give the model that raised it"
            )
        for alert in its:
            _require_names(alert)
            _require_same_calls(learned[workload], alert)
        model = learned[workload].with_budget(alert_budget)
        acceptances.append(accept_alerts(model, its, _told(model, its, recordings)))
    lines: list[str] = []
    for acceptance, its in zip(acceptances, chosen.values(), strict=True):
        workload = acceptance.before.workload
        others = [a for a in alerts.values() if a.workload == workload and a not in its]
        lines += preview_of(acceptance, its, others, listed_alone=not recordings)
        for path in intrusions:
            lines += losses_in(acceptance, path)
    with writing_to_stdout():
        click.echo(page(lines))
    if preview:
        return
    changed = {a.after.workload: a.after for a in acceptances if a.changes_anything}
    if not changed:
        say("Nothing to accept: the models take all of it for normal. Nothing was written.")
        return
    if not yes and not click.confirm("Take this for normal?", err=True):
        say("Nothing was written.")
        return
    if out:
        if out.resolve() == models.resolve():
            _require_unchanged(models, before)
        _write(learned | changed, models, out, force=force)
        return
    _require_unchanged(models, before, {places[name] for name in changed})
    for name, model in changed.items():
        save_model(model, places[name], force=True)
        say(f"Wrote {places[name]}.")


def _require_word(yes: bool) -> None:
    if not yes and not (sys.stdin and sys.stdin.isatty()):
        raise UsageError(
            "Nothing is learned without a person's word, and there is no terminal to ask on",
            "Look at it with --preview, then add --yes",
        )


def _require_place(models: Path, out: Path | None, places: Iterable[Path], *, force: bool) -> None:
    if out is None:
        if not force:
            raise UsageError(
                "Nothing says where the new model goes",
                "Add --out, --force to replace the model itself, or --preview",
            )
        for place in places:
            require_output(place, force=True, foreign=not_a_model)
    else:
        is_one = (models / MANIFEST).exists()
        require_output(out, force=force, foreign=not_a_model if is_one else not_models)


def _read(file: IO[bytes] | None) -> tuple[dict[str, WrittenAlert], str]:
    """The alerts of a file or of standard input by id, and what that is called."""
    if file is None and sys.stdin and not sys.stdin.isatty():
        file = sys.stdin.buffer
    if file is None:
        raise UsageError("There are no alerts to choose from", "Add --alerts FILE, or pipe them in")
    alerts: dict[str, WrittenAlert] = {}
    # What is longer than a line may be is cut, and a piece of an alert is none.
    lines = iter(partial(file.readline, _MAX_LINE_BYTES), b"")
    for alert in read_alerts(lines, file.name):
        alerts.setdefault(alert.id, alert)
    return alerts, file.name


def _chosen(
    ids: Sequence[str], alerts: Mapping[str, WrittenAlert], source: str, *, whole_incident: bool
) -> dict[str, list[WrittenAlert]]:
    """The chosen alerts by workload."""
    for name in ids:
        if name not in alerts:
            raise UsageError(
                f"There is no alert {name} in {source}",
                "Give the id of one: twelve digits after the word alert, or its `id` in JSON",
            )
    incidents = {alerts[name].incident for name in ids} if whole_incident else set()
    chosen: defaultdict[str, list[WrittenAlert]] = defaultdict(list)
    for name, alert in alerts.items():
        if name in ids or alert.incident in incidents:
            chosen[alert.workload].append(alert)
    return dict(sorted(chosen.items()))


def _require_names(alert: WrittenAlert) -> None:
    """Refuse an alert that does not say which program it is about."""
    if any(isinstance(e.item, Execution) and REDACTED in str(e.item) for e in alert.evidence):
        raise UsageError(
            f"Alert {alert.id} is about a program whose name holds a secret, which is redacted",
            "Give the program a name without secrets, and learn it with --inherit",
        )


def _require_same_calls(model: WorkloadModel, alert: WrittenAlert) -> None:
    """Refuse an alert whose system calls have other numbers than the model's."""
    for evidence in alert.evidence:
        item = evidence.item
        if isinstance(item, int | Call) and (
            model.signals[evidence.signal].describe(item) != evidence.description
        ):
            raise ModelError(
                f"Alert {alert.id} was raised by a model of another architecture than "
                f"{model.architecture}, that of the model of {model.workload}",
                "Give the model that raised it",
            )


def _told(
    model: WorkloadModel, alerts: Sequence[WrittenAlert], recordings: Sequence[Path]
) -> dict[str, frozenset[Item]]:
    """All that was new to the alerts, by their ids, from replaying what raised them."""
    if not recordings:
        return {}
    again = {alert.id: alert for alert in alerts_of(model, recorded_windows(model, recordings))}
    for alert in alerts:
        if alert.id not in again:
            raise UsageError(
                f"Replaying the recording does not raise alert {alert.id}",
                "Give the recording and the --budget that raised it, or leave --from out",
            )
    return {alert.id: again[alert.id].unseen for alert in alerts}


def _require_unchanged(
    models: Path, before: Mapping[Path, bytes], places: Collection[Path] = ()
) -> None:
    """Refuse to undo what was made of models while a person looked at the preview.

    Args:
        models: folder of the model, or of several.
        before: manifest of each as it was.
        places: folders of those that are written; otherwise all.
    """
    now = read_manifests(models)
    for place in sorted(places or before.keys() | now.keys()):
        if now.get(place) != before.get(place):
            raise ModelError(
                f"The model {place} changed meanwhile, and nothing was written",
                "Accept again, on top of what it is now",
            )


def _write(models: Mapping[str, WorkloadModel], folder: Path, out: Path, *, force: bool) -> None:
    """Write models to a folder of the same kind as theirs."""
    if (folder / MANIFEST).exists():
        save_model(next(iter(models.values())), out, force=force)
    else:
        save_models(models.values(), out, force=force)
    say(f"Wrote {out}.")
