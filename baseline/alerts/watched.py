"""What is remembered of one workload that is watched."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeVar

from baseline.alerts.allowance import Allowance
from baseline.alerts.flood import NewThisSecond
from baseline.alerts.lasting_shift import LastingShift
from baseline.alerts.replica_count import ReplicaCount
from baseline.model.running_window import RunningWindow
from baseline.model.score import NOVELTIES, Item, Signal
from baseline.model.shift import step
from baseline.model.workload_model import WorkloadModel
from baseline.sighting import Process

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

REMEMBERED = 4096
"""Items of each kind remembered for a workload; beyond it the oldest are forgotten."""

JUDGED = 256
"""First sights of each signal of a workload that are judged in a second; the others wait."""

_FIRST_SIGHTS = {
    Signal.NGRAMS: (4, 1.0),
    Signal.CALLS: (4, 1.0),
    Signal.EXECUTIONS: (16, 4.0),
    Signal.CONNECTIONS_IN: (16, 4.0),
    Signal.CONNECTIONS_OUT: (16, 4.0),
}
"""How many alerts first sights of each signal raise: at once, and then in a second."""


class Folded(NamedTuple):
    """What was held back of a workload, since the beginning.

    Attributes:
        windows: anomalous by nothing but what was told before, or by more of a flood that was.
        items: new items in windows of the second kind, anew in each window.
        sightings: first sights that were too many to be judged before their window.
    """

    windows: int = 0
    items: int = 0
    sightings: int = 0


@dataclass
class Watched:
    """What is remembered of one workload, all of it bounded.

    Attributes:
        model: what was learned, with the budget of as many replicas as there are.
        reported: item -> when an alert told of it; the oldest first.
        processes: item that the model does not know -> who did it, from its first sight.
        acting: id of a process -> when an alert told of its program at first sight.
        running: replica -> what was sighted since its last window.
        judged: by signal, how many first sights may be judged.
        telling: by signal, how many alerts first sights may raise.
        this_second: what was sighted, known to be a flood or not.
        flooded: when an alert told of a flood; ``None`` for never.
        shifts: replica -> the evidence that its latest windows add up to.
        shifted: when an alert told of a lasting shift; ``None`` for never.
        folded: what was held back.
        told: the windows among it that alerts have told of.
        replicas: how many there are.
    """

    model: WorkloadModel
    reported: dict[Item, int] = field(default_factory=dict)
    processes: dict[Item, Process] = field(default_factory=dict)
    acting: dict[int, int] = field(default_factory=dict)
    running: dict[str, RunningWindow] = field(default_factory=dict)
    judged: dict[Signal, Allowance] = field(
        default_factory=lambda: {signal: Allowance(JUDGED, JUDGED) for signal in NOVELTIES}
    )
    telling: dict[Signal, Allowance] = field(
        default_factory=lambda: {s: Allowance(*rate) for s, rate in _FIRST_SIGHTS.items()}
    )
    this_second: NewThisSecond = field(default_factory=NewThisSecond)
    flooded: int | None = None
    shifts: dict[str, LastingShift] = field(default_factory=dict)
    shifted: int | None = None
    folded: Folded = field(default_factory=Folded)
    told: int = 0
    replicas: ReplicaCount = field(default_factory=ReplicaCount)

    def count_replicas(self, names: Iterable[str], end: int, length: int) -> None:
        """Have the budget shared by all replicas; see :meth:`ReplicaCount.add`."""
        if self.replicas.add(names, end, length):
            self.model = self.model.for_replicas(self.replicas.number)

    def rests(self, replica: str) -> bool:
        """Whether one more quiet window of a replica changes nothing of what is remembered."""
        shift = self.shifts.get(replica)
        return self.nothing_is_quiet and (shift is None or shift.bits == 0)

    @cached_property
    def nothing_is_quiet(self) -> bool:
        """Whether nothing is no evidence: so it is, but for models of next to nothing.

        What is none to one replica is none to several, whose threshold is higher.
        """
        nothing = self.model.score_of_nothing
        return step(0, nothing.bits) == 0 < self.model.shift_threshold and not nothing.is_anomaly


def remember(memory: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    """Put into a memory of bounded size, at its young end."""
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > REMEMBERED:
        del memory[next(iter(memory))]
