"""``baseline diff``: what changed from one model to another, also as a gate in CI."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from baseline.cli.budget import budget_option
from baseline.cli.output import writing_to_stdout
from baseline.cli.progress import counted, say
from baseline.errors import ModelError, UsageError
from baseline.fitting import page
from baseline.model.budget import Budget
from baseline.model.comparison import Comparison, compare
from baseline.model.storage import load_models
from baseline.model.workload_model import WorkloadModel
from baseline.report.comparison import comparison_document, comparison_page

CHANGES_FOUND = 3

Limit = Literal["new", "change"] | float
Models = Mapping[str, WorkloadModel]


def _limit(text: str) -> Limit:
    if text in ("new", "change"):
        return "new" if text == "new" else "change"
    try:
        bits = float(text)
    except ValueError:
        bits = 0.0
    if not 0 < bits < float("inf"):
        raise click.BadParameter(f"{text!r} is no limit. Write new, change or a number of bits.")
    return bits


@dataclass(frozen=True)
class Differences:
    """What two folders of models have in common, compared, and what one of them lacks.

    Attributes:
        comparisons: of the workloads of both.
        only_before, only_after: names of workloads that the other one has no model of.
    """

    comparisons: tuple[Comparison, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]

    def reasons(self, limit: Limit) -> list[str]:
        """Why the limit is exceeded, as sentences; none where it is not."""
        reasons = [f"{name} is new as a whole: A has no model of it." for name in self.only_after]
        if limit == "change":
            reasons += [f"{name} is gone: B has no model of it." for name in self.only_before]
        reasons += self.kept_out()
        for comparison in self.comparisons:
            name, alerts = comparison.after.workload, len(comparison.alerts)
            if limit == "new" and alerts:
                reasons.append(f"{name}: what is new would have been {counted(alerts, 'alert')}.")
            elif limit == "change" and comparison.has_changed:
                reasons.append(f"{name} changed.")
            elif isinstance(limit, float) and comparison.heaviest_new >= limit:
                bits = f"{comparison.heaviest_new:.1f} bits"
                reasons.append(f"{name}: something new carries {bits}, the limit is {limit:g}.")
        return reasons

    def kept_out(self) -> list[str]:
        """What B saw and does not know, because its learning kept it out, as sentences."""
        return [
            f"{c.after.workload}: learning B kept out {counted(number, 'thing')} that a "
            "single part of it showed; `baseline inspect` lists them."
            for c in self.comparisons
            if (number := c.after.provenance.kept_out)
        ]


@click.command(
    "diff",
    epilog="""\b
Compare this week's models with last week's:
  baseline diff models.old models
A gate in CI: fail if the new image does anything that would be an alert:
  baseline learn --from staging --out candidate
  baseline diff models candidate --workload web --fail-on new""",
)
@click.argument("before", type=click.Path(path_type=Path), metavar="A")
@click.argument("after", type=click.Path(path_type=Path), metavar="B")
@click.option("--workload", metavar="NAME", help="Only the models of this workload.")
@budget_option(
    "alert_budget",
    "False alarms allowed to A, by which alerts are counted: 1/day, 2/month.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="A page for each workload, or one JSON document with all items (see "
    "docs/alert-format.md).",
)
@click.option(
    "--fail-on",
    "limit",
    type=_limit,
    metavar="new|change|BITS",
    help="Exit with 3 if what is new in B would have been an alert for A (new); if anything is "
    "new, gone, or shifted beyond sampling (change); if something new carries so many bits to A. "
    "A workload that A has no model of always counts, and so does what learning B kept out.",
)
@click.pass_context
def command(
    context: click.Context,
    *,
    before: Path,
    after: Path,
    workload: str | None,
    alert_budget: Budget,
    form: str,
    limit: Limit | None,
) -> None:
    """Tell what changed from models A to models B.

    What is new is told with its surprise to A in bits, what is gone with its surprise to B, and of
    what both know how differently often it occurs. Two folders with one model each are compared
    whatever the names of their workloads.
    """
    differences = _compare(
        _chosen(before, workload), _chosen(after, workload), alert_budget, before, after
    )
    with writing_to_stdout():
        click.echo(_document(differences) if form == "json" else _pages(differences))
    reasons = differences.reasons(limit) if limit else differences.kept_out()
    for reason in reasons:
        say(reason)
    if limit and reasons:
        context.exit(CHANGES_FOUND)


def _chosen(path: Path, workload: str | None) -> Models:
    models = load_models(path)
    if workload is None:
        return models
    if workload not in models:
        raise UsageError(
            f"There is no model of {workload} in {path}", f"Choose of {', '.join(sorted(models))}"
        )
    return {workload: models[workload]}


def _compare(
    before: Models, after: Models, alert_budget: Budget, path: Path, other_path: Path
) -> Differences:
    if len(before) == len(after) == 1:
        pairs = [(next(iter(before.values())), next(iter(after.values())))]
        only_before: tuple[str, ...] = ()
        only_after: tuple[str, ...] = ()
    else:
        pairs = [(before[name], after[name]) for name in sorted(before) if name in after]
        only_before = tuple(sorted(set(before) - set(after)))
        only_after = tuple(sorted(set(after) - set(before)))
    if not pairs:
        raise UsageError(
            f"{path} and {other_path} have no workload in common: "
            f"{', '.join(sorted(before))}; {', '.join(sorted(after))}",
            "Give folders with a model each to compare them whatever their names",
        )
    for a, b in pairs:
        if a.architecture != b.architecture:
            raise ModelError(
                f"The model of {a.workload} is of {a.architecture} in {path} and of "
                f"{b.architecture} in {other_path}, whose system calls differ",
                "Compare models that were learned on the same architecture",
            )
    comparisons = tuple(compare(a.with_budget(alert_budget), b) for a, b in pairs)
    return Differences(comparisons, only_before, only_after)


def _pages(differences: Differences) -> str:
    pages = [comparison_page(comparison).rstrip() for comparison in differences.comparisons]
    for side, names in (("A", differences.only_before), ("B", differences.only_after)):
        if names:
            pages.append(page([f"Only in {side}: {', '.join(names)}"]))
    return "\n\n".join(pages)


def _document(differences: Differences) -> str:
    return json.dumps(
        {
            "workloads": [comparison_document(c) for c in differences.comparisons],
            "only_in_a": differences.only_before,
            "only_in_b": differences.only_after,
        }
    )
