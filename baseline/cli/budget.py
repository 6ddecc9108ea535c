"""The alert budget as an option."""

import click

from baseline.errors import UsageError
from baseline.model.budget import Budget


def budget(text: str) -> Budget:
    """Type of an option: ``1/week``, ``2/month``.

    Raises:
        click.BadParameter: it is no budget.
    """
    try:
        return Budget.parse(str(text))
    except UsageError as error:
        raise click.BadParameter(str(error)) from error
