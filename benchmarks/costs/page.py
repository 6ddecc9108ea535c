"""docs/overhead.md from the figures of a run."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from costs.floor import TRIED
from costs.targets import mean_loss, table, targets

TEMPLATE = Path(__file__).with_name("page.template.md")


def page(result: Mapping[str, Any]) -> str:
    """The page, in Markdown.

    Args:
        result: what ``benchmarks/overhead.py --json`` wrote; the parts syscalls, services and floor
            must be there.
    """
    reached = list(targets(result))
    clearly = sum(target.reached and target.is_clear for target in reached)
    unclear = sum(not target.is_clear for target in reached)
    summary = f"{clearly} of {len(reached)} are clearly reached, {unclear} are unclear."
    mitigations = "\n".join(f"- {name}: {state}" for name, state in result["mitigations"].items())
    return Template(TEMPLATE.read_text()).substitute(
        machine=result["machine"],
        date=result["date"],
        load_average=f"{result['load_average_before']:.1f}",
        mitigations=mitigations or "- none",
        summary=summary,
        targets="\n".join(table(reached)),
        syscalls=_block("syscalls", result),
        services=_block("services", result),
        floor=_block("floor", result),
        more="\n".join(
            f"## {title}\n\n{_block(part, result)}\n"
            for part, title in (
                ("agent", "The agent"),
                ("scaling", "Cost as the work grows"),
                ("analysis", "Learning and analysis"),
            )
            if part in result
        ),
        **_losses(result),
        **_floor(result["floor"]),
    )


def _block(part: str, result: Mapping[str, Any]) -> str:
    """A part's own table, as the run printed it."""
    module = importlib.import_module(f"costs.{part}")
    whole = part in ("syscalls", "services", "floor")
    return "\n".join(["```", *module.report(result if whole else result[part]), "```"])


def _losses(result: Mapping[str, Any]) -> dict[str, str]:
    below = result["loss"]["percent_below_none"]
    return {
        f"loss_{kind}": f"{mean_loss(below, kind):.1f} %"
        for kind in ("empty", "baseline", "bpftrace", "stream")
    }


def _floor(floor: Mapping[str, Any]) -> dict[str, str]:
    figures = {f"over_{kind.name}": "refused" for kind in TRIED}
    for name, over_none in floor["over_none"].items():
        figures[f"over_{name}"] = f"{over_none['median']:.0f} ns"
    refused = ", ".join(f"`{name}`" for name in floor["refused"])
    return {**figures, "refused": f"refused here: {refused}" if refused else "see above"}
