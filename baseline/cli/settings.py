"""Options by environment variable and by TOML file.

One rule for both: an option is named as on the command line.  ``watch --fail-on anomaly`` is
``BASELINE_WATCH_FAIL_ON=anomaly`` in the environment, and in the file::

    [watch]
    fail-on = "anomaly"
    cgroup = ["demo/*", "web=system.slice/nginx.service"]

In a variable several values stand side by side: paths with colons between them
(``BASELINE_WATCH_FROM=monday:tuesday``), anything else with blanks.
"""

import os
import tomllib
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import click
import platformdirs

from baseline.errors import UsageError

SYSTEM_FILE = Path("/etc/baseline/config.toml")

_MAX_BYTES = 1 << 20


def name_environment_variables(command: click.Command) -> None:
    """Name each option's variable after the option (click would take its Python parameter)."""
    for name, option in _options(command).items():
        option.envvar = _variable(command, name)


def require_known_variables(command: click.Command) -> None:
    """Refuse variables that would be options of a command if they were spelt otherwise.

    Raises:
        UsageError: there is one.
    """
    known = [_variable(command, name) for name in _options(command)]
    for name in sorted(os.environ):
        if name.startswith(_variable(command, "")) and name not in known:
            meant = get_close_matches(name, known, n=1) or known
            raise UsageError(
                f"{name} in the environment is no option of {command.name}",
                f"Use {', '.join(meant)}",
            )


def _variable(command: click.Command, option: str) -> str:
    return f"BASELINE_{command.name}_{option}".upper().replace("-", "_")


@dataclass(frozen=True)
class Settings:
    """What a settings file says, one table for each command.

    Attributes:
        file: where it was read; ``None`` where there is no file.
        tables: command -> option -> value.
    """

    file: Path | None = None
    tables: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path | None, known: Collection[str]) -> "Settings":
        """Read the file that the user named, or else their own, or else the machine's.

        Args:
            file: what ``--config`` gave.
            known: names of the commands.

        Raises:
            UsageError: the file cannot be read, is no TOML, or has a table of no command.
        """
        if file is None:
            usual = (platformdirs.user_config_path("baseline") / "config.toml", SYSTEM_FILE)
            file = next(filter(_is_file, usual), None)
            if file is None:
                return cls()
        try:
            with file.open("rb") as opened:
                content = opened.read(_MAX_BYTES + 1)
        except OSError as cause:
            raise UsageError(
                f"The settings file {file} cannot be read: {cause.strerror}",
                "Give --config a file that you may read",
            ) from cause
        if len(content) > _MAX_BYTES:
            raise UsageError(f"The settings file {file} is too large", "Keep it below 1 MiB")
        try:
            tables = tomllib.loads(content.decode())
        except (ValueError, RecursionError) as cause:  # TOMLDecodeError, UnicodeDecodeError
            raise UsageError(
                f"The settings file {file} is not TOML: {cause!s:.200}", "Correct it there"
            ) from cause
        for name, table in tables.items():
            if name not in known or not isinstance(table, dict):
                raise UsageError(
                    f"The settings file {file} has {name!r} where a table of a command belongs",
                    f"Use [{'], ['.join(known)}]",
                )
        return cls(file, tables)

    def defaults_for(self, command: click.Command) -> dict[str, object]:
        """Defaults of a command's parameters, by the names that click knows them by.

        Raises:
            UsageError: a key is no option of the command, or its value no text, number, truth
                value or list.
        """
        options = _options(command)
        defaults: dict[str, object] = {}
        for name, value in self.tables.get(command.name or "", {}).items():
            where = f"{name!r} in [{command.name}] of the settings file {self.file}"
            if name not in options:
                raise UsageError(f"{where} is no option", f"Use {', '.join(options)}")
            many = options[name].multiple
            if isinstance(value, dict) or (isinstance(value, list) and not many):
                raise UsageError(f"{where} is not a single value", f"Write {name} = ...")
            defaults[options[name].name or ""] = (
                [value] if many and not isinstance(value, list) else value
            )
        return defaults


def _options(command: click.Command) -> dict[str, click.Option]:
    """A command's options by the name that users know: ``--fail-on`` is ``fail-on``."""
    options = [p for p in command.params if isinstance(p, click.Option)]
    return {max(option.opts, key=len).lstrip("-"): option for option in options}


def _is_file(path: Path) -> bool:
    """Whether there is such a file for us: the folder above, a service's HOME, may be closed."""
    with suppress(PermissionError):
        return path.is_file()
    return False
