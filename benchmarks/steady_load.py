"""Learns nginx, redis and PostgreSQL under load, watches them under the same load, then intrudes.

    sudo .venv/bin/python benchmarks/steady_load.py [--learn MINUTES] [--watch MINUTES]

Prints, for each service, how many alerts the steady stretch raised (there should be none), and for
each step of the intrusion which alert named it and how long after it began. The three services run
side by side, each in a cgroup of its own, learned and watched by one command.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from baseline.demo.service import Service
from baseline.demo.services import SERVICES, running

PARENT = "baseline-steady"
STEP_SECONDS = 3


def baseline(*arguments: str | Path, **options: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "baseline", *map(str, arguments)]
    return subprocess.Popen(command, text=True, **options)


class Alerts:
    """The alerts that a watch prints, each with the moment in which its line was read."""

    def __init__(self, watch: subprocess.Popen[str]) -> None:
        self.read: list[tuple[float, dict]] = []
        self._thread = threading.Thread(target=self._follow, args=(watch,))
        self._thread.start()

    def _follow(self, watch: subprocess.Popen[str]) -> None:
        for line in watch.stdout or ():
            self.read.append((time.time(), json.loads(line)))

    def join(self) -> None:
        """Wait until the watch has ended."""
        self._thread.join()


def intrude(service: Service, alerts: Alerts) -> None:
    with service.intrusion() as steps:
        for step in steps:
            began = time.time()
            step.take()
            time.sleep(STEP_SECONDS)
            told = [
                f"{seen - began:.2f} s  {alert['headline']}"
                for seen, alert in list(alerts.read)
                if alert["workload"] == service.name and seen >= began
            ]
            print(f"  {step.title}\n    {told[0] if told else 'no alert'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--learn", type=float, default=5, metavar="MINUTES")
    parser.add_argument("--watch", type=float, default=10, metavar="MINUTES")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        services = [stack.enter_context(running(name, PARENT)) for name in SERVICES]
        for service in services:
            stack.enter_context(service.under_load())
        selectors = [f"--cgroup={s.name}={s.cgroup.path}" for s in services]
        models = folder / "models"
        learn = baseline("learn", *selectors, f"--duration={arguments.learn}m", f"--out={models}")
        if learn.wait():
            sys.exit("Learning failed")
        watch = baseline(
            "watch", *selectors, f"--models={models}", "--format=json", stdout=subprocess.PIPE
        )
        alerts = Alerts(watch)
        time.sleep(arguments.watch * 60)
        steady = list(alerts.read)
        print(f"Alerts in {arguments.watch:g} minutes of the load that was learned")
        for service in services:
            own = [alert for _, alert in steady if alert["workload"] == service.name]
            print(f"  {service.name:10} {len(own)}")
            for alert in own:
                print(
                    f"    {alert['bits']:.1f} of {alert['threshold']:.1f} bits: {alert['headline']}"
                )
        for service in services:
            print(f"Intrusion into {service.name}: seconds from the step to the alert")
            intrude(service, alerts)
        watch.terminate()
        watch.wait()
        alerts.join()


if __name__ == "__main__":
    main()
