"""Real services, learned, run by operations, then intruded into: what is told, how fast, and why.

    sudo .venv/bin/python benchmarks/range.py [--learn MINUTES] [--benign MINUTES] [--json FILE]
    .venv/bin/python benchmarks/range.py --report FILE

1. nginx with a dynamic page, redis, PostgreSQL, sshd, a JVM and a runc container run in cgroups of
   their own, under load that changes.
2. `baseline learn` learns them while operations do what they do in staging: reload, rotate logs,
   back up, run cron jobs, restart.
3. `baseline watch` watches them while operations do all of that again, and what learning has not
   seen: a new replica, and twice the load. Every alert is a false one.
4. Intruders play scenarios, one of each service at a time, each under a fresh `baseline watch`:
   through features of the service, and by a helper that is started inside its cgroup. What helpers
   do is played once more by implants that were inside before the watch began, so that their coming
   cannot be told, only what they do.
5. They play all twice more in quiet, recorded: what a scenario shows both times, but neither the
   models know nor the time between the scenarios shows, is what it does that is new. Only an alert
   that names something of it, or of volumes, is a detection.

Seconds are counted from the first new behaviour of a scenario, as far as that recording tells: its
windows are a fifth of a second. All targets are loopback addresses.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from ranges.intruder import Intruder, intruding
from ranges.judging import (
    Kind,
    Line,
    Scene,
    moment,
    new_items,
    outside,
    own_items,
    uncredited,
    verdict,
)
from ranges.operating import Operations, blamed
from ranges.playing import Round, in_quiet, rounds, watched
from ranges.reporting import Benign, Result, from_json, lines, to_json
from ranges.targets import KINDS, AnyTarget, second_replica, targets, under_load
from ranges.watching import Told, running, selecting

from baseline.durable import new_file
from baseline.errors import BaselineError
from baseline.model.budget import Budget
from baseline.model.score import Item
from baseline.model.storage import load_models
from baseline.recordings.reader import Recording

REPLICATED = ("nginx", "container")
GAP_SECONDS = 20
"""Mean time between two operations of a service."""
BUDGET = Budget(1, "hour")
"""What an hour of learning can vouch for, and half an hour of watching can count."""
UNLEARNED = ("a new replica", "twice the load")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Range:
    """Services under load, and what is done with them.

    Args:
        services: running.
        folder: where models and recordings go.
        budget: for ``baseline watch``.
        seed: of the chances.
    """

    def __init__(
        self, services: Sequence[AnyTarget], folder: Path, budget: Budget, seed: int
    ) -> None:
        self.services = services
        self.selectors = [target.selector for target in services]
        self.models = folder / "models"
        self._folder = folder
        self._budget = budget
        self._seed = seed
        self._watch_options = (f"--models={self.models}", f"--budget={budget}")

    def learn(self, minutes: float) -> str:
        """Learn the services while operations go on; returns what ``learn`` said."""
        operations = Operations(self.services, self._gap(minutes), self._seed)
        with operations.running():
            arguments = [
                *selecting(self.selectors),
                f"--duration={minutes * 60:.0f}s",
                f"--out={self.models}",
                f"--recording={self._folder / 'learned'}",
            ]
            with running("learn", *arguments) as learning:
                return learning.wait()

    def benign(self, minutes: float) -> Benign:
        """Watch the services while operations go on, with things that learning has not seen."""
        operations = Operations(self.services, self._gap(minutes), self._seed + 1)
        seconds = minutes * 60
        with running(
            "watch", *selecting(self.selectors), *self._watch_options, "--format=json"
        ) as watch:
            with operations.running():
                time.sleep(seconds / 4)
                self._have_replicas(operations, seconds / 4)
                time.sleep(seconds / 8)
                self._double(operations, seconds / 4)
                time.sleep(seconds / 8)
            watch.end()
            keep(self._folder / "benign.json", [line._asdict() for line in watch.told])
            keep(
                self._folder / "operations.json", [each._asdict() for each in operations.performed]
            )
        return Benign(
            minutes=minutes,
            hours=seconds * len(self.services) / 3600,
            budget=str(self._budget),
            budgeted=self._budget.per_second * seconds * len(self.services),
            lines=false_alerts(watch.told, operations),
            operations=operations.counted(),
            failed=operations.counted(failed=True),
            unlearned=UNLEARNED,
        )

    def _have_replicas(self, operations: Operations, seconds: float) -> None:
        """Second replicas for a while."""
        with ExitStack() as stack:
            for target in self.services:
                if target.name in REPLICATED:
                    other = second_replica(target, seconds + 60, self._seed + 2)
                    stack.enter_context(operations.lasting(target.name, UNLEARNED[0], other))
            time.sleep(seconds)

    def _double(self, operations: Operations, seconds: float) -> None:
        """Twice as many clients for a while."""
        with ExitStack() as stack:
            for target in self.services:
                other = under_load(target, seconds + 60, self._seed + 3)
                stack.enter_context(operations.lasting(target.name, UNLEARNED[1], other))
            time.sleep(seconds)

    def play(
        self, all_rounds: Sequence[Round], intruder: Intruder
    ) -> tuple[list[Scene], list[Told]]:
        """Play all scenarios under watch; returns them and all that was told."""
        settled = {t for played in all_rounds for t, step in played if step.kind == Kind.IMPLANT}
        for target in settled:
            intruder.settle(target.name, target.implant(intruder))
        scenes: list[Scene] = []
        told: list[Told] = []
        for number, played in enumerate(all_rounds, start=1):
            say(f"Round {number} of {len(all_rounds)}")
            of_round = watched(played, self.selectors, self._watch_options)
            scenes += of_round[0]
            told += of_round[1]
        keep(self._folder / "told.json", [line._asdict() for line in told])
        keep(self._folder / "scenes.json", [scene._asdict() for scene in scenes])
        return scenes, told

    def novelties(
        self, all_rounds: Sequence[Round]
    ) -> dict[tuple[str, str], dict[Item, float] | None]:
        """Play all scenarios in quiet; (service, name) -> what it did that was new, and when.

        ``None`` where that is not known, because it had its effect less than twice.
        """
        recording = self._folder / "quiet"
        scenes = in_quiet(all_rounds, self.selectors, recording)
        models = load_models(self.models)
        windows = defaultdict(list)
        for window in Recording(recording).windows():
            windows[window.workload].append(window)
        keep(self._folder / "quiet.json", [scene._asdict() for scene in scenes])
        plays = defaultdict(list)
        for scene in scenes:
            if scene.failure:
                say(f"In quiet, {scene.service}: {scene.name}: {scene.failure}")
                continue
            knows = models[scene.service].knows
            new = new_items(scene, windows[scene.service], scenes, knows)
            plays[scene.service, scene.name].append(new)
        return {which: own_items(new) for which, new in plays.items()}

    @staticmethod
    def _gap(minutes: float) -> float:
        """Short enough for every operation to come several times."""
        return min(GAP_SECONDS, minutes * 60 / 15)


def keep(path: Path, what: object) -> None:
    """Write down what is not in the result, for those who look for reasons."""
    path.write_text(json.dumps(what, indent=1))


def false_alerts(told: Sequence[Told], operations: Operations) -> list[Line]:
    """All lines of normal time, and the operations that they came with."""
    return [
        line._replace(during=blamed(operations.performed, line.service, moment(of.alert["time"])))
        for of in told
        for line in uncredited([of], told)
    ]


def run(
    names: list[str],
    folder: Path,
    *,
    learn: float,
    benign: float,
    budget: Budget,
    wanted: Sequence[str] = (),
    seed: int = 0,
) -> Result:
    """All of it.

    Args:
        names: of services.
        folder: where models and recordings go.
        learn: minutes to learn.
        benign: minutes of normal time to watch.
        budget: for ``baseline watch``.
        wanted: titles of the scenarios; all of them without any.
        seed: of the chances.

    Raises:
        BaselineError: something that is needed is missing, or a command failed.
    """
    with targets(names) as services, intruding() as intruder:
        all_rounds = rounds(services, intruder, wanted)
        range_ = Range(services, folder, budget, seed)
        with ExitStack() as load:
            for target in services:
                load.enter_context(under_load(target, (learn + benign) * 60 + 3600, seed))
            say(f"Learning for {learn:g} minutes")
            say(range_.learn(learn))
            say(f"Watching normal time for {benign:g} minutes")
            cost = range_.benign(benign)
            scenes, told = range_.play(all_rounds, intruder)
        say("Twice more in quiet")
        new = range_.novelties(all_rounds)
    verdicts = [
        verdict(scene, told, new.get((scene.service, scene.name)), scenes) for scene in scenes
    ]
    return Result(
        time.strftime("%Y-%m-%d", time.gmtime()),
        learn,
        sorted(verdicts, key=lambda v: names.index(v.service)),
        cost,
        outside(scenes, told),
    )


def end_in_order(_signal: int, _frame: FrameType | None) -> None:
    """Take away what runs, and once only."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + signal.SIGTERM)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--learn", type=float, default=60, metavar="MINUTES")
    parser.add_argument("--benign", type=float, default=30, metavar="MINUTES")
    parser.add_argument("--budget", type=Budget.parse, default=BUDGET, metavar="N/TIME")
    parser.add_argument("--services", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--scenarios", nargs="+", default=(), metavar="TITLE")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for models and recordings")
    parser.add_argument("--report", type=Path, metavar="FILE", help="print what --json has written")
    arguments = parser.parse_args()
    if arguments.report:
        try:
            print(*lines(from_json(json.loads(arguments.report.read_text()))), sep="\n")
        except (OSError, ValueError, KeyError, TypeError) as error:
            sys.exit(f"{arguments.report} holds no result of the range: {error!r}. Run it again.")
        return
    signal.signal(signal.SIGTERM, end_in_order)
    with ExitStack() as stack:
        folder = arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            result = run(
                arguments.services,
                folder,
                learn=arguments.learn,
                benign=arguments.benign,
                budget=arguments.budget,
                wanted=arguments.scenarios,
                seed=arguments.seed,
            )
        except BaselineError as error:
            sys.exit(str(error))
    stored = to_json(result)
    print(*lines(from_json(stored)), sep="\n")
    if arguments.json:
        with new_file(arguments.json) as file:
            file.write_text(json.dumps(stored, indent=2))
    if stored["not_judged"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
