"""``python -m baseline``."""

from baseline.cli.main import run

run()
