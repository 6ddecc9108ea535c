"""Scenarios, played: in rounds of one for each service, under load and watched, then in quiet."""

import contextlib
import random
import threading
import time
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from baseline.errors import UsageError
from ranges.intruder import Intruder
from ranges.judging import Scene
from ranges.target import Scenario
from ranges.targets import AnyTarget
from ranges.watching import Told, running, selecting

SETTLING_SECONDS = 4
"""Of a fresh watch, before anything happens."""
AWAITED_SECONDS = 4
"""After a scenario, for its alert."""
CALM_SECONDS = 2
"""Between two scenarios that are played in quiet."""
ORDINARY_REQUESTS = 6
INTERVAL = "--interval=0.2s"

Round = Sequence[tuple[AnyTarget, Scenario]]


def rounds(
    targets: Sequence[AnyTarget], intruder: Intruder, wanted: Sequence[str] = ()
) -> list[Round]:
    """The scenarios of all services, one of each at a time.

    Args:
        targets: the services.
        intruder: who plays.
        wanted: titles of the scenarios; all of them without any.

    Raises:
        UsageError: there is no such scenario.
    """
    columns = [[(target, step) for step in target.scenarios(intruder)] for target in targets]
    titles = {step.title for column in columns for _, step in column}
    for title in wanted:
        if title not in titles:
            raise UsageError(f"There is no scenario {title!r}", f"Choose of {sorted(titles)}")
    columns = [
        [play for play in column if not wanted or play[1].title in wanted] for column in columns
    ]
    return [[play for play in row if play] for row in zip_longest(*columns)]


def watched(
    played: Round, selectors: Sequence[str], options: Sequence[str | Path]
) -> tuple[list[Scene], list[Told]]:
    """Play a round under a fresh watch, which has told of nothing before.

    Args:
        played: the round.
        selectors: of all workloads.
        options: for ``baseline watch``.

    Returns:
        What was played, and what was told.
    """
    with running("watch", *selecting(selectors), *options, "--format=json") as watch:
        time.sleep(SETTLING_SECONDS)
        scenes = _play(played, AWAITED_SECONDS)
        watch.end()
        return scenes, watch.told


def in_quiet(all_rounds: Sequence[Round], selectors: Sequence[str], recording: Path) -> list[Scene]:
    """Play all rounds twice more, recorded, while nobody else uses the services."""
    scenes: list[Scene] = []
    with running("record", *selecting(selectors), INTERVAL, f"--out={recording}") as record:
        for played in [*all_rounds, *all_rounds]:
            time.sleep(CALM_SECONDS)
            for target, _ in played:
                _use(target)
            time.sleep(CALM_SECONDS)
            scenes += _play(played, 1)
        time.sleep(CALM_SECONDS)
        record.end()
    return scenes


def _play(played: Round, awaited: float) -> list[Scene]:
    scenes: list[Scene] = []

    def play(target: AnyTarget, step: Scenario) -> None:
        began = time.time()
        failure = ""
        try:
            step.take()
        except Exception as error:  # whatever it is, the scene must not vanish
            failure = str(error) or repr(error)
        until = time.time() + awaited
        scenes.append(Scene(step.title, target.name, began, until, failure, step.kind))

    threads = [threading.Thread(target=play, args=each) for each in played]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(awaited)
    return scenes


def _use(target: AnyTarget) -> None:
    """A few ordinary requests."""
    choose = random.Random(0)  # noqa: S311 - not for secrets
    for _ in range(ORDINARY_REQUESTS):
        with (
            contextlib.suppress(*target.client.failures),
            contextlib.closing(target.client(target.server, choose)) as client,
        ):
            client.usual(0.5)
