"""Learns nginx, redis and PostgreSQL under load, watches them under the same load, then intrudes.

    sudo .venv/bin/python benchmarks/steady_load.py [--learn MINUTES] [--watch MINUTES]

Prints, for each service, how many alerts the steady stretch raised (there should be none), and for
each step of the intrusion which alert named it and how long after it began. The three services run
side by side, each in a cgroup of its own, learned and watched by one command.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from commands import Alerts, baseline
from costs.running import end_in_order_on_sigterm

from baseline.demo.service import Service
from baseline.demo.services import SERVICES, running
from baseline.errors import BaselineError

PARENT = "baseline-steady"
STEP_SECONDS = 3


def intrude(service: Service, alerts: Alerts) -> None:
    with service.intrusion() as steps:
        for step in steps:
            began = time.monotonic_ns()
            step.take()
            time.sleep(STEP_SECONDS)
            told = [
                f"{(seen - began) / 1e9:.2f} s  {alert['headline']}"
                for seen, alert in alerts.until_now()
                if alert["workload"] == service.name and seen >= began
            ]
            print(f"  {step.title}\n    {told[0] if told else 'no alert'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--learn", type=float, default=5, metavar="MINUTES")
    parser.add_argument("--watch", type=float, default=10, metavar="MINUTES")
    arguments = parser.parse_args()
    end_in_order_on_sigterm()
    try:
        run(arguments.learn, arguments.watch)
    except BaselineError as error:
        sys.exit(str(error))


def run(learn_minutes: float, watch_minutes: float) -> None:
    """Learn, watch, intrude, and print what was told."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        services = [stack.enter_context(running(name, PARENT)) for name in SERVICES]
        for service in services:
            stack.enter_context(service.under_load())
        selectors = [f"--cgroup={s.name}={s.cgroup.path}" for s in services]
        models = folder / "models"
        duration = f"--duration={learn_minutes}m"
        with baseline("learn", *selectors, duration, f"--out={models}") as learn:
            if learn.wait():
                sys.exit("Learning failed")
        watch = stack.enter_context(
            baseline(
                "watch", *selectors, f"--models={models}", "--format=json", stdout=subprocess.PIPE
            )
        )
        alerts = Alerts(watch.stdout)
        time.sleep(watch_minutes * 60)
        steady = alerts.until_now()
        print(f"Alerts in {watch_minutes:g} minutes of the load that was learned")
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


if __name__ == "__main__":
    main()
