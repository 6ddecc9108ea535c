"""``baseline demo``: the main job on a real service, or on recordings of one."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from baseline.cli.duration import seconds
from baseline.cli.output import require_output
from baseline.cli.progress import say
from baseline.demo.services import running
from baseline.errors import BaselineError
from baseline.kernel.doctor import examine
from baseline.resources import resource_directory

SERVICE = "nginx"
QUIET_SECONDS = 6
STEP_SECONDS = 3
START_SECONDS = 2


@click.command("demo", short_help="See it at work on a real nginx.")
@click.option(
    "--duration",
    type=seconds,
    default="30s",
    show_default=True,
    metavar="TIME",
    help="How long to learn.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="demo-output",
    show_default=True,
    metavar="DIR",
    help="Folder for the recording, the models, the Parquet and the picture.",
)
@click.option("--force", is_flag=True, help="Replace the folder if it exists.")
def command(duration: float, out: Path, force: bool) -> None:
    """See it at work: learn a real nginx under load, intrude into it, read the alerts.

    As root on a machine with eBPF, a real nginx is started in a cgroup of its own and driven, and
    an intruder comes in through a hole in one of its pages. Otherwise the same is done on
    recordings of such a run. Everything stays on this machine: the intruder's own server is
    on a loopback address.
    """
    require_output(out, force=force)
    out.mkdir(parents=True, exist_ok=True)
    missing = next((check for check in examine() if not check.ok), None)
    if missing:
        say(
            f"Showing recordings of a real run, because of what `baseline doctor` finds: "
            f"{missing.name}: {missing.detail}."
        )
        _on_recordings(out)
    else:
        _live(out, duration)
    _analyse(out)


def _live(out: Path, duration: float) -> None:
    with running(SERVICE) as service, service.under_load():
        say(f"{SERVICE} runs in the cgroup {service.cgroup.path} and has clients.")
        selector = f"--cgroup={SERVICE}={service.cgroup.path}"
        models = out / "models"
        _baseline("learn", selector, f"--duration={duration:g}s", f"--out={models}", "--force")
        with (
            _in_background("watch", selector, f"--models={models}"),
            _in_background("record", selector, f"--out={out / 'recording'}", "--force"),
        ):
            time.sleep(QUIET_SECONDS)
            with service.intrusion() as steps:
                for step in steps:
                    say(f"The intruder {step.title}.")
                    step.take()
                    time.sleep(STEP_SECONDS)


def _on_recordings(out: Path) -> None:
    recordings = resource_directory("data") / SERVICE
    _baseline("learn", f"--from={recordings / 'normal'}", f"--out={out / 'models'}", "--force")
    _baseline("watch", f"--from={recordings / 'intruded'}", f"--models={out / 'models'}")


def _analyse(out: Path) -> None:
    """What an analyst looks at: the recording of the intrusion, and what was learned before."""
    recording = out / "recording"
    if not recording.exists():
        recording = resource_directory("data") / SERVICE / "intruded"
    _baseline("export", recording, f"--out={out / 'parquet'}", "--force")
    picture = out / "learned.png"
    _baseline("inspect", out / "models" / SERVICE, f"--picture={picture}")


def _command_line(arguments: tuple[str | Path, ...]) -> list[str]:
    words = [str(argument) for argument in arguments]
    say("")
    say(f"$ baseline {' '.join(words)}")
    return [sys.executable, "-m", "baseline", *words]


def _baseline(*arguments: str | Path) -> None:
    """Run one command of ours, as the user would."""
    status = subprocess.run(_command_line(arguments), check=False).returncode
    if status:
        raise BaselineError(
            f"The demo ended early: that command ended with status {status}",
            "See its message above",
        )


@contextmanager
def _in_background(*arguments: str) -> Iterator[None]:
    """One command of ours that runs while the context lasts, its output on ours."""
    command = subprocess.Popen(_command_line(arguments))
    time.sleep(START_SECONDS)  # the first that starts gets the first sights
    try:
        yield
    finally:
        command.terminate()
        command.wait()
