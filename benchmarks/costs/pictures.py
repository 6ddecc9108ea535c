"""The pictures of docs/overhead.md."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {
    "none": "#b0b7bd",
    "empty": "#7f8c97",
    "baseline": "#2f6f9f",
    "untracked": "#84b6d9",
    "bpftrace": "#e08e2b",
    "stream": "#c0392b",
}
ORDER = ("none", "empty", "untracked", "baseline", "bpftrace", "stream")


def draw_syscalls(result: Mapping[str, Any], path: Path) -> None:
    """What a call takes under each probe, but for the two that take microseconds."""
    times = result["ns_per_syscall"]
    figure = Figure(figsize=(11, 4), layout="constrained")
    figure.suptitle("What a system call takes on one CPU; dotted: the floor")
    for axes, (load, row) in zip(figure.subplots(1, len(times)), times.items(), strict=True):
        kinds = [kind for kind in ORDER if kind in row][::-1]
        bars = axes.barh(kinds, [row[k] for k in kinds], color=[COLOURS[k] for k in kinds])
        axes.bar_label(bars, [f"{row[k]:,.0f}" for k in kinds], padding=3, fontsize=8)
        axes.set_title(load)
        axes.axvline(row["empty"], color=COLOURS["empty"], lw=0.8, ls=":")
        axes.set_xlim(0, 1.15 * max(row[kind] for kind in kinds))
        axes.set_xlabel("nanoseconds")
        _without_frame(axes)
    figure.savefig(path, dpi=110)


def draw_services(result: Mapping[str, Any], path: Path) -> None:
    """What each service loses to each probe, with the intervals of the medians."""
    loss = result["loss"]["percent_below_none"]
    kinds = list(next(iter(loss.values())))
    figure = Figure(figsize=(11, 4), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(kinds)
    for place, kind in enumerate(kinds):
        figures = [row[kind] for row in loss.values()]
        medians = [f["median"] for f in figures]
        axes.bar(
            [number + (place - (len(kinds) - 1) / 2) * width for number in range(len(loss))],
            medians,
            width,
            yerr=[
                [m - f["low"] for m, f in zip(medians, figures, strict=True)],
                [f["high"] - m for m, f in zip(medians, figures, strict=True)],
            ],
            color=COLOURS[kind],
            error_kw={"lw": 0.8},
            label=kind,
        )
    axes.axhline(0, color="black", lw=0.8)
    axes.set_xticks(range(len(loss)), list(loss))
    axes.set_ylabel("% of throughput lost")
    axes.set_title("What services lose against no probe at all (with 95 % intervals)")
    axes.legend()
    _without_frame(axes)
    figure.savefig(path, dpi=110)


def _without_frame(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
