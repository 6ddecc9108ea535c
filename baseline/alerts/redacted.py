"""What an alert holds, without secrets: every text in it that the workload chose."""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from baseline.alerts.redaction import redact, redact_arguments
from baseline.model.score import Evidence, Item
from baseline.sighting import Process
from baseline.window import Execution, Image

_redact = lru_cache(maxsize=4096)(redact)
"""Lineages repeat the same few names."""


def redacted_process(process: Process) -> Process:
    """A process without secrets in its name, its command line and its lineage."""
    names = [process.comm, *(image.path for image in process.lineage[-1:])]
    return process._replace(
        comm=_redact(process.comm),
        lineage=_lineage(process.lineage),
        arguments=redact_arguments(process.arguments, names, is_cut=process.arguments_cut),
    )


def redacted_item(item: Item) -> Item:
    """An item without secrets; calls and peers are named by the kernel and hold none."""
    return item._replace(lineage=_lineage(item.lineage)) if isinstance(item, Execution) else item


def redacted_evidence(evidence: Evidence) -> Evidence:
    """A piece of evidence without secrets."""
    if not isinstance(evidence.item, Execution):
        return evidence
    item = redacted_item(evidence.item)
    return replace(
        evidence,
        item=item,
        description=_redact(evidence.description.replace(str(evidence.item), str(item))),
        nearest=_redact(evidence.nearest),
    )


def _lineage(images: Iterable[Image]) -> tuple[Image, ...]:
    return tuple(i._replace(path=_redact(i.path), script=_redact(i.script)) for i in images)
