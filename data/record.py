"""Records the services of this folder again: each under load, then under load and intruded.

    sudo .venv/bin/python data/record.py [NAME ...]

Needs root, eBPF and the packages that `make setup-tests` installs; replaces the recordings.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from baseline.demo.service import Service
from baseline.demo.services import SERVICES, running

NORMAL_SECONDS = 180
QUIET_SECONDS = 20
STEP_SECONDS = 3


def record(service: Service, part: str, seconds: int) -> subprocess.Popen[bytes]:
    out = Path(__file__).parent / service.name / part
    options = f"--cgroup={service.name}={service.cgroup.path} --duration={seconds}s --out={out}"
    return subprocess.Popen(
        [sys.executable, "-m", "baseline", "record", "--force", *options.split()]
    )


def finish(recorder: subprocess.Popen[bytes]) -> None:
    if recorder.wait():
        sys.exit(recorder.returncode)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SERVICES)}")
    for name in parser.parse_args().names or SERVICES:
        with running(name) as service, service.under_load():
            finish(record(service, "normal", NORMAL_SECONDS))
            recorder = record(service, "intruded", QUIET_SECONDS + 5 * STEP_SECONDS)
            time.sleep(QUIET_SECONDS)
            with service.intrusion() as steps:
                for step in steps:
                    print(f"The intruder {step.title}")
                    step.take()
                    time.sleep(STEP_SECONDS)
            finish(recorder)


if __name__ == "__main__":
    main()
