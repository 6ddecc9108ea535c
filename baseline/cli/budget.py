"""The alert budget as an option."""

from collections.abc import Callable
from typing import Any

import click

from baseline.errors import UsageError
from baseline.model.budget import DEFAULT_BUDGET, Budget


def _budget(text: str) -> Budget:
    try:
        return Budget.parse(str(text))
    except UsageError as error:
        raise click.BadParameter(str(error)) from error


def budget_option(
    parameter: str, description: str, *, multiple: bool = False
) -> Callable[[Any], Any]:
    """The option ``--budget``: ``1/week``, ``2/month``.

    Args:
        parameter: of the command that takes the :class:`Budget`, or the tuple of them.
        description: what it is a budget of there.
        multiple: it may be given as often as wanted.
    """
    return click.option(
        "--budget",
        parameter,
        type=_budget,
        multiple=multiple,
        default=[str(DEFAULT_BUDGET)] if multiple else str(DEFAULT_BUDGET),
        show_default=True,
        metavar="N/TIME",
        help=description,
    )
