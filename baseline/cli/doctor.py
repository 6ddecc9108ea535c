"""``baseline doctor``: what this machine can do."""

import click

from baseline.cli.output import writing_to_stdout
from baseline.kernel.doctor import examine


@click.command("doctor")
@click.pass_context
def command(context: click.Context) -> None:
    """Check what this machine can do, each line with the fix for what it cannot.

    Exits with 1 if something that learning and watching need is missing. Replaying recordings
    needs nothing of it.
    """
    checks = examine()
    with writing_to_stdout():
        for check in checks:
            mark = click.style("ok", fg="green") if check.ok else click.style("NO", fg="red")
            click.echo(f"{mark}  {check.name}: {check.detail}")
            if not check.ok:
                click.echo(f"    Fix: {check.fix}")
    if not all(check.ok for check in checks):
        context.exit(1)
