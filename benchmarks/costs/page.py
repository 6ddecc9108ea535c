"""docs/overhead.md from the figures of a run."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from costs.floor import TRIED
from costs.reporting import with_interval
from costs.targets import mean_row, summary, table, targets

PARTS = {
    "syscalls": "System calls",
    "services": "Services",
    "floor": "The floor",
    "agent": "The agent",
    "scaling": "Growth",
    "analysis": "Learning",
}
_QUARTILES = """
Of system calls and of the floor both are quartiles: their rounds were not kept one by one."""
TEMPLATE = Path(__file__).with_name("page.template.md")


def page(result: Mapping[str, Any]) -> str:
    """The page, in Markdown.

    Args:
        result: what ``benchmarks/overhead.py --json`` wrote; the parts syscalls, services and floor
            must be there.
    """
    reached = list(targets(result))
    mitigations = "\n".join(f"- {name}: {state}" for name, state in result["mitigations"].items())
    return Template(TEMPLATE.read_text()).substitute(
        runs="\n".join(_runs(result["runs"])),
        mitigations=mitigations or "- none",
        summary=summary(reached),
        quartiles="" if "measured" in result["syscalls"] else _QUARTILES,
        thrown_away="; a slice before them is thrown away"
        if "measured" in result["services_run"]
        else "",
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


def _runs(runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Of each part when, of what and on what it was measured, as Markdown has tables."""
    rows = [
        f"| {name} | {run['date']} | {run['commit']} | {_load(run)} | {run['machine']} |"
        for part, name in PARTS.items()
        if (run := runs.get(part))
    ]
    return [
        "| part | date | commit | load average before | machine |",
        "|---|---|---|---|---|",
        *rows,
    ]


def _load(run: Mapping[str, Any]) -> str:
    load = run["load_average_before"]
    return "not known" if load is None else f"{load:.1f}"


def _losses(result: Mapping[str, Any]) -> dict[str, str]:
    means = mean_row(result["loss"]["percent_below_none"])
    return {f"loss_{kind}": f"{with_interval(mean)} %" for kind, mean in means.items()}


def _floor(floor: Mapping[str, Any]) -> dict[str, str]:
    figures = {f"over_{kind.name}": "refused" for kind in TRIED}
    for name, over_none in floor["over_none"].items():
        figures[f"over_{name}"] = f"{over_none['median']:.0f} ns"
    refused = ", ".join(f"`{name}`" for name in floor["refused"])
    return {**figures, "refused": f"refused here: {refused}" if refused else "see above"}
