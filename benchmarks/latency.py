"""How long from the system call to the line on stdout: new programs, peers and n-grams.

    sudo .venv/bin/python benchmarks/latency.py [--events N] [--minutes M] [--part idle]

Sixteen services do the same over and over (``programs/newcomer.c``), each a workload of its own, so
that no incident waits for another.  They are learned, then watched by ``baseline watch --format
json``.  At random times one of them starts a program that learning never saw, connects to a new
peer, or makes a system call that makes a new n-gram; all that it does around that was learned.  The
time runs from the clock that the service reads just before its ``execve``, ``connect`` or call, to
when the line that names the program, peer or n-gram was read.  First the machine is left alone,
then it is under load: for each processor one process that makes system calls without pause, and is
not watched.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from commands import Alerts, baseline
from costs.compiling import compiled
from costs.running import end_in_order_on_sigterm

from baseline.demo.cgroup import OwnCgroup
from baseline.errors import BaselineError
from baseline.model.storage import save_models
from baseline.model.workload_model import WorkloadModel
from baseline.recordings import Recording

CHANCE = random.Random(1)  # noqa: S311 - not for secrets
PARENT = "baseline-latency"
SERVICES = 16
BUDGET = "60/hour"
"""Of false alerts: with a smaller one the bar is higher, and what is told may be told later."""
PARTS = ("idle", "load")
KINDS = ("program", "peer", "n-gram")
LEARNED_PORT, NEW_PORTS = 9, 20_000
LEARNED_CALL, UNUSED_CALLS, UNUSED = 110, 340, 83
USUAL_PAUSE = 0.3
"""Seconds between two acts that were learned, of one service."""
LEFT_OUT = 3
"""Seconds at the beginning that are not learned from."""
PATIENCE = 3.0
"""Seconds after the last event in which its line may come."""


@dataclass
class Newcomer:
    """Something new, and when it happened.

    Attributes:
        kind: of ``KINDS``.
        service: number of the service that does it.
        act: what the service is told.
        name: what a line says that names it.
        began, told: nanoseconds of the monotonic clock; ``told`` is 0 for never.
    """

    kind: str
    service: int
    act: str
    name: str
    began: int = 0
    told: int = 0


class Service:
    """A service that does the same over and over, and what it is told to."""

    def __init__(self, cgroup: OwnCgroup, executable: Path) -> None:
        self.process = cgroup.start(
            [executable], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self._lock = threading.Lock()

    def act(self, what: str) -> int:
        """Have it do something; the moment just before."""
        with self._lock:
            self.process.stdin.write(f"{what}\n".encode())
            return int(self.process.stdout.readline())


class Usual:
    """What all services do, over and over."""

    def __init__(self, services: list[Service], known: Path) -> None:
        acts = (f"program {known}", f"peer 127.0.0.1 {LEARNED_PORT}", f"call {LEARNED_CALL}")
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._go_on, args=(service, acts)) for service in services
        ]
        for thread in self._threads:
            thread.start()

    def _go_on(self, service: Service, acts: tuple[str, ...]) -> None:
        while not self._ended.wait(CHANCE.uniform(0.5, 1.5) * USUAL_PAUSE):
            service.act(CHANCE.choice(acts))

    def end(self) -> None:
        """Stop."""
        self._ended.set()
        for thread in self._threads:
            thread.join()


def newcomers(each: int, folder: Path, program: Path, first: int) -> list[Newcomer]:
    """Distinct new things, so many of each kind: the kinds at random, the services in turn."""
    found: dict[str, list[Newcomer]] = {kind: [] for kind in KINDS}
    for number in range(first, first + each):
        service = number % SERVICES
        path = folder / f"new-{number}"
        os.link(program, path)
        port = NEW_PORTS + number
        call = UNUSED_CALLS + number // SERVICES % UNUSED
        for newcomer in (
            Newcomer("program", service, f"program {path}", str(path)),
            Newcomer(
                "peer", service, f"peer 127.0.{number // 250 + 7}.{number % 250} {port}", str(port)
            ),
            Newcomer("n-gram", service, f"call {call}", f"syscall_{call}"),
        ):
            found[newcomer.kind].append(newcomer)
    order = [kind for kind in KINDS for _ in range(each)]
    CHANCE.shuffle(order)
    return [found[kind].pop(0) for kind in order]


def names_in(alert: Mapping[str, Any]) -> Iterator[str]:
    """What a line names, in the words of :attr:`Newcomer.name`."""
    for evidence in alert.get("evidence", ()):
        item = evidence["item"]
        if "lineage" in item:
            yield item["lineage"][-1]["path"]
        elif "port" in item:
            yield str(item["port"])
        elif "syscalls" in item:
            yield from item["syscalls"][-1:]
        elif "symbol" in item:
            yield item["syscall"]


def told(alerts: Alerts) -> dict[tuple[str, str], int]:
    """(workload, name) -> when a line named it first, once the watch has ended."""
    first: dict[tuple[str, str], int] = {}
    for moment, alert in alerts.all():
        for name in names_in(alert):
            first.setdefault((alert["workload"], name), moment)
    return first


@contextmanager
def busy(executable: Path) -> Iterator[None]:
    """For each processor a process that makes system calls without pause."""
    load = [
        subprocess.Popen([executable, "getppid", "86400000", str(cpu)], stdout=subprocess.DEVNULL)
        for cpu in sorted(os.sched_getaffinity(0))
    ]
    try:
        yield
    finally:
        for process in load:
            process.kill()
            process.wait()


def learn(folder: Path, minutes: float) -> Path:
    """Models of all services: what one learned from all of them, under the name of each.

    The first seconds are left out.  Threads that run already have no calls behind them then, which
    is new of itself, and the bar for what is new later would be as high as that.
    """
    options = (f"--duration={minutes * 60:g}s", f"--out={folder / 'recording'}")
    with baseline("record", f"--cgroup=service={PARENT}/*", *options) as record:
        if record.wait():
            sys.exit("Recording failed")
    windows = list(Recording(folder / "recording").windows())
    began = min(window.start for window in windows)
    one = WorkloadModel.fit([w for w in windows if w.start >= began + LEFT_OUT * 10**9])
    parts = (one.architecture, one.training, one.signals, one.held_out)
    models = [WorkloadModel(f"s{number}", *parts) for number in range(SERVICES)]
    save_models(models, folder / "models")
    return folder / "models"


def measure(services: list[Service], models: Path, events: list[Newcomer], minutes: float) -> None:
    """Have everything happen at random times, and note when it was told."""
    selectors = [f"--cgroup=s{number}={PARENT}/s{number}" for number in range(SERVICES)]
    arguments = (*selectors, f"--models={models}", "--format=json", f"--budget={BUDGET}")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with baseline("watch", *arguments, **pipes) as watch:
        for line in watch.stderr:
            if line.startswith(f"Counting {PARENT}/s{SERVICES - 1} "):
                break
        talk = threading.Thread(target=watch.stderr.read)
        talk.start()
        alerts = Alerts(watch.stdout)
        time.sleep(5)
        began = time.monotonic()
        moments = sorted(CHANCE.uniform(0, minutes * 60) for _ in events)
        for moment, event in zip(moments, events, strict=True):
            time.sleep(max(began + moment - time.monotonic(), 0))
            event.began = services[event.service].act(event.act)
        time.sleep(PATIENCE)
        watch.terminate()
        talk.join()
        first = told(alerts)
    for event in events:
        event.told = first.get((f"s{event.service}", event.name), 0)


def table(events: list[Newcomer], learned: float) -> Iterator[str]:
    """The times in lines of 80 columns.

    Args:
        events: that happened.
        learned: minutes.
    """
    yield f"learned for {learned:g} minutes, at a budget of {BUDGET}"
    yield f"{'milliseconds':12} {'median':>8} {'90 %':>8} {'99 %':>8} {'max':>8}   events  missed"
    for kind in (*KINDS, "all"):
        own = [event for event in events if kind in (event.kind, "all")]
        took = np.array([(e.told - e.began) / 1e6 for e in own if e.told])
        missed = len(own) - len(took)
        figures = np.quantile(took, [0.5, 0.9, 0.99, 1]) if len(took) else [np.nan] * 4
        columns = " ".join(f"{figure:8.2f}" for figure in figures)
        yield f"{kind:12} {columns}   {len(own):6}  {missed:6}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=200, help="of each kind, in each part")
    parser.add_argument("--minutes", type=float, default=4, help="of each part")
    parser.add_argument("--learn", type=float, default=2, metavar="MINUTES")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one")
    parser.add_argument("--json", type=Path, help="file for every single time")
    arguments = parser.parse_args()
    end_in_order_on_sigterm()
    try:
        everything = run(arguments)
    except BaselineError as error:
        sys.exit(str(error))
    if arguments.json:
        arguments.json.write_text(json.dumps(everything, indent=1) + "\n")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Learn and measure; every event of each part."""
    everything: dict[str, Any] = {"budget": BUDGET, "learned_minutes": arguments.learn}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        newcomer = compiled("newcomer", folder)
        syscall_loop = compiled("syscall_loop", folder)
        known = folder / "known"
        known.write_bytes(Path("/bin/true").read_bytes())
        known.chmod(0o755)
        cgroups = [
            stack.enter_context(OwnCgroup(f"{PARENT}/s{number}")) for number in range(SERVICES)
        ]
        services = [Service(cgroup, newcomer) for cgroup in cgroups]
        usual = Usual(services, known)
        stack.callback(usual.end)
        models = learn(folder, arguments.learn)
        for number, load in enumerate(arguments.part or PARTS):
            events = newcomers(arguments.events, folder, known, number * arguments.events)
            with busy(syscall_loop) if load != "idle" else ExitStack():
                before = os.getloadavg()[0]
                measure(services, models, events, arguments.minutes)
            print(f"{load}, load average {before:.1f} before and {os.getloadavg()[0]:.1f} after")
            print(*table(events, arguments.learn), sep="\n", flush=True)
            everything[load] = [vars(event) for event in events]
    return everything


if __name__ == "__main__":
    main()
