"""One part of the benchmark by itself, and what is noted of every run."""

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from baseline.errors import BaselineError

ROOT = Path(__file__).parents[2]
CPU_INFORMATION = Path("/proc/cpuinfo")


def this_run() -> dict[str, Any]:
    """When, on what and of which commit something is measured, to be asked before it is."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "load_average_before": os.getloadavg()[0],
        "commit": commit(),
        "machine": machine(),
    }


def machine() -> str:
    """What it is measured on, in a line."""
    information = CPU_INFORMATION.read_text()
    models = re.findall(r"^model name\s*: (.*)", information, re.M) or [platform.machine()]
    virtual = ", a virtual machine" if " hypervisor " in information else ""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    size = f"{os.cpu_count()} CPUs{virtual}, {memory:.0f} GiB"
    return f"{models[0]}, {size}, Linux {platform.release()}"


def commit() -> str:
    """Of the sources, with ``-dirty`` where they were changed; "not known" without git."""
    # Root asks, and the folder may be somebody else's.
    command = ["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "not known"
    return done.stdout.strip()


def end_in_order_on_sigterm() -> None:
    """Have SIGTERM end what the program started, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def run_alone(
    part: str, measure: Callable[..., dict[str, Any]], report: Callable[[dict[str, Any]], list[str]]
) -> None:
    """Measure one part, print its report, and write its JSON if asked to."""
    parser = argparse.ArgumentParser(description=f"What baseline costs: {part}.")
    parser.add_argument("--short", action="store_true", help="in 20 seconds, with loose results")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    end_in_order_on_sigterm()
    run = this_run()
    try:
        result = measure(short=arguments.short, say=print)
    except BaselineError as error:
        sys.exit(str(error))
    print("\n".join(report(result)))
    if arguments.json:
        everything = {"runs": {part: run}, part: result}
        arguments.json.write_text(json.dumps(everything, indent=2) + "\n")
