"""``baseline backtest``: what models would have told of a recording, against the budget."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from baseline.alerts.alert import Alert
from baseline.alerts.backtest import Backtest, Outcome
from baseline.cli.budget import budget_option
from baseline.cli.ledgers import LossReport
from baseline.cli.output import writing_to_stdout
from baseline.cli.progress import ProgressBar, counted, say
from baseline.cli.sources import SourceOptions, open_source
from baseline.cli.stopping import StopSignals
from baseline.cli.verifying import verify_option
from baseline.errors import ModelError
from baseline.fitting import page
from baseline.model.budget import Budget
from baseline.model.storage import load_models, require_architecture
from baseline.model.workload_model import WorkloadModel
from baseline.moments import iso_time

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_LENGTHS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True)
class _Told:
    """An alert, and the lowest of the budgets at which it was raised."""

    alert: Alert
    budget: Budget


@click.command(
    "backtest",
    epilog="""\b
Were there more alerts last week than the budget allows?
  baseline backtest --models models --from recording
What would other budgets have cost?
  baseline backtest --models models --from recording \\
    --budget 1/hour --budget 1/day --budget 1/week""",
)
@click.option(
    "--models",
    required=True,
    type=click.Path(path_type=Path),
    metavar="MODELS",
    help="Folder that 'baseline learn' wrote.",
)
@verify_option()
@click.option(
    "--from",
    "recordings",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="RECORDING",
    help="A recording of normal time that was not learned from. As often as wanted.",
)
@budget_option(
    "budgets",
    "False alarms to expect of each workload: 1/day, 2/month. As often as wanted.",
    multiple=True,
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="A table and a line for each alert, or one JSON document (see docs/alert-format.md).",
)
@click.pass_context
def command(
    context: click.Context,
    *,
    models: Path,
    signers: tuple["Ed25519PublicKey", ...],
    recordings: tuple[Path, ...],
    budgets: tuple[Budget, ...],
    form: str,
) -> None:
    """Count the alerts that models would have raised, against the budget.

    Replays recordings, and tells for each workload how many alerts there are, how many the budget
    allows in that time, and their ratio with its exact 95 % interval: what lies outside it is not
    chance. Interrupted, it tells of the windows until then, and exits with 130 (Ctrl-C) or 143.
    """
    learned = load_models(models, signers)
    by_rate = sorted(dict.fromkeys(budgets), key=lambda b: -b.per_second)
    backtest = Backtest(learned, by_rate)
    seen: Counter[str] = Counter()
    from_training: Counter[str] = Counter()
    losses = LossReport(say)
    source = SourceOptions((), recordings, duration=None, interval=1.0, keep=False)
    with (
        StopSignals() as stop,
        ProgressBar("Replaying", None) as progress,
        open_source(source, stop, say, writes=False) as opened,
    ):
        for model in learned.values():
            require_architecture(model, opened.architecture)
        for window in opened.windows():
            backtest.observe(window)
            losses.add(window)
            seen[window.workload] += 1
            known = learned.get(window.workload)
            if known and _is_learned(known, window.start, window.end):
                from_training[window.workload] += 1
            progress.advance()
        interrupted = stop.exit_code
    outcomes = backtest.outcomes()
    if not outcomes and not interrupted:
        raise ModelError(
            f"Nothing was judged: {models} has models of {', '.join(sorted(learned))}, "
            f"the recording has {', '.join(sorted(seen)) or 'no windows'}",
            "Give a recording of a workload that was learned",
        )
    told = _told(outcomes)
    with writing_to_stdout():
        click.echo(_document(outcomes, told) if form == "json" else _page(outcomes, told))
    for name, windows in sorted(from_training.items()):
        say(
            f"{name} was learned while {windows:,} of these {seen[name]:,} windows were recorded: "
            "a model is hardly surprised by what it was learned from."
        )
    judged = sum(windows for name, windows in seen.items() if name in learned)
    for name in sorted(seen.keys() - learned.keys()):
        say(f"There is no model of {name} in {models}: its windows were not judged.")
    if interrupted:
        say(f"Interrupted: judged the first {counted(judged, 'window')} alone.")
    say(f"Judged {counted(judged, 'window')}; {losses.summary()}.")
    context.exit(interrupted)


def _is_learned(model: WorkloadModel, start: int, end: int) -> bool:
    return any(start < until and since < end for since, until in model.training.spans)


def _told(outcomes: Iterable[Outcome]) -> list[_Told]:
    """Each alert once, with the lowest budget at which it was raised; outcomes by falling rate."""
    told = {a.id: _Told(a, outcome.budget) for outcome in outcomes for a in outcome.alerts}
    return sorted(told.values(), key=lambda t: (t.alert.workload, t.alert.time, t.alert.id))


def _page(outcomes: Sequence[Outcome], told: Sequence[_Told]) -> str:
    several = len({outcome.budget for outcome in outcomes}) > 1
    return page([*_table(outcomes), "", *_listing(told, several=several)])


def _table(outcomes: Iterable[Outcome]) -> Iterator[str]:
    yield f"{'budget':>10} {'time':>8} {'alerts':>7} {'expected':>9} {'ratio':>8}  95 % interval"
    workload = ""
    for outcome in outcomes:
        if outcome.workload != workload:
            workload = outcome.workload
            yield workload
        low, high = outcome.interval
        yield (
            f"{outcome.budget!s:>10} {_length(outcome.seconds):>8} {len(outcome.alerts):7,} "
            f"{outcome.expected:9.3g} {_ratio(outcome.ratio):>8}  {_ratio(low)} to {_ratio(high)}"
        )


def _listing(told: Sequence[_Told], *, several: bool) -> Iterator[str]:
    if not told:
        yield "No alerts."
        return
    number = counted(len(told), "alert").capitalize()
    yield number + (", each with the lowest budget at which it is one" if several else "")
    workload = ""
    for one in told:
        alert = one.alert
        if alert.workload != workload:
            workload = alert.workload
            yield workload
        lowest = f"{one.budget!s:>9} " if several else ""
        yield f"  {iso_time(alert.time, 'seconds')} {alert.id} {lowest}{alert.headline}"


def _document(outcomes: Iterable[Outcome], told: Iterable[_Told]) -> str:
    return json.dumps(
        {
            "outcomes": [_outcome(outcome) for outcome in outcomes],
            "alerts": [one.alert.to_dict() | {"budget": str(one.budget)} for one in told],
        }
    )


def _outcome(outcome: Outcome) -> Mapping[str, object]:
    return {
        "workload": outcome.workload,
        "budget": str(outcome.budget),
        "seconds": round(outcome.seconds, 3),
        "alerts": len(outcome.alerts),
        "expected": float(f"{outcome.expected:.6g}"),
        "ratio": float(f"{outcome.ratio:.6g}"),
        "interval": [float(f"{end:.6g}") for end in outcome.interval],
    }


def _ratio(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.2f}"


def _length(seconds: float) -> str:
    length, unit = next((pair for pair in _LENGTHS if seconds >= 2 * pair[0]), _LENGTHS[-1])
    return f"{seconds / length:.0f} {unit}"
