"""The model of one workload: its three signals, each calibrated, and the judgement they give."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from baseline.errors import ModelError
from baseline.model.calibration import Calibration
from baseline.model.connections import ConnectionModel
from baseline.model.executions import ExecutionModel
from baseline.model.ngrams import NgramModel
from baseline.model.novelty import Floats
from baseline.model.score import LEAST_P_VALUE, MAX_EVIDENCE, Evidence, Item, Score, signal_of
from baseline.model.signal_model import SignalModel, Surprise
from baseline.syscalls import ARCHITECTURE
from baseline.window import Ledger, Signal, Window, total

SIGNAL_MODELS: Mapping[Signal, type[SignalModel]] = {
    Signal.NGRAMS: NgramModel,
    Signal.EXECUTIONS: ExecutionModel,
    Signal.CONNECTIONS: ConnectionModel,
}

BUDGET_PER_WEEK = 1.0
"""False alarms that a workload may raise in a week."""

_LEAST_THRESHOLD = 1.0
"""Bits below which nothing is anomalous, however rare it is to see any."""

_WEEK = 7 * 24 * 3600
_MAX_BLOCKS = 10


@dataclass(frozen=True)
class Training:
    """What a model was learned from.

    Attributes:
        start, end: wall-clock time in nanoseconds since the epoch.
        observed: nanoseconds watched, summed over replicas.
        covered: nanoseconds in which at least one replica was watched.
        windows: number of windows.
        replicas: number of replicas.
        ledger: where every count went.
    """

    start: int
    end: int
    observed: int
    covered: int
    windows: int
    replicas: int
    ledger: Ledger

    @property
    def windows_per_week(self) -> float:
        """Windows of the workload in a week, of all replicas that run at a time."""
        return self.windows / (self.covered / 1e9) * _WEEK


class WorkloadModel:
    """What a workload normally does, and from which surprise on to raise an alert.

    Args:
        workload: its name.
        architecture: of the machine that was watched.
        training: what it was learned from.
        signals: the models of its signals.
        held_out: by signal, the surprise of each window of training to the other blocks.
    """

    def __init__(
        self,
        workload: str,
        architecture: str,
        training: Training,
        signals: Mapping[Signal, SignalModel],
        held_out: Mapping[Signal, Floats],
    ) -> None:
        self.workload = workload
        self.architecture = architecture
        self.training = training
        self.signals = signals
        self.held_out = held_out
        self.calibrations = {
            signal: Calibration(held_out[signal], model.wholly_new_bits)
            for signal, model in signals.items()
        }
        self.thresholds = self.thresholds_for(BUDGET_PER_WEEK)

    @classmethod
    def fit(cls, windows: Sequence[Window], architecture: str = ARCHITECTURE) -> "WorkloadModel":
        """Learn from windows of one workload, of any number of replicas, in any order.

        Raises:
            ModelError: there is nothing to learn from.
        """
        if not windows or not any(window.observed for window in windows):
            raise ModelError(
                "There are no windows to learn from", "Give learning more time or more recordings"
            )
        ordered = sorted(windows, key=lambda w: (w.end, w.replica))
        # Contiguous blocks of time: neighbours are alike, so they are left out together.
        number = min(_MAX_BLOCKS, len(ordered))
        blocks = (np.arange(len(ordered)) * number // len(ordered)).tolist()
        fitted = {
            signal: kind.fit(ordered, blocks, architecture)
            for signal, kind in SIGNAL_MODELS.items()
        }
        everything = total(ordered)
        training = Training(
            start=everything.start,
            end=everything.end,
            observed=everything.observed,
            covered=_covered(ordered, everything.observed),
            windows=len(ordered),
            replicas=len({window.replica for window in ordered}),
            ledger=everything.ledger,
        )
        return cls(
            everything.workload,
            architecture,
            training,
            {signal: model for signal, (model, _) in fitted.items()},
            {signal: bits for signal, (_, bits) in fitted.items()},
        )

    def thresholds_for(self, budget_per_week: float) -> dict[Signal, float]:
        """Bits from which on each signal is anomalous.

        The budget is shared evenly by the signals (Bonferroni).  Where the recording is too short
        to support it, what is new in every way is anomalous all the same, unless normal time came
        half as far: nobody wants to be blind to the first shell because learning was short.
        :meth:`false_alarms_per_week` says what to expect then.

        Why half: where the tail is exponential, the highest of n scores is exceeded twice over by
        one of the next n with a probability of about 2/n.
        """
        p_value = budget_per_week / self.training.windows_per_week / len(self.signals)
        thresholds = {}
        for signal, calibration in self.calibrations.items():
            threshold = calibration.threshold(p_value)
            wholly_new = self.signals[signal].wholly_new_bits
            if wholly_new > 2 * calibration.highest:
                threshold = min(threshold, wholly_new)
            thresholds[signal] = max(threshold, _LEAST_THRESHOLD)
        return thresholds

    @property
    def false_alarms_per_week(self) -> float:
        """How many false alarms a week the thresholds may raise, as far as the recording tells."""
        p_value = sum(
            calibration.p_value(self.thresholds[signal])
            for signal, calibration in self.calibrations.items()
        )
        return p_value * self.training.windows_per_week

    def score(self, window: Window) -> Score:
        """Judge a window; it does not depend on any other."""
        return self._judge({s: model.surprises(window) for s, model in self.signals.items()})

    def score_item(self, item: Item) -> Score:
        """Judge one item by itself, as if a window held nothing else that is new."""
        signal = signal_of(item)
        bits = 0.0 if self.knows(item) else self.signals[signal].bits(item)
        return self._judge({signal: [Surprise(item, 1, bits)] if bits > 0 else []})

    def knows(self, item: Item) -> bool:
        """Whether the item was seen in training."""
        return self.signals[signal_of(item)].knows(item)

    def _judge(self, surprises: Mapping[Signal, Sequence[Surprise]]) -> Score:
        bits = {
            signal: math.fsum(surprise.bits for surprise in surprises.get(signal, ()))
            for signal in self.signals
        }
        deciding = max(self.signals, key=lambda signal: bits[signal] - self.thresholds[signal])
        p_value = min(
            calibration.p_value(bits[signal]) for signal, calibration in self.calibrations.items()
        )
        score = Score(
            signal=deciding,
            bits=bits[deciding],
            threshold=self.thresholds[deciding],
            by_signal=bits,
            p_value=min(1.0, max(p_value * len(self.signals), LEAST_P_VALUE)),
            evidence=(),
        )
        return replace(score, evidence=self._explain(surprises)) if score.is_anomaly else score

    def _explain(self, surprises: Mapping[Signal, Sequence[Surprise]]) -> tuple[Evidence, ...]:
        evidence = [
            Evidence(
                signal,
                surprise.item,
                self.signals[signal].describe(surprise.item),
                surprise.occurrences,
                surprise.bits,
                self.signals[signal].nearest(surprise.item),
            )
            for signal, found in surprises.items()
            for surprise in sorted(found, key=lambda s: -s.bits)[:MAX_EVIDENCE]
        ]
        return tuple(sorted(evidence, key=lambda e: -e.bits))


def _covered(windows: Sequence[Window], observed: int) -> int:
    """Time in which any of the windows lies, however many there are at a time.

    The wall clock may be set while windows are taken; the time watched is of another clock, and
    bounds it.
    """
    covered = 0
    until = min(window.start for window in windows)
    for window in sorted(windows, key=lambda w: w.start):
        covered += max(window.end - max(window.start, until), 0)
        until = max(until, window.end)
    return min(covered, observed) or observed
