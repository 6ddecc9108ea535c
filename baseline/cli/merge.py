"""``baseline merge``: models of replicas, nodes and days as one."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from baseline.cli.model_folders import checksums
from baseline.cli.output import require_output
from baseline.cli.progress import counted, say
from baseline.cli.verifying import verify_option
from baseline.errors import ModelError, UsageError
from baseline.model.folders import not_models
from baseline.model.merging import merge
from baseline.model.storage import load_models, save_models
from baseline.model.workload_model import WorkloadModel
from baseline.moments import iso_time

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


@click.command(
    "merge",
    epilog="""\b
  baseline merge models-of-node-1 models-of-node-2 --out models
  baseline merge models monday --out models --force""",
)
@click.argument(
    "folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="MODELS..."
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="MODELS",
    help="Folder to write, with a model for each workload.",
)
@click.option("--force", is_flag=True, help="Replace models that exist.")
@verify_option()
def command(
    folders: tuple[Path, ...], out: Path, force: bool, signers: tuple["Ed25519PublicKey", ...]
) -> None:
    """Add up models that were learned on several replicas, nodes or days.

    Models of the same workload become one, which knows what each of them knew, with the counts of
    all; models of different workloads are put side by side. Replicas add up, too: one that two
    models watched counts as two. No two models may have been learned from the same time of the same
    replica, which would count double: those whose times begin or end at the same nanosecond are
    refused, such as a model and what `accept` made of it.
    """
    require_output(out, force=force, foreign=not_models)
    models: defaultdict[str, list[WorkloadModel]] = defaultdict(list)
    known: dict[str, Path] = {}
    found: list[tuple[Path, WorkloadModel]] = []
    architectures: dict[str, Path] = {}
    for folder in folders:
        for workload, model in sorted(load_models(folder, signers).items()):
            found.append((folder, model))
            models[workload].append(model)
            architectures.setdefault(model.architecture, folder)
        for workload, checksum in checksums(folder).items():
            if checksum in known:
                raise UsageError(
                    f"{known[checksum]} and {folder} hold the same model of {workload}",
                    "Give it once: it would count double",
                )
            known[checksum] = folder
    if len(architectures) > 1:
        where = " and ".join(f"{folder} of {name}" for name, folder in architectures.items())
        raise ModelError(
            f"The models are of different architectures, {where}, whose system calls differ",
            "Merge the models of each architecture on their own",
        )
    _require_other_times(found)
    merged = [_merged(parts) for _, parts in sorted(models.items())]
    save_models(merged, out, force=force)
    for model in merged:
        training = model.training
        say(
            f"{model.workload}: {counted(len(models[model.workload]), 'model')}, "
            f"{counted(training.windows, 'window')} of {counted(training.replicas, 'replica')}"
        )
    say(f"Wrote {out}: {counted(len(merged), 'model')}.")


def _require_other_times(found: Iterable[tuple[Path, WorkloadModel]]) -> None:
    """Refuse two models of a workload that were learned from the same time.

    Clocks have nanoseconds: no two commands begin or end together.
    """
    watched: dict[tuple[str, str, int], Path] = {}
    for folder, model in found:
        turns = [
            (model.workload, turn, moment)
            for span in model.training.spans
            for turn, moment in zip(("began", "ended"), span, strict=True)
        ]
        for turn in turns:
            if turn in watched:
                workload, what, moment = turn
                raise UsageError(
                    f"{watched[turn]} and {folder} hold models of {workload} that were learned "
                    f"from the same time: watching {what} at {iso_time(moment)} in both",
                    "Give one of them: that time would count double",
                )
        watched |= dict.fromkeys(turns, folder)


def _merged(models: Sequence[WorkloadModel]) -> WorkloadModel:
    """The models as one that says so; a single one stays what it is."""
    if len(models) == 1:
        return models[0]
    model = merge(models)
    note = f"Merged of {len(models):,} models."
    return model.with_provenance(notes=(*model.provenance.notes, note))
