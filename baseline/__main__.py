"""Where the program begins, as ``baseline`` and as ``python -m baseline``."""

import signal


def run() -> None:
    """Entry point of the ``baseline`` program.

    Until the command is there, which is when ``baseline.cli.main`` takes Ctrl-C over, it just ends
    the process: there is nothing to keep yet, and imports would answer with a traceback.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from baseline.cli.main import run as run_command

    run_command()


if __name__ == "__main__":
    run()
