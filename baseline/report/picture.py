"""The picture of a model: what was learned, on one page.

Needs matplotlib, the ``report`` extra; imported here alone, because it is heavy.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from baseline.durable import new_file
from baseline.errors import MissingLibraryError, UsageError
from baseline.fitting import shortened
from baseline.model.inspection import programs_and_peers
from baseline.model.ngrams import NgramModel
from baseline.model.score import Signal
from baseline.model.workload_model import WorkloadModel
from baseline.printable import printable
from baseline.syscalls import symbol_name, unpack

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN_CALLS = 14
_LISTED = 7
_FEW_TIMES = 10  # beyond that, loads are shown by their logarithm
_COLOUR = "#2f6f9f"
_THRESHOLD_COLOUR = "#c0392b"
_FORMATS = {".png", ".svg", ".pdf"}


def draw_model(model: WorkloadModel, path: Path) -> None:
    """Draw a model to a PNG, SVG or PDF file.

    Raises:
        UsageError: the file's name has another ending.
        OutputError: it cannot be written.
        MissingLibraryError: matplotlib is not installed.
    """
    if path.suffix not in _FORMATS:
        raise UsageError(
            f"{path} is no name of a picture", f"End it in {', '.join(sorted(_FORMATS))}"
        )
    try:
        from matplotlib.figure import Figure
    except ImportError as cause:
        raise MissingLibraryError("Pictures need", "matplotlib") from cause
    figure = Figure(figsize=(13, 9), layout="constrained")
    title = printable(f"What {model.workload} normally does")
    figure.suptitle(title, fontsize=15, fontweight="bold", parse_math=False)
    (calls, transitions), (listing, evidence) = figure.subplots(2, 2)
    ngrams = model.signals[Signal.NGRAMS]
    assert isinstance(ngrams, NgramModel)  # noqa: S101 - for the type checker
    pairs, weights = _last_two_calls(ngrams)
    names = _draw_calls(calls, pairs, weights, model.architecture)
    _draw_transitions(transitions, pairs, weights, names)
    _draw_listing(listing, model)
    _draw_evidence(evidence, model)
    with new_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=110)


def _last_two_calls(
    ngrams: NgramModel,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The last two symbols of each n-gram, shape (k, 2), and how often it occurred."""
    return unpack(ngrams.calls.ngrams)[:, -2:], ngrams.calls.counts


def _draw_calls(
    axes: "Axes",
    pairs: npt.NDArray[np.int64],
    weights: npt.NDArray[np.int64],
    architecture: str,
) -> dict[int, str]:
    """Bars of the most common calls; returns them, symbol -> name, the most common first."""
    symbols, where = np.unique(pairs[:, 1], return_inverse=True)
    calls = np.bincount(where, weights)
    top = np.argsort(-calls, kind="stable")[:_SHOWN_CALLS]
    names = {int(symbols[i]): symbol_name(int(symbols[i]), architecture) for i in top}
    shares = calls[top] / max(calls.sum(), 1)
    axes.barh(list(names.values())[::-1], shares[::-1], color=_COLOUR)
    axes.set_title(f"System calls: {len(symbols)} kinds, {int(calls.sum()):,} calls")
    axes.set_xlabel("share of calls")
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.spines[["top", "right"]].set_visible(False)
    return names


def _draw_transitions(
    axes: "Axes",
    pairs: npt.NDArray[np.int64],
    weights: npt.NDArray[np.int64],
    names: dict[int, str],
) -> None:
    """Probability of each call after each other, among the most common."""
    axes.set_title("Which call (across) follows which (down)")
    if not names:
        axes.axis("off")
        return
    position = {symbol: index for index, symbol in enumerate(names)}
    matrix = np.zeros((len(names), len(names)))
    for (before, after), weight in zip(pairs.tolist(), weights.tolist(), strict=True):
        if before in position and after in position:
            matrix[position[before], position[after]] += weight
    matrix /= np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), list(names.values()), rotation=60, ha="right")
    axes.set_yticks(range(len(names)), list(names.values()))
    axes.figure.colorbar(image, ax=axes, label="probability", shrink=0.8)


def _draw_listing(axes: "Axes", model: WorkloadModel) -> None:
    """The programs it starts and the peers it talks with, as text."""
    axes.axis("off")
    axes.set_title("Programs and peers")
    lines: list[str] = []
    for title, counts in zip(("Programs", "Peers"), programs_and_peers(model), strict=True):
        lines.append(f"{title} ({len(counts)})" if counts else f"{title}: none")
        listed = counts.most_common(_LISTED)
        lines += [f"{count:>9,}  {shortened(name, 68)}" for name, count in listed]
        if len(counts) > _LISTED:
            lines.append(f"           and {len(counts) - _LISTED} more")
        lines.append("")
    text = "\n".join(map(printable, lines))
    axes.text(0, 1, text, va="top", family="monospace", fontsize=9, parse_math=False)


def _draw_evidence(axes: "Axes", model: WorkloadModel) -> None:
    """How much evidence held-out windows had, and how much the budget asks for, by their load."""
    combination = model.combination
    loads = model.held_out.counts[Signal.NGRAMS]
    axes.plot(loads, combination.held_out_evidence, ".", color=_COLOUR, label="held-out time")
    asked = np.unique(loads)
    budgeted = 2.0**-model.threshold
    calibrations = map(combination.calibration.given, asked.tolist())
    thresholds = [calibration.threshold(budgeted) for calibration in calibrations]
    said = f"alert, at {model.budget}: {model.threshold:.1f} bits when calibrated"
    axes.plot(asked, thresholds, color=_THRESHOLD_COLOUR, drawstyle="steps-mid", label=said)
    if loads.max() > _FEW_TIMES * loads.min():
        axes.set_xscale("symlog")
    axes.xaxis.set_major_formatter(lambda calls, _: f"{calls:,.0f}")
    highest = max(*thresholds, combination.held_out_evidence.max(), 1.0)
    axes.set_ylim(0, 1.3 * highest)  # with room for the legend
    axes.set_title("How much evidence there is in normal time")
    axes.set_xlabel("system calls of a window")
    axes.set_ylabel("evidence of all signals, bits before calibration")
    axes.legend(loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
