"""What counting costs: nanoseconds a system call, side by side, in interleaved rounds.

    sudo .venv/bin/python benchmarks/overhead.py [--rounds N] [--json FILE]

Columns: no program at all; an empty program on the same hook, which is the floor for anything that
looks at every system call; baseline on a cgroup that it counts; baseline on one that it does not.
The absolute figures are this machine's; trust the differences within one run.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from baseline.demo.cgroup import OwnCgroup
from baseline.kernel.collector import Collector, loader_python
from baseline.kernel.source import KernelSource
from baseline.resources import resource_directory
from baseline.workloads.cgroups import CgroupSelector, cgroup2_mount

LOADS = ("getppid", "mix", "long_tail")
MILLISECONDS = 300
CPU = 1

# BCC lives in the system's Python, so the empty program is attached by a process of that.
EMPTY_PROGRAM = """
import sys
from bcc import BPF
program = BPF(text="RAW_TRACEPOINT_PROBE(sys_enter) { return 0; }")
print("attached", flush=True)
sys.stdin.read()
"""


@contextmanager
def empty_program() -> Iterator[None]:
    stubs = resource_directory("bpf") / "stubs"
    with subprocess.Popen(
        [loader_python(), "-c", EMPTY_PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"BCC_KERNEL_SOURCE": str(stubs)},
    ) as process:
        if process.stdout is None or process.stdout.readline() != b"attached\n":
            sys.exit("The empty program could not be attached")
        try:
            yield
        finally:
            process.terminate()


def measure(cgroup: OwnCgroup, loop: Path) -> dict[str, float]:
    times = {}
    for load in LOADS:
        process = cgroup.start([loop, load, str(MILLISECONDS), str(CPU)], stdout=subprocess.PIPE)
        output, _ = process.communicate()
        times[load] = float(output.split()[0])
    return times


def one_round(cgroup: OwnCgroup, loop: Path) -> dict[str, dict[str, float]]:
    times = {"none": measure(cgroup, loop)}
    with empty_program():
        times["empty"] = measure(cgroup, loop)
    tracked = CgroupSelector.parse(cgroup.path, cgroup2_mount())
    with KernelSource([tracked], say=lambda _: None):
        times["baseline"] = measure(cgroup, loop)
    with Collector(cgroup2_mount()):
        times["untracked"] = measure(cgroup, loop)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        loop = folder / "syscall_loop"
        source = Path(__file__).parent / "programs" / "syscall_loop.c"
        subprocess.run(["cc", "-O2", "-o", loop, source], check=True)
        cgroup = stack.enter_context(OwnCgroup("baseline-benchmark/loop"))
        rounds = [one_round(cgroup, loop) for _ in range(arguments.rounds)]

    medians = {
        load: {kind: statistics.median(times[kind][load] for times in rounds) for kind in rounds[0]}
        for load in LOADS
    }
    print(
        f"ns a system call, medians of {len(rounds)} interleaved rounds, Linux {platform.release()}"
    )
    print(f"{'':10} {'none':>8} {'empty':>8} {'baseline':>9} {'untracked':>10}   over empty")
    for load, times in medians.items():
        over = [
            statistics.median(r[kind][load] - r["empty"][load] for r in rounds)
            for kind in ("baseline", "untracked")
        ]
        print(
            f"{load:10} {times['none']:8.1f} {times['empty']:8.1f} {times['baseline']:9.1f} "
            f"{times['untracked']:10.1f}   {over[0]:+.1f} counted, {over[1]:+.1f} untracked"
        )
    if arguments.json:
        result = {
            "ns_per_syscall": medians,
            "rounds": len(rounds),
            "machine": f"{platform.processor() or platform.machine()}, Linux {platform.release()}",
        }
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
