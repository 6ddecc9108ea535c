"""From observations to alerts: what is anomalous, and has not been told already."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from baseline.alerts.alert import Alert, leading_evidence
from baseline.model.score import Item, Score, signal_of
from baseline.model.workload_model import WorkloadModel
from baseline.sighting import Observation, Process, Sighting
from baseline.window import NgramCounts, Signal, Window

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

REPEAT_AFTER = 600.0
"""Seconds after which an alert may tell the same again."""

REMEMBERED = 4096
"""Items of each kind remembered for a workload; beyond it the oldest are forgotten."""


@dataclass
class _Watched:
    """What is remembered of one workload, all of it bounded.

    Attributes:
        model: what was learned.
        reported: item -> when an alert told of it; the oldest first.
        processes: item that the model does not know -> who did it, from its first sight.
        waiting: (replica, signal) that raised an alert at first sight and now wait for the window.
        folded: anomalous windows since the last alert that held nothing new.
    """

    model: WorkloadModel
    reported: dict[Item, int] = field(default_factory=dict)
    processes: dict[Item, Process] = field(default_factory=dict)
    waiting: dict[tuple[str, Signal], None] = field(default_factory=dict)
    folded: int = 0


class Detector:
    """Judges observations by the models of their workloads, and says each thing once.

    An item that no learning saw, and that is surprising enough by itself, is an alert at its first
    sight, milliseconds after it happened.  Everything else is judged when its window is complete.
    A window is scored without what was reported during the last ``repeat_after`` seconds, so that
    an intruder's shell is one alert and not one a second, while anything else it does still adds
    up to the next; what this holds back is counted.

    First sights raise at most one alert for each replica and signal between two windows: a
    program that is new brings new system calls by the dozen, and the window lists them together.

    Time is that of the observations: replaying a recording gives the same alerts every time.

    Args:
        models: by workload.
        repeat_after: seconds.

    Attributes:
        windows, alerts, folded: how many there have been.
        judged: windows of workloads that have a model.
    """

    def __init__(
        self, models: Mapping[str, WorkloadModel], *, repeat_after: float = REPEAT_AFTER
    ) -> None:
        self.windows = 0
        self.judged = 0
        self.alerts = 0
        self.folded = 0
        self._watched = {name: _Watched(model) for name, model in models.items()}
        self._repeat_after = round(repeat_after * 1e9)
        self._without_model: dict[str, bool] = {}

    def observe(self, observation: Observation) -> Alert | None:
        """Judge what a source yielded.

        Returns:
            The alert that it gives rise to, if any.
        """
        watched = self._watched.get(observation.workload)
        if isinstance(observation, Sighting):
            return self._observe_sighting(observation, watched) if watched else None
        self.windows += 1
        if watched:
            self.judged += 1
            return self._observe_window(observation, watched)
        if observation.workload not in self._without_model:
            _remember(self._without_model, observation.workload, False)
        return None

    def workloads_without_model(self) -> list[str]:
        """Workloads that were observed, cannot be judged, and were not named here before."""
        names = [name for name, told in self._without_model.items() if not told]
        self._without_model |= dict.fromkeys(names, True)
        return names

    def _observe_sighting(self, sighting: Sighting, watched: _Watched) -> Alert | None:
        item, time = sighting.item, sighting.time
        place = (sighting.replica, signal_of(item))
        if watched.model.knows(item):
            return None
        if sighting.process:
            _remember(watched.processes, item, sighting.process)
        if place in watched.waiting or self._recently(watched, item, time):
            return None
        score = watched.model.score_item(item)
        if not _tells(score):
            return None
        _remember(watched.waiting, place, None)
        return self._alert(watched, sighting, score, [item])

    def _observe_window(self, window: Window, watched: _Watched) -> Alert | None:
        for signal in Signal:
            watched.waiting.pop((window.replica, signal), None)
        score = watched.model.score(window)
        if not _tells(score):
            return None
        repeated = {i for i in _items(window) if self._recently(watched, i, window.end)}
        if repeated:
            window = _without(window, repeated)
            score = watched.model.score(window)
            if not _tells(score):
                watched.folded += 1
                self.folded += 1
                return None
        unseen = [item for item in _items(window) if not watched.model.knows(item)]
        return self._alert(watched, window, score, unseen, already_reported=len(repeated))

    def _alert(
        self,
        watched: _Watched,
        observation: Observation,
        score: Score,
        unseen: Sequence[Item],
        already_reported: int = 0,
    ) -> Alert:
        if isinstance(observation, Window):
            start, end = observation.start, observation.end
        else:
            start = end = observation.time
        leading = leading_evidence(score.evidence, frozenset(unseen))
        evidence = [leading.item, *(e.item for e in score.evidence)]
        alert = Alert(
            workload=observation.workload,
            replica=observation.replica,
            architecture=watched.model.architecture,
            time=end,
            start=start,
            end=end,
            score=score,
            unseen=frozenset(unseen),
            process=next((p for item in evidence if (p := watched.processes.get(item))), None),
            already_reported=already_reported,
            folded=watched.folded,
        )
        watched.folded = 0
        self.alerts += 1
        for item in [*unseen, *reversed(evidence)]:  # what was shown is forgotten last
            _remember(watched.reported, item, end)
        return alert

    def _recently(self, watched: _Watched, item: Item, time: int) -> bool:
        """Whether an alert told of this not long ago (or, where the clock was set back, ahead)."""
        told = watched.reported.get(item)
        return told is not None and abs(time - told) < self._repeat_after


def _tells(score: Score) -> bool:
    """Whether there is something to tell: a model of next to nothing may alert from 0 bits on."""
    return score.is_anomaly and bool(score.evidence)


def _items(window: Window) -> Iterator[Item]:
    yield from window.executions
    yield from window.connections
    yield from window.ngrams.ngrams.tolist()


def _without(window: Window, items: set[Item]) -> Window:
    """The window as if these items had not occurred in it."""
    ngrams = [item for item in items if isinstance(item, int)]
    kept = ~np.isin(window.ngrams.ngrams, np.array(ngrams, np.uint64))
    return replace(
        window,
        ngrams=NgramCounts(window.ngrams.ngrams[kept], window.ngrams.counts[kept]),
        executions={e: n for e, n in window.executions.items() if e not in items},
        connections={c: n for c, n in window.connections.items() if c not in items},
    )


def _remember(memory: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    """Put into a memory of bounded size, at its young end."""
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > REMEMBERED:
        del memory[next(iter(memory))]
