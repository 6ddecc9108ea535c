"""One part of the benchmark by itself."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def run_alone(
    part: str, measure: Callable[..., dict[str, Any]], report: Callable[[dict[str, Any]], list[str]]
) -> None:
    """Measure one part, print its report, and write its JSON if asked to."""
    parser = argparse.ArgumentParser(description=f"What baseline costs: {part}.")
    parser.add_argument("--short", action="store_true", help="in 20 seconds, with loose results")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    result = measure(short=arguments.short, say=print)
    print("\n".join(report(result)))
    if arguments.json:
        arguments.json.write_text(json.dumps({part: result}, indent=2) + "\n")
