"""What was detected, what was new, and what the benign time cost."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np

from baseline.alerts.redacted import redacted_item
from baseline.model.score import Call, Item, Signal
from baseline.syscalls import calls_of
from baseline.window import Connection, Execution, Image, Window
from ranges.watching import Told

ROUNDING = 0.002
"""Seconds by which a time in an alert may be off: they are written in milliseconds."""


class Kind(StrEnum):
    """How an intruder does what a scenario is about."""

    WAY_IN = "way in"
    """Through features of the service."""
    HELPER = "helper"
    """By a program that is started inside for it, so that its coming can be told."""
    IMPLANT = "implant"
    """By one that was inside before the watch began, so that only what it does can be told."""


class Scene(NamedTuple):
    """One scenario as it was played.

    Attributes:
        name: what the intruder did.
        service: in which workload.
        began: when, in seconds since the epoch.
        until: when what came of it was no longer awaited.
        failure: why it had no effect; empty where it had.
        kind: as of :class:`ranges.target.Scenario`.
    """

    name: str
    service: str
    began: float
    until: float
    failure: str = ""
    kind: str = Kind.WAY_IN


class Line(NamedTuple):
    """A line that no scenario is credited with.

    Attributes:
        service: of which workload.
        bits: of its alert.
        explanation: its headline.
        alerts: how many it stands for: its own, and those that were held back before it.
        opened: it opened an incident, and is not more of one.
        during: the operation that it came with; empty for none.
    """

    service: str
    bits: float
    explanation: str
    alerts: int = 1
    opened: bool = True
    during: str = ""


class Verdict(NamedTuple):
    """What came of a scenario.

    Attributes:
        name, service: as of the scene.
        novel: whether it did anything, a program, a peer or an n-gram, that learning never saw;
            also where that is not known.
        detected: whether there was an alert that names something of it.
        signal: of the first such alert, as its lines have it; ``None`` without one.
        seconds: from its first new behaviour until that alert was read.
        bits: of it.
        explanation: its headline.
        failure: why nothing can be said.
        kind: as of the scene.
        novelty_known: it had its effect twice in quiet, so that what is new in it is known.
        watched: seconds from its begin until what came of it was no longer awaited.
        others: lines of its time and workload before that alert that are not put down to it.
    """

    name: str
    service: str
    novel: bool
    detected: bool
    signal: str | None = None
    seconds: float | None = None
    bits: float | None = None
    explanation: str | None = None
    failure: str = ""
    kind: str = Kind.WAY_IN
    novelty_known: bool = True
    watched: float = 0.0
    others: Sequence[Line] = ()


def is_detection(alert: dict[str, Any]) -> bool:
    """Whether a line tells of something: the end of an incident does not."""
    return bool(alert.get("event") != "closed")


def uncredited(told: Iterable[Told], among: Iterable[Told]) -> Iterator[Line]:
    """Lines, with the number of alerts that each stands for.

    Args:
        told: which lines.
        among: all that the same watches told, in order, of which ``told`` are some.
    """
    wanted = {id(line) for line in told}
    so_far: dict[str, int] = {}
    for line in among:
        alert = line.alert
        incident = alert.get("incident", alert.get("id", ""))
        count = alert.get("counts", {}).get("alerts", so_far.get(incident, 0) + 1)
        alerts = count - so_far.get(incident, 0)
        so_far[incident] = count
        if id(line) in wanted and (alerts or is_detection(alert)):
            yield Line(
                alert.get("workload", "all"),  # of tampering it has none
                alert.get("bits", alert.get("severity", 0.0)),
                alert["headline"],
                alerts,
                bool(alert.get("event", "opened") == "opened"),
            )


def of_scene(scene: Scene, told: Iterable[Told]) -> list[Told]:
    """The lines that may be about a scenario, in order.

    They are of the same workload, were read while it was awaited, and judge time that had not ended
    when the scenario began.
    """
    return [
        line
        for line in sorted(told, key=lambda line: line.read)
        if line.alert.get("workload") == scene.service
        and is_detection(line.alert)
        and scene.began <= line.read <= scene.until
        and moment(line.alert["time"]) >= scene.began - ROUNDING
    ]


def outside(scenes: Sequence[Scene], told: Sequence[Told]) -> list[Line]:
    """The lines that are about no scenario."""
    inside = {id(line) for scene in scenes for line in of_scene(scene, told)}
    return list(uncredited([line for line in told if id(line) not in inside], told))


def verdict(
    scene: Scene,
    told: Sequence[Told],
    new: Mapping[Item, float] | None,
    scenes: Sequence[Scene] = (),
) -> Verdict:
    """What came of a scenario.

    The first line counts that is about what the scenario did: it names something that is new in it,
    and was read no earlier than that can have been there; or it is about volumes, while no other
    scenario was played or where nothing of the scenario is new.

    Args:
        scene: as it was played under watch.
        told: what the watch told.
        new: what it did that was new, as :func:`own_items` says; ``None`` where that is not known.
        scenes: all that were played under watch.
    """
    judged = Verdict(
        scene.name,
        scene.service,
        novel=new is None or bool(new),
        detected=False,
        failure=scene.failure,
        kind=scene.kind,
        novelty_known=new is not None,
        watched=scene.until - scene.began,
    )
    if scene.failure:
        return judged
    lines = of_scene(scene, told)
    lead_in = min((new or {}).values(), default=0.0)
    line = next(
        (
            line
            for line in lines
            if line.read - scene.began >= lead_in and _is_about(line, scene, new, scenes)
        ),
        None,
    )
    before = lines[: lines.index(line)] if line else lines
    judged = judged._replace(others=tuple(uncredited(before, told)))
    if line is None:
        return judged
    return judged._replace(
        detected=True,
        signal=line.alert["signal"],
        seconds=line.read - scene.began - lead_in,
        bits=line.alert["bits"],
        explanation=line.alert["headline"],
    )


def _is_about(
    line: Told, scene: Scene, new: Mapping[Item, float] | None, scenes: Sequence[Scene]
) -> bool:
    if line.alert["signal"] == Signal.VOLUMES:
        return new == {} or not any(
            other.began <= line.read and scene.began <= other.until
            for other in scenes
            if other != scene
        )
    return bool(named(line.alert) & told_as(new or ()))


def told_as(new: Iterable[Item]) -> set[Item]:
    """What alerts may name of what is new: the items, and the calls in which n-grams end.

    A call that learning saw is no evidence, so only those that it never saw can be named.
    """
    ngrams = [item for item in new if isinstance(item, int)]
    calls = calls_of(np.array(ngrams, np.uint64)).tolist()
    return {*map(redacted_item, new), *map(Call, calls)}


def named(alert: dict[str, Any]) -> set[Item]:
    """The items that an alert names: its evidence, without volumes, and what that has no room for.

    The keys are those of docs/alert-format.md.
    """
    listed = [e["item"] for e in alert.get("evidence", ()) if e["signal"] != Signal.VOLUMES]
    calls = alert.get("unlisted_calls", ())
    ngrams = alert.get("unlisted_ngrams", ())
    return {*map(_item, [*listed, *calls]), *(int(ngram, 16) for ngram in ngrams)}


def _item(item: dict[str, Any]) -> Item:
    if "packed" in item:
        return int(item["packed"], 16)
    if "symbol" in item:
        return Call(item["symbol"])
    if "lineage" in item:
        return Execution(tuple(Image(**image) for image in item["lineage"]), item["uid"])
    return Connection(**item)


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


def own_items(plays: Sequence[Mapping[Item, float]]) -> dict[Item, float] | None:
    """What is new each time that a scenario is played.

    What only one play shows may be chance: a busy service never stops bringing new n-grams.

    Args:
        plays: of :func:`new_items`, those that had their effect.

    Returns:
        Item -> the least seconds after which it came; ``None`` of fewer than two plays.
    """
    if len(plays) < 2:
        return None
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
