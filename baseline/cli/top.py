"""``baseline top``: a live table of workloads."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from baseline.cli.budget import budget_option
from baseline.cli.live_screen import LiveScreen
from baseline.cli.output import writing_to_stdout
from baseline.cli.progress import say
from baseline.cli.sources import Source, SourceOptions, open_source, source_options
from baseline.cli.stopping import StopSignals
from baseline.cli.verifying import verify_option
from baseline.cli.watch import say_what_is_supported, say_what_length_hides
from baseline.live.overview import Overview
from baseline.live.pages import Pages
from baseline.live.terminal import Terminal
from baseline.live.view import Order, View
from baseline.model.budget import Budget
from baseline.model.storage import load_models, require_architecture
from baseline.model.workload_model import WorkloadModel

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


@click.command(
    "top",
    epilog="""\b
Look at everything that runs, also beside a 'baseline watch':
  baseline top --cgroup 'system.slice/*'
See how it compares with what was learned:
  baseline top --cgroup 'system.slice/*' --models models
Go through a recording ten times as fast, or see where it ends:
  baseline top --from recording --models models --pace 10
  baseline top --from recording --models models --once""",
)
@source_options(pace=True)
@click.option(
    "--models",
    type=click.Path(path_type=Path),
    metavar="MODELS",
    help="Folder that 'baseline learn' wrote; without it, what is new is what was not seen "
    "before in this session.",
)
@verify_option()
@budget_option("budget", "False alarms to expect of each workload, as of 'baseline watch'.")
@click.option(
    "--sort",
    type=click.Choice([order.value for order in Order]),
    help="What to begin with: what has most of it comes first.  [default: score with --models, "
    "calls without]",
)
@click.option(
    "--once",
    is_flag=True,
    help="Print one table and end: after --duration or one interval, or after all of a recording.",
)
def command(
    *,
    source: SourceOptions,
    models: Path | None,
    signers: tuple["Ed25519PublicKey", ...],
    budget: Budget,
    sort: str | None,
    once: bool,
) -> None:
    """Show what workloads do in a live table.

    Calls a second, what is new, how surprising that is, how complete learning was, what was lost,
    and the alerts. Up and down (or k and j) select a workload, right or Enter shows its alerts and
    then the whole alert, left or Escape goes back; s sorts by something else, p lets the picture
    stand while counting goes on, q ends. A recording stays on the screen until then.

    Without a terminal, a table is printed after each interval. It reads the counts alone and leaves
    the first sights to 'baseline watch', which tells of alerts sooner and with their process.
    """
    learned = {}
    if models:
        loaded = load_models(models, signers)
        learned = {name: model.with_budget(budget) for name, model in loaded.items()}
    overview = Overview(learned)
    order = Order(sort) if sort else Order.SCORE if learned else Order.CALLS
    if once or not Terminal.is_there():
        _print(source, learned, budget, overview, order, once=once)
    else:
        _show(source, learned, budget, overview, order)


def _show(
    source: SourceOptions,
    learned: Mapping[str, WorkloadModel],
    budget: Budget,
    overview: Overview,
    order: Order,
) -> None:
    with Terminal() as terminal, LiveScreen(terminal, overview, View(order)) as screen:
        screen.note("Loading the kernel program" if source.live else "")
        with open_source(source, screen, screen.note, writes=False) as opened:
            _check(learned, opened)
            say_what_is_supported(learned, budget, screen.note)
            say_what_length_hides(learned, opened.interval, screen.note, live=source.live)
            for window in opened.windows():
                overview.add(window)
                screen.refresh()
            if not source.live:
                screen.note("The recording ends here")
                while not screen():
                    screen.sleep(1.0)


def _check(learned: Mapping[str, WorkloadModel], opened: Source) -> None:
    for model in learned.values():
        require_architecture(model, opened.architecture)


class _Tables(StopSignals):
    """Prints tables one after the other.

    Args:
        overview: what to print.
        order: of the workloads.
        is_live: print whenever the source asks whether to stop, as the kernel does after it has
            given the windows of all workloads.
    """

    def __init__(self, overview: Overview, order: Order, *, is_live: bool) -> None:
        super().__init__()
        self._overview = overview
        self._order = order
        self._is_live = is_live
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._printed = 0

    def __call__(self) -> bool:
        """Whether somebody wants the work to end."""
        if self._is_live:
            self.print()
        return super().__call__()

    def print(self) -> None:
        """Print what is new since the last table; nothing if nothing is."""
        snapshot = self._overview.snapshot()
        if snapshot.time == self._printed:
            return
        with writing_to_stdout():
            if self._printed:
                self._console.print()
            for line in Pages(self._console).table(snapshot, self._order):
                line.rstrip()
                self._console.print(line, no_wrap=True, overflow="crop")
        self._printed = snapshot.time


def _print(
    source: SourceOptions,
    learned: Mapping[str, WorkloadModel],
    budget: Budget,
    overview: Overview,
    order: Order,
    *,
    once: bool,
) -> None:
    if once and source.live and source.duration is None:
        source = replace(source, duration=source.interval)
    tables = _Tables(overview, order, is_live=source.live and not once)
    with tables, open_source(source, tables, say, writes=False) as opened:
        _check(learned, opened)
        say_what_is_supported(learned, budget, say)
        say_what_length_hides(learned, opened.interval, say, live=source.live)
        end = None
        for window in opened.windows():
            if not (source.live or once) and window.end != end:
                tables.print()
            end = window.end
            overview.add(window)
        tables.print()
