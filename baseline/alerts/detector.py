"""From observations to alerts: what is anomalous, and has not been told already."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Container as ContainerOf
from dataclasses import replace

import numpy as np

from baseline.alerts.alert import Alert, RaisedBy, leading_evidence
from baseline.alerts.flood import Flood, flood_in, folded_in
from baseline.alerts.lasting_shift import LastingShift
from baseline.alerts.watched import Folded, Watched, remember
from baseline.container import Container
from baseline.interval import Interval, Replica
from baseline.model.quiet_intervals import QuietIntervals
from baseline.model.running_window import RunningWindow
from baseline.model.score import (
    LEAST_P_VALUE,
    Call,
    Item,
    Score,
    Signal,
    Volume,
    items_of,
    signal_of,
)
from baseline.model.workload_model import WorkloadModel
from baseline.sighting import Observation, Sighting
from baseline.window import Window, is_folded

REPEAT_AFTER = 600.0
"""Seconds after which an alert may tell the same again."""

LASTS_FOR = 10.0
"""Seconds after which an unusual volume of calls that comes again is another one."""

_SAME_ACT = 0.1
"""Seconds in which the system calls of a process belong to its program, which was told of."""


class Detector:
    """Judges observations by the models of their workloads, and says each thing once.

    What no learning saw adds up in the running window, and is an alert as soon as that is
    surprising enough, milliseconds after it happened.  Everything else is judged when its window
    is complete, by itself and together with the windows before it.

    A window is scored without what was reported during the last ``repeat_after`` seconds, so that
    an intruder's shell is one alert and not one a second, while anything else it does still adds
    up to the next; what this holds back is counted.  An unusual volume of calls is reported once
    for as long as it lasts.  A workload that has shifted may well stay so: of that there is at most
    one alert in ``repeat_after`` seconds.  So it is with a flood (:mod:`baseline.alerts.flood`),
    but a new program or peer in it is an alert all the same.

    What first sights cost is bounded.  So many of a signal are judged in a second, so many alerts
    raised; the others are left to their window, which holds them all.  Each signal has its own
    bounds, so that a flood of system calls does not hide the program behind it.  A new program
    brings new system calls by the dozen: those that come with it wait for their window, too.

    Time is that of the observations: replaying a recording gives the same alerts every time.

    Args:
        models: by workload.
        repeat_after: seconds.
        container_of: the container that a replica is, if any; asked at the first sight of it.

    Attributes:
        windows, alerts: how many there have been.
        judged: windows of workloads that have a model.
        latest: score of the window observed last, with what was reported before; ``None`` where
            there is no model of it; of windows observed one by one.
    """

    def __init__(
        self,
        models: Mapping[str, WorkloadModel],
        *,
        repeat_after: float = REPEAT_AFTER,
        container_of: Callable[[str], Container | None] = lambda _: None,
    ) -> None:
        self.windows = 0
        self.judged = 0
        self.alerts = 0
        self.latest: Score | None = None
        self._scores: dict[str, Score] = {}  # of windows that were observed one by one
        self._watched = {name: Watched(model) for name, model in models.items()}
        self._repeat_after = round(repeat_after * 1e9)
        self._container_of = container_of
        self._lasts_for = round(min(repeat_after, LASTS_FOR) * 1e9)
        self._without_model: dict[str, bool] = {}
        self._quiet = QuietIntervals(models)
        self._interval: Interval | None = None
        self._rows: dict[str, list[int]] = {}  # of its windows, by workload
        self._names: dict[str, list[str]] = {}  # of its replicas, by workload
        self._may_rest = np.empty(0, np.bool_)  # by row
        self._not_quiet: set[Replica] = set()  # of which there is no need to ask again

    def observe_quiet(
        self, interval: Interval, but_of: ContainerOf[str] = ()
    ) -> tuple[list[int], list[int]]:
        """Take the quiet windows of an interval, all at once, as :meth:`observe` takes each.

        Those are left of which something may have to be told: also where counts were lost, or
        where the windows before add up to a shift.

        Args:
            interval: what a source yielded, each of its intervals.
            but_of: workloads of which all windows are left.

        Returns:
            The rows of the quiet windows, and those of the others, to be observed one by one.
        """
        if not (self._interval and interval.replicas is self._interval.replicas):
            self._arrange(interval.replicas)
        self._interval = interval
        self._scores = {w: score for w, score in self._scores.items() if w not in self._rows}
        for workload, names in self._names.items():
            self._watched[workload].count_replicas(names, interval.end, interval.observed)
        seem_quiet = self._quiet.of(interval)
        self._not_quiet = {interval.replicas[row] for row in np.flatnonzero(~seem_quiet).tolist()}
        are_quiet = seem_quiet & interval.are_complete() & self._may_rest
        for workload, watched in self._watched.items():
            if watched.running or watched.shifts or workload in but_of:
                for row in self._rows.get(workload, ()):
                    replica = interval.replicas[row].replica
                    if workload in but_of or not watched.rests(replica):
                        are_quiet[row] = False
                    elif are_quiet[row]:
                        watched.running.pop(replica, None)
                        watched.shifts.pop(replica, None)
        quiet = np.flatnonzero(are_quiet).tolist()
        self.windows += len(quiet)
        self.judged += len(quiet)
        return quiet, np.flatnonzero(~are_quiet).tolist()

    def _arrange(self, replicas: Sequence[Replica]) -> None:
        """Get to know whose windows come from now on."""
        self._rows, self._names = {}, {}
        self._may_rest = np.zeros(len(replicas), np.bool_)
        for row, (workload, replica) in enumerate(replicas):
            self._container_of(replica)
            if watched := self._watched.get(workload):
                self._rows.setdefault(workload, []).append(row)
                self._names.setdefault(workload, []).append(replica)
                self._may_rest[row] = watched.nothing_is_quiet

    def score_of(self, workload: str) -> Score:
        """Score of its last window, without what was reported before; it has a model."""
        return self._scores.get(workload) or self._watched[workload].model.score_of_nothing

    def observe(self, observation: Observation) -> Alert | None:
        """Judge what a source yielded.

        Returns:
            The alert that it gives rise to, if any.
        """
        watched = self._watched.get(observation.workload)
        self._container_of(observation.replica)
        if isinstance(observation, Sighting):
            return self._observe_sighting(observation, watched) if watched else None
        self.windows += 1
        self.latest = None
        if watched:
            self.judged += 1
            return self._observe_window(observation, watched)
        if observation.workload not in self._without_model:
            remember(self._without_model, observation.workload, False)
        return None

    @property
    def folded(self) -> int:
        """Anomalous windows of which no alert tells, because it was told before."""
        return sum(watched.folded.windows for watched in self._watched.values())

    def folded_of(self, workload: str) -> Folded:
        """What was held back of a workload; nothing of one without a model."""
        watched = self._watched.get(workload)
        return watched.folded if watched else Folded()

    def workloads_without_model(self) -> list[str]:
        """Workloads that were observed, cannot be judged, and were not named here before."""
        names = [name for name, told in self._without_model.items() if not told]
        self._without_model |= dict.fromkeys(names, True)
        return names

    def _observe_sighting(self, sighting: Sighting, watched: Watched) -> Alert | None:
        item, time = sighting.item, sighting.time
        news = watched.model.novelties(item)
        if not news:
            return None
        process = sighting.process
        if process:
            for new in news:
                remember(watched.processes, new, process)
        running = watched.running.get(sighting.replica)
        if running is None:
            running = RunningWindow(watched.model, self._last_window(sighting))
            remember(watched.running, sighting.replica, running)
        # What is older than the last window was judged with it.
        news = [n for n in news if n not in running and not self._recently(watched, n, time)]
        if time <= running.since or not news:
            return None
        flood = watched.this_second.add(item, time)
        if _is_near(watched.flooded, time, self._repeat_after):
            flood = None
        signal = signal_of(news[0])
        if not watched.judged[signal].take(time) or not running.add(news, time):
            watched.folded = watched.folded._replace(sightings=watched.folded.sightings + 1)
        told = watched.acting.get(process.pid) if process else None
        is_same_act = signal in {Signal.NGRAMS, Signal.CALLS} and _is_near(
            told, time, round(_SAME_ACT * 1e9)
        )
        if not flood and (is_same_act or not watched.telling[signal].has(time)):
            return None
        if not running.is_anomaly:
            return None
        score = running.score()
        if not _tells(score):
            return None
        watched.telling[signal].take(time)
        if process and signal == Signal.EXECUTIONS:
            remember(watched.acting, process.pid, time)
        if flood:
            watched.flooded = time
        since, unseen = running.start or time, running.items
        running.clear()
        test = RaisedBy.FLOOD if flood else RaisedBy.FIRST_SIGHT
        return self._alert(watched, sighting, score, test, unseen=unseen, flood=flood, since=since)

    def _last_window(self, sighting: Sighting) -> Window | None:
        """The window before a sighting, where it was quiet."""
        its = Replica(sighting.workload, sighting.replica)
        if self._interval is None or its not in self._interval.replicas:
            return None
        (window,) = self._interval.windows([self._interval.replicas.index(its)])
        return window

    def _observe_window(self, window: Window, watched: Watched) -> Alert | None:
        if self._interval is None:
            watched.count_replicas([window.replica], window.end, window.observed)
        model = watched.model
        running = RunningWindow(model, window)
        remember(watched.running, window.replica, running)
        shift = watched.shifts.pop(window.replica, None) or LastingShift()
        remember(watched.shifts, window.replica, shift)
        its = Replica(window.workload, window.replica)
        quiet = None if its in self._not_quiet else model.score_of_quiet(window)
        if quiet and not quiet.is_anomaly and shift.bits < model.shift_threshold:
            # As most are: what is below would come to the same, and take five times as long.
            self.latest = self._scores[window.workload] = quiet
            shift.add(window, quiet.bits, ())
            if _is_near(watched.shifted, window.end, self._repeat_after):
                shift.reset()
            return None
        whole = score = self.latest = model.score(window, explained=False)
        repeated = self._repeated(watched, window)
        if repeated:
            score = model.score(window, without=repeated, explained=False)
        self._scores[window.workload] = score
        shift.add(window, score.bits, repeated)
        if _is_near(watched.shifted, window.end, self._repeat_after):
            shift.reset()
        folded = folded_in(window, model)
        new = model.unseen(window) if whole.is_anomaly or folded else []
        unseen = [item for item in new if item not in repeated]
        flood = flood_in(window, len(new), folded)
        if flood and _is_near(watched.flooded, window.end, self._repeat_after):
            if not any(_is_another_kind(item) for item in unseen):
                shift.reset()
                _fold(watched, len(unseen))
                return None
        elif flood and (evidence := model.explain(window)):
            shift.reset()
            watched.flooded = window.end
            score = replace(whole, evidence=evidence)
            return self._alert(watched, window, score, RaisedBy.FLOOD, unseen=new, flood=flood)
        if whole.is_anomaly and not score.is_anomaly:
            _fold(watched)
        test, start = RaisedBy.WINDOW, window.start
        if score.is_anomaly:
            score = model.score(window, without=repeated)
        elif shift.bits >= model.shift_threshold:
            test, start = RaisedBy.SHIFT, shift.start
            watched.shifted = window.end
            score = replace(
                score,
                bits=shift.bits,
                threshold=model.shift_threshold,
                p_value=2.0**-shift.bits,
                evidence=shift.evidence(model),
            )
            # The evidence of a shift may be of windows before this one.
            items = dict.fromkeys([*model.unseen(window), *(e.item for e in score.evidence)])
            unseen = [i for i in items if i not in repeated and not model.knows(i)]
        if not _tells(score):
            return None
        shift.reset()
        judged = replace(window, start=start)
        return self._alert(
            watched, judged, score, test, unseen=unseen, already_reported=len(repeated)
        )

    def _repeated(self, watched: Watched, window: Window) -> set[Item]:
        """What a window shows that an alert told of not long ago."""
        if not watched.reported:
            return set()
        items = [
            *items_of(window),
            *(item for item in watched.reported if isinstance(item, Volume)),
        ]
        repeated = {item for item in items if self._recently(watched, item, window.end)}
        if any(isinstance(item, Volume) for item in repeated):
            for surprise in watched.model.signals[Signal.VOLUMES].surprises(window):
                if surprise.item in repeated:  # it lasts
                    remember(watched.reported, surprise.item, window.end)
        return repeated

    def _alert(
        self,
        watched: Watched,
        observation: Observation,
        score: Score,
        test: RaisedBy,
        *,
        unseen: Sequence[Item],
        already_reported: int = 0,
        flood: Flood | None = None,
        since: int = 0,
    ) -> Alert:
        if isinstance(observation, Window):
            start, end, load = observation.start, observation.end, observation.ngrams.total
        else:
            start, end, load = since, observation.time, None
        leading = leading_evidence(score.evidence, frozenset(unseen))
        evidence = [leading.item, *(e.item for e in score.evidence)]
        alert = Alert(
            workload=observation.workload,
            replica=observation.replica,
            node=observation.node,
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
            folded=watched.folded.windows - watched.told,
            container=self._container_of(observation.replica),
            flood=flood,
            load=load,
        )
        watched.told = watched.folded.windows
        self.alerts += 1
        for item in [*unseen, *reversed(evidence)]:  # what was shown is forgotten last
            remember(watched.reported, item, end)
        return alert

    def _recently(self, watched: Watched, item: Item, time: int) -> bool:
        """Whether an alert told of this not long ago."""
        limit = self._lasts_for if isinstance(item, Volume) else self._repeat_after
        return _is_near(watched.reported.get(item), time, limit)


def _fold(watched: Watched, items: int = 0) -> None:
    """Count a window of which no alert tells, with so many new items in it."""
    folded = watched.folded
    watched.folded = folded._replace(windows=folded.windows + 1, items=folded.items + items)


def _is_another_kind(item: Item) -> bool:
    """Whether something new is more than one more thing of a flood: a program or a peer."""
    return not isinstance(item, int | Call | Volume) and not is_folded(item)


def _is_near(told: int | None, time: int, limit: int) -> bool:
    """Whether two moments are less than so far apart, either way: the clock may be set back."""
    return told is not None and abs(time - told) < limit


def _tells(score: Score) -> bool:
    """Whether there is something to tell: a model of next to nothing may alert from 0 bits on."""
    return score.is_anomaly and bool(score.evidence)
