"""What baseline costs, against the alternatives, side by side in interleaved rounds.

    sudo .venv/bin/python benchmarks/overhead.py [--json FILE] [--rounds N] [--only PART ...]

Parts: nanoseconds a system call; throughput and latency of real services; what would beat the
floor; the agent; how cost grows with the work; learning and analysis.  The columns are ways to look
at every system call:

    none        nothing
    empty       a program that does nothing on the hook that ours uses: the floor
    baseline    baseline on what it counts
    untracked   baseline on what it does not count
    bpftrace    @[comm, args->id] = count()
    stream      an event for each call through a ring buffer, read by a program in C
    displaced   baseline on threads that find their place in its table taken by another
    perf_trace  perf trace -s
    strace      strace -f -c

Each says what it saw, and the run ends with an error where that is less than was called.  The
absolute figures are this machine's; trust what is compared within one run.  All takes about 40
minutes on two CPUs, ``--short`` a minute with few rounds.  `scripts/write-overhead-docs` makes
docs/overhead.md of the JSON.
"""

import argparse
import importlib
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from costs.running import end_in_order_on_sigterm, this_run

from baseline.errors import BaselineError

IN_ROUNDS = ("syscalls", "services", "floor")
PARTS = (*IN_ROUNDS, "agent", "scaling", "analysis")
VULNERABILITIES = Path("/sys/devices/system/cpu/vulnerabilities")


def mitigations() -> dict[str, str]:
    """What the kernel does against faults of the processor, which makes system calls dearer."""
    states = {path.name: path.read_text().strip() for path in sorted(VULNERABILITIES.iterdir())}
    return {name: state for name, state in states.items() if state != "Not affected"}


def measured(
    part: str, arguments: argparse.Namespace, say: Callable[[str], None]
) -> dict[str, Any]:
    """One part of the result, and as a table on standard output."""
    module = importlib.import_module(f"costs.{part}")
    if part in IN_ROUNDS:
        result = module.measure(rounds=arguments.rounds, short=arguments.short, say=say)
        lines = module.report(result)
    else:
        result = {part: module.measure(short=arguments.short, say=say)}
        lines = module.report(result[part])
    print("", *lines, sep="\n", flush=True)
    return dict(result)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--rounds", type=int, metavar="N", help="instead of each part's own number")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument("--short", action="store_true", help="few rounds, for a regression test")
    arguments = parser.parse_args()
    end_in_order_on_sigterm()
    began = time.monotonic()

    def say(part: str, what: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {part}: {what}", file=sys.stderr, flush=True)

    run = this_run()
    result: dict[str, Any] = {"machine": run["machine"], "runs": {}, "mitigations": mitigations()}
    print(run["machine"])
    try:
        for part in arguments.only:
            result |= measured(part, arguments, partial(say, part))
            result["runs"][part] = run
            if arguments.json:
                arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    except BaselineError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
