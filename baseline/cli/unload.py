"""``baseline unload``: the way back to a kernel without us."""

import click

from baseline.cli.progress import say
from baseline.kernel.unloading import unload


@click.command("unload")
def command() -> None:
    """Remove everything that a crash, or --keep, left in the kernel.

    Counts that were not read yet are lost; commands that are running go on counting to their end.
    """
    done = unload()
    for line in done:
        say(line)
    if not done:
        say("Nothing was loaded.")
