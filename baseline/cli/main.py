"""The command line: its list of commands, and the one door through which every error leaves.

Exit codes: 0 fine; 1 error; 2 wrong use; 3 anomalies, changes or incomplete models, where
``--fail-on`` asks for it; 129, 130 and 143 where SIGHUP, Ctrl-C or SIGTERM ended a command that had
nothing to keep, or that has judged but a part of what it was given.
"""

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
from click.core import ParameterSource

from baseline import __version__
from baseline.cli.settings import Settings, name_environment_variables, require_known_variables
from baseline.cli.stopping import answer_needless_hang_up, ending_signals
from baseline.cli.streams import for_terminal, takes_text
from baseline.errors import BaselineError

COMMANDS = {
    "learn": "Learn what each workload normally does.",
    "watch": "Tell what deviates from what was learned.",
    "top": "Show what workloads do, live.",
    "record": "Record what workloads do.",
    "export": "Write a recording or models as tidy Parquet.",
    "inspect": "Show what a model knows.",
    "diff": "Tell what changed from one model to another.",
    "merge": "Add up models of replicas, nodes and days.",
    "sign": "Vouch for models by a signature.",
    "accept": "Take what an alert told of for normal.",
    "backtest": "Count the alerts a recording would have raised.",
    "doctor": "Check what this machine can do.",
    "unload": "Remove everything left in the kernel.",
    "demo": "See it at work on a real nginx.",
}
"""Name and help in one line, in the order of ``baseline --help``.

The command is ``command`` in the module of the same name, which is imported when the command is
used: ``baseline --help`` is fast, and no command pays for what another one imports.
"""

_LAST_SECONDS = 5.0
"""How long an error waits for somebody to read it."""


class LazyGroup(click.Group):
    """Commands that are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, with its environment variables and settings."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"baseline.cli.{cmd_name}").command
        if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
            # It ended the process at once as long as there was nothing to clean up.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        _ask_nothing_of_paths(command)
        name_environment_variables(command)
        require_known_variables(command)
        if isinstance(ctx.obj, Settings):
            ctx.default_map = {cmd_name: ctx.obj.defaults_for(command)}
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in the help."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _ask_nothing_of_paths(command: click.Command) -> None:
    """Keep click from looking whether a path may be read, for which it would be a wrong option.

    It is none: rights can be mended.  Whoever opens the path says what may not be read, and how.
    """
    for parameter in command.params:
        if isinstance(parameter.type, click.Path):
            parameter.type.readable = False


def _read_settings(ctx: click.Context, _: click.Parameter, file: Path | None) -> None:
    ctx.obj = Settings.read(file, known=COMMANDS)


def _remember_debug(_: click.Context, __: click.Parameter, debug: bool) -> None:
    os.environ["BASELINE_DEBUG"] = "1" if debug else ""


@click.group(
    cls=LazyGroup,
    context_settings={
        "auto_envvar_prefix": "BASELINE",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 80,
    },
    epilog="""\b
Learn a service for ten minutes, then watch it:
  baseline learn --cgroup system.slice/nginx.service \\
    --duration 10m --out models
  baseline watch --cgroup system.slice/nginx.service --models models

\b
Options come from, the first that has them:
  the command line
  the environment  BASELINE_WATCH_FORMAT=json for 'watch --format json'
  a TOML file      [watch]
                   format = "json"

\b
Exit code: 0 fine, 1 error, 2 wrong use,
           3 anomalies, changes, incomplete models (--fail-on),
           129, 130, 143 cut short by SIGHUP, Ctrl-C, SIGTERM""",
)
@click.version_option(__version__, prog_name="baseline")
@click.option(
    "--config",
    type=click.Path(readable=False, path_type=Path),
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=_read_settings,
    help="Settings in TOML; otherwise the first there is of ~/.config/baseline/config.toml and "
    "/etc/baseline/config.toml.",
)
@click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    callback=_remember_debug,
    help="Show where in the program an error arose.",
)
def main() -> None:
    """Learn what containers and services normally do, and say when they do not."""


def run() -> NoReturn:
    """Run the command that the process was started with, and end the process."""
    # Whatever we write tells what runs here: for our user's eyes only.
    os.umask(0o077)
    # A stream that was closed before we began is one that nobody reads.
    nobody = Path(os.devnull)
    sys.stdout = sys.stdout or nobody.open("w")
    sys.stderr = sys.stderr or nobody.open("w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that lacks a character must not end a watch.
            stream.reconfigure(errors="backslashreplace")
    for size in ("COLUMNS", "LINES"):
        if os.environ.get(size) == "0":  # which means that it is not known: rich would obey it
            del os.environ[size]
    for number in ending_signals():
        if number != signal.SIGINT:
            signal.signal(number, _terminate)
    answer_needless_hang_up()
    # NumPy and pyarrow would start threads when they are imported, which would keep the rights that
    # a command gives up later (baseline.kernel.rights).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")
    # Its own allocator keeps what a model took while it was read.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    code = exit_code(sys.argv[1:])
    # All is done: what is left of Python would answer Ctrl-C with a traceback.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _drop_unwritable_output()
    sys.exit(code)


def exit_code(arguments: Sequence[str]) -> int:
    """Run one command; errors become a message on stderr and an exit code here and nowhere else."""
    try:
        return int(main.main(arguments, prog_name="baseline", standalone_mode=False) or 0)
    except click.ClickException as error:
        if isinstance(error, click.BadParameter):
            _name_place(error)
        error.show()
        return error.exit_code
    except BaselineError as error:
        _show(str(error))
        return error.exit_code
    except click.Abort:
        return 128 + signal.SIGINT
    except Exception as error:
        _show(
            f"{type(error).__name__}: {error}. This is a bug; run again as 'baseline --debug ...' "
            "for the traceback and report it."
        )
        return 1


def _name_place(error: click.BadParameter) -> None:
    """Blame a value on where it was written, which need not be the command line."""
    if error.ctx is None or error.param is None or error.param.name is None:
        return
    source = error.ctx.get_parameter_source(error.param.name)
    if source == ParameterSource.ENVIRONMENT:
        error.param_hint = str(error.param.envvar)
    elif source == ParameterSource.DEFAULT_MAP:
        option = max(error.param.opts, key=len).lstrip("-")
        error.param_hint = f"{option} in [{error.ctx.info_name}] of the settings file"


def _drop_unwritable_output() -> None:
    """Keep Python from trying once more at its end, with another message and exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _show(message: str) -> None:
    if not takes_text(sys.stderr, _LAST_SECONDS):
        return
    with suppress(OSError):  # nobody listens
        if os.environ.get("BASELINE_DEBUG"):
            traceback.print_exc()
        click.echo(for_terminal(f"Error: {message}", sys.stderr), err=True)


def _terminate(number: int, _: FrameType | None) -> NoReturn:
    """Leave by way of every ``finally`` and context manager, so that nothing is left behind."""
    raise SystemExit(128 + number)
