"""The reference of all commands, made from their help texts."""

import click

from baseline.cli.main import COMMANDS, main

_HEAD = """# Commands

Generated from the help texts by `make docs`.
"""


def commands_reference() -> str:
    """Markdown with the help of ``baseline`` and of each command, 80 columns wide."""
    group = main.make_context("baseline", [], resilient_parsing=True, terminal_width=80)
    parts = [_HEAD, _section("baseline", main.get_help(group))]
    for name in COMMANDS:
        command = main.get_command(group, name)
        if command is not None:
            context = click.Context(command, info_name=name, parent=group, terminal_width=80)
            parts.append(_section(f"baseline {name}", command.get_help(context)))
    return "\n".join(parts)


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n```\n{text}\n```\n"
