"""From observations to alerts: what is anomalous, and has not been told already."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from baseline.alerts.alert import Alert, RaisedBy, leading_evidence
from baseline.alerts.lasting_shift import LastingShift
from baseline.model.score import LEAST_P_VALUE, Call, Item, Score, signal_of
from baseline.model.workload_model import WorkloadModel
from baseline.sighting import Observation, Process, Sighting
from baseline.window import Signal, Window

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

REPEAT_AFTER = 600.0
"""Seconds after which an alert may tell the same again."""

LASTS_FOR = 10.0
"""Seconds after which an unusual volume of calls that comes again is another one."""

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
        shifts: replica -> the evidence that its latest windows add up to.
        shifted: when an alert told of a lasting shift; ``None`` for never.
        folded: anomalous windows since the last alert that held nothing new.
    """

    model: WorkloadModel
    reported: dict[Item, int] = field(default_factory=dict)
    processes: dict[Item, Process] = field(default_factory=dict)
    waiting: dict[tuple[str, Signal], None] = field(default_factory=dict)
    shifts: dict[str, LastingShift] = field(default_factory=dict)
    shifted: int | None = None
    folded: int = 0


class Detector:
    """Judges observations by the models of their workloads, and says each thing once.

    An item that no learning saw, and that is surprising enough by itself, is an alert at its first
    sight, milliseconds after it happened.  Everything else is judged when its window is complete,
    by itself and together with the windows before it.

    A window is scored without what was reported during the last ``repeat_after`` seconds, so that
    an intruder's shell is one alert and not one a second, while anything else it does still adds
    up to the next; what this holds back is counted.  An unusual volume of calls is reported once
    for as long as it lasts.  A workload that has shifted may well stay so: of that there is at most
    one alert in ``repeat_after`` seconds.

    First sights raise at most one alert for each replica and signal between two windows: a
    program that is new brings new system calls by the dozen, and the window lists them together.

    Time is that of the observations: replaying a recording gives the same alerts every time.

    Args:
        models: by workload.
        repeat_after: seconds.

    Attributes:
        windows, alerts, folded: how many there have been.
        judged: windows of workloads that have a model.
        latest: score of the window observed last, with what was reported before; ``None`` where
            there is no model of it.
    """

    def __init__(
        self, models: Mapping[str, WorkloadModel], *, repeat_after: float = REPEAT_AFTER
    ) -> None:
        self.windows = 0
        self.judged = 0
        self.alerts = 0
        self.folded = 0
        self.latest: Score | None = None
        self._watched = {name: _Watched(model) for name, model in models.items()}
        self._repeat_after = round(repeat_after * 1e9)
        self._lasts_for = round(min(repeat_after, LASTS_FOR) * 1e9)
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
        self.latest = None
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
        return self._alert(watched, sighting, score, RaisedBy.FIRST_SIGHT, unseen=[item])

    def _observe_window(self, window: Window, watched: _Watched) -> Alert | None:
        for signal in Signal:
            watched.waiting.pop((window.replica, signal), None)
        shift = watched.shifts.pop(window.replica, None) or LastingShift()
        _remember(watched.shifts, window.replica, shift)
        score = self.latest = watched.model.score(window)
        repeated = self._repeated(watched, window)
        if repeated:
            was_anomaly = score.is_anomaly
            score = watched.model.score(window, without=repeated)
            if was_anomaly and not score.is_anomaly:
                watched.folded += 1
                self.folded += 1
        test = RaisedBy.WINDOW
        shift.add(window, score.bits, repeated)
        if _is_near(watched.shifted, window.end, self._repeat_after):
            shift.reset()
        if not score.is_anomaly and shift.bits >= watched.model.shift_threshold:
            test = RaisedBy.SHIFT
            watched.shifted = window.end
            score = replace(
                score,
                bits=shift.bits,
                threshold=watched.model.shift_threshold,
                p_value=2.0**-shift.bits,
                evidence=shift.evidence(watched.model),
            )
        if not _tells(score):
            return None
        start = shift.start if test == RaisedBy.SHIFT else window.start
        shift.reset()
        # The evidence of a shift may be of windows before this one.
        items = dict.fromkeys([*_items(window), *(e.item for e in score.evidence)])
        unseen = [i for i in items if i not in repeated and not watched.model.knows(i)]
        window = replace(window, start=start)
        return self._alert(
            watched, window, score, test, unseen=unseen, already_reported=len(repeated)
        )

    def _repeated(self, watched: _Watched, window: Window) -> set[Item]:
        """What a window shows that an alert told of not long ago."""
        items = [*_items(window), *(item for item in watched.reported if isinstance(item, Call))]
        repeated = {item for item in items if self._recently(watched, item, window.end)}
        if any(isinstance(item, Call) for item in repeated):
            for surprise in watched.model.signals[Signal.CALLS].surprises(window):
                if surprise.item in repeated:  # it lasts
                    _remember(watched.reported, surprise.item, window.end)
        return repeated

    def _alert(
        self,
        watched: _Watched,
        observation: Observation,
        score: Score,
        test: RaisedBy,
        *,
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
            test=test,
            score=score,
            once_in=watched.model.once_in(max(score.p_value, LEAST_P_VALUE)),
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
        """Whether an alert told of this not long ago."""
        limit = self._lasts_for if isinstance(item, Call) else self._repeat_after
        return _is_near(watched.reported.get(item), time, limit)


def _is_near(told: int | None, time: int, limit: int) -> bool:
    """Whether two moments are less than so far apart, either way: the clock may be set back."""
    return told is not None and abs(time - told) < limit


def _tells(score: Score) -> bool:
    """Whether there is something to tell: a model of next to nothing may alert from 0 bits on."""
    return score.is_anomaly and bool(score.evidence)


def _items(window: Window) -> Iterator[Item]:
    yield from window.executions
    yield from window.connections
    yield from window.ngrams.ngrams.tolist()


def _remember(memory: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    """Put into a memory of bounded size, at its young end."""
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > REMEMBERED:
        del memory[next(iter(memory))]
