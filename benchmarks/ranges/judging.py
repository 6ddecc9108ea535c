"""What was detected, what was new, and what the benign time cost."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from baseline.model.score import Item
from baseline.window import Window
from ranges.watching import Told

ROUNDING = 0.002
"""Seconds by which a time in an alert may be off: they are written in milliseconds."""


class Scene(NamedTuple):
    """One scenario as it was played.

    Attributes:
        name: what the intruder did.
        service: in which workload.
        began: when, in seconds since the epoch.
        until: when what came of it was no longer awaited.
        failure: why it had no effect; empty where it had.
        resident: as of :class:`ranges.target.Scenario`.
    """

    name: str
    service: str
    began: float
    until: float
    failure: str = ""
    resident: bool = False


class Verdict(NamedTuple):
    """What came of a scenario.

    Attributes:
        name, service: as of the scene.
        novel: whether it did anything, a program, a peer or an n-gram, that learning never saw.
        detected: whether there was an alert.
        signal: of the first alert, as its lines have it; empty without one.
        seconds: from its first new behaviour until that alert was read.
        bits: of it.
        explanation: its headline.
        failure: why nothing can be said.
        resident: as of the scene.
    """

    name: str
    service: str
    novel: bool
    detected: bool
    signal: str = ""
    seconds: float | None = None
    bits: float | None = None
    explanation: str = ""
    failure: str = ""
    resident: bool = False


def is_detection(alert: dict[str, Any]) -> bool:
    """Whether a line tells of something: the end of an incident does not."""
    return bool(alert.get("event") != "closed")


def is_another(alert: dict[str, Any]) -> bool:
    """Whether a line tells of something else than those before: more of an incident does not."""
    return bool(alert.get("event", "opened") == "opened")


def first_alert(scene: Scene, told: Iterable[Told]) -> Told | None:
    """The first line about a scenario.

    It is of the same workload, was read while it was awaited, and judges time that had not ended
    when the scenario began.
    """
    return next(
        (
            line
            for line in sorted(told, key=lambda line: line.read)
            if line.alert["workload"] == scene.service
            and is_detection(line.alert)
            and scene.began <= line.read <= scene.until
            and moment(line.alert["time"]) >= scene.began - ROUNDING
        ),
        None,
    )


def verdict(scene: Scene, told: Iterable[Told], new: Mapping[Item, float]) -> Verdict:
    """What came of a scenario.

    Args:
        scene: as it was played under watch.
        told: what the watch told.
        new: what it did that was new, as :func:`new_items` says.
    """
    novel = bool(new)
    lead_in = min(new.values(), default=0.0)
    line = first_alert(scene, told)
    if line is None or scene.failure:
        missed = Verdict(scene.name, scene.service, novel, detected=False)
        return missed._replace(failure=scene.failure, resident=scene.resident)
    return Verdict(
        scene.name,
        scene.service,
        novel,
        detected=True,
        resident=scene.resident,
        signal=line.alert["signal"],
        seconds=max(line.read - scene.began - lead_in, 0.0),
        bits=line.alert["bits"],
        explanation=line.alert["headline"],
    )


def new_items(
    scene: Scene,
    windows: Sequence[Window],
    scenes: Sequence[Scene],
    knows: Callable[[Item], bool],
) -> dict[Item, float]:
    """What a scenario did that learning never saw.

    Args:
        scene: one of the scenes.
        windows: of its workload, recorded while nobody used the service but the intruder and, in
            between, a few ordinary clients; in order of time.
        scenes: all that were played in that time.
        knows: whether learning saw an item.

    Returns:
        Unknown items of the windows that the scene has a part in, without those that occur when
        no scene of the workload is played: item -> seconds from the begin of the scene to that of
        the first window that holds it, at least 0.
    """
    of_service = [other for other in scenes if other.service == scene.service]
    ordinary = {
        item
        for window in windows
        if not any(overlaps(other, window) for other in of_service)
        for item in items(window)
    }
    found: dict[Item, float] = {}
    for window in windows:
        if overlaps(scene, window):
            for item in items(window):
                if item not in ordinary and not knows(item):
                    found.setdefault(item, max(window.start / 1e9 - scene.began, 0.0))
    return found


def own_items(plays: Sequence[Mapping[Item, float]]) -> dict[Item, float]:
    """What is new each time that a scenario is played.

    What only one play shows may be chance: a busy service never stops bringing new n-grams.

    Args:
        plays: of :func:`new_items`, at least one.

    Returns:
        Item -> the least seconds after which it came.
    """
    common = set.intersection(*(set(play) for play in plays))
    return {item: min(play[item] for play in plays) for item in common}


def overlaps(scene: Scene, window: Window) -> bool:
    """Whether a window holds part of the time of a scene."""
    return window.start < scene.until * 1e9 and scene.began * 1e9 < window.end


def items(window: Window) -> Iterable[Item]:
    """All that a window holds."""
    yield from window.executions
    yield from window.connections
    yield from window.ngrams.ngrams.tolist()


def moment(time: str) -> float:
    """Seconds since the epoch."""
    return datetime.fromisoformat(time).timestamp()
