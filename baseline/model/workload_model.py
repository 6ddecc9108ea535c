"""The model of one workload: its signals, what normal time scores, and the judgement they give."""

import math
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from baseline.errors import ModelError
from baseline.model.budget import DEFAULT_BUDGET, Budget
from baseline.model.calls import CallModel, call_of
from baseline.model.combination import Combination
from baseline.model.completeness import WorkloadCompleteness
from baseline.model.completeness_accumulator import completeness_of
from baseline.model.connections import InboundModel, OutboundModel
from baseline.model.executions import ExecutionModel
from baseline.model.held_out import HeldOut
from baseline.model.ngrams import NgramModel
from baseline.model.provenance import Provenance
from baseline.model.quiet import Quiet
from baseline.model.score import (
    MAX_EVIDENCE,
    NOVELTIES,
    Call,
    Evidence,
    Item,
    Score,
    Signal,
    signal_of,
)
from baseline.model.signal_model import SignalModel, Surprise
from baseline.model.time_blocks import blocks_of_time, in_order
from baseline.model.training import Training
from baseline.model.volumes import VolumeModel
from baseline.syscalls import ARCHITECTURE, calls_of
from baseline.window import Window

SIGNAL_MODELS: Mapping[Signal, type[SignalModel]] = {
    Signal.NGRAMS: NgramModel,
    Signal.CALLS: CallModel,
    Signal.EXECUTIONS: ExecutionModel,
    Signal.CONNECTIONS_IN: InboundModel,
    Signal.CONNECTIONS_OUT: OutboundModel,
    Signal.VOLUMES: VolumeModel,
}

Surprises = Mapping[Signal, Sequence[Surprise]]

SHIFT_SHARE = 0.1
"""Part of the budget that the test for lasting shifts gets; the rest is of single windows."""

EXTRAPOLATED = 10
"""A budget is supported by data if it means no less than one alarm in so many recordings."""

NO_PROVENANCE = Provenance()


class WorkloadModel:
    """What a workload normally does, and from how much evidence on to raise an alert.

    Args:
        workload: its name.
        architecture: of the machine that was watched.
        training: what it was learned from.
        signals: the models of its signals.
        held_out: what each window of training looked like to the other blocks of time.
        provenance: how it came about.
        budget: false alarms that the workload may raise.
    """

    def __init__(
        self,
        workload: str,
        architecture: str,
        training: Training,
        signals: Mapping[Signal, SignalModel],
        held_out: HeldOut,
        *,
        provenance: Provenance = NO_PROVENANCE,
        budget: Budget = DEFAULT_BUDGET,
    ) -> None:
        self.workload = workload
        self.architecture = architecture
        self.training = training
        self.signals = signals
        self.held_out = held_out
        self.provenance = provenance
        self.combination = Combination(
            held_out, {signal: model.wholly_new_bits for signal, model in signals.items()}
        )
        self.usual_counts = {s: round(held_out.counts[s].mean()) for s in NOVELTIES}
        self._windows_per_second = training.windows_per_second
        self._set_budget(budget)

    @classmethod
    def fit(
        cls,
        windows: Sequence[Window],
        architecture: str = ARCHITECTURE,
        *,
        completeness: WorkloadCompleteness | None = None,
    ) -> "WorkloadModel":
        """Learn from windows of one workload, of any number of replicas, in any order.

        Args:
            windows: of one workload.
            architecture: of the machine that was watched.
            completeness: that of these windows in order of time, where it is known already.

        Raises:
            ModelError: there is nothing to learn from.
            ValueError: the windows are of different workloads.
        """
        if not windows or not any(window.observed for window in windows):
            raise ModelError(
                "There are no windows to learn from", "Give learning more time or more recordings"
            )
        workloads = {window.workload for window in windows}
        if len(workloads) > 1:
            raise ValueError(f"windows of {' and '.join(sorted(workloads))} do not add")
        ordered = in_order(windows)
        blocks = blocks_of_time(ordered)
        fitted = {
            signal: kind.fit(ordered, blocks, architecture)
            for signal, kind in SIGNAL_MODELS.items()
        }
        counts = list(map(counted, ordered))
        _, replica = np.unique([window.replica for window in ordered], return_inverse=True)
        held_out = HeldOut(
            {signal: bits for signal, (_, bits) in fitted.items()},
            {signal: np.array([its[signal] for its in counts], np.int64) for signal in NOVELTIES},
            replica.astype(np.int64),
        )
        signals = {signal: model for signal, (model, _) in fitted.items()}
        return cls(
            ordered[0].workload,
            architecture,
            Training.of(ordered),
            signals,
            held_out,
            provenance=Provenance(completeness or completeness_of(ordered)),
        )

    def with_provenance(self, **changes: Any) -> "WorkloadModel":
        """The same model with another account of how it came about."""
        return WorkloadModel(
            self.workload,
            self.architecture,
            self.training,
            self.signals,
            self.held_out,
            provenance=replace(self.provenance, **changes),
            budget=self.budget,
        )

    def with_budget(self, budget: Budget) -> "WorkloadModel":
        """The same model with another alert budget."""
        return WorkloadModel(
            self.workload,
            self.architecture,
            self.training,
            self.signals,
            self.held_out,
            provenance=self.provenance,
            budget=budget,
        )

    def for_replicas(self, number: int) -> "WorkloadModel":
        """The same model where so many replicas are watched.

        The budget is that of the workload: of more windows than training had in a second, each has
        a smaller part of it.
        """
        more = max(number / self.training.replicas_at_a_time, 1.0)
        windows_per_second = self.training.windows_per_second * more
        if windows_per_second == self._windows_per_second:
            return self
        model = copy(self)
        model.__dict__.pop("score_of_nothing", None)  # which has the threshold
        model._windows_per_second = windows_per_second
        model._set_budget(self.budget)
        return model

    def _set_budget(self, budget: Budget) -> None:
        self.budget = budget
        per_window = min(budget.per_second / self._windows_per_second, 1.0)
        self.threshold = -math.log2(per_window * (1 - SHIFT_SHARE))
        self.shift_threshold = self.combination.shift.threshold(per_window * SHIFT_SHARE)

    @property
    def supported_budget(self) -> Budget:
        """The least budget that needs no extrapolation far beyond what was learned from."""
        return Budget.of_rate(1e9 / (EXTRAPOLATED * self.training.covered))

    def once_in(self, p_value: float) -> float:
        """Seconds of normal time in which so rare a window comes once, on average."""
        return 1 / (p_value * self._windows_per_second)

    @property
    def false_alarms_per_week(self) -> float:
        """How many false alarms to expect in a week.

        The budget, and what is wholly new in normal time as often as so short a recording without
        anything new allows.
        """
        week = self.training.windows_per_week
        budget = self.budget.per_second / self.training.windows_per_second * week
        return min(budget + self.combination.wholly_new_p_value * week, week)

    def score(
        self, window: Window, without: Collection[Item] = (), *, explained: bool = True
    ) -> Score:
        """Judge a window; it does not depend on any other.

        Args:
            window: what the workload did.
            without: items to judge it as if they had not occurred.
            explained: with its evidence where it is anomalous, which takes longer than all else.
        """
        surprises = {
            signal: [s for s in model.surprises(window) if s.item not in without]
            for signal, model in self.signals.items()
        }
        return self.judge(surprises, counted(window), window, explained=explained)

    def score_of_quiet(self, window: Window) -> Score | None:
        """What :meth:`score` says of a window that holds no surprise at all.

        Returns:
            The score, one for all of them; ``None`` where something may carry surprise.
        """
        return self.score_of_nothing if window in self.quiet else None

    @cached_property
    def quiet(self) -> Quiet:
        """Tells quiet windows."""
        return Quiet(self.signals)

    @cached_property
    def score_of_nothing(self) -> Score:
        """The one score of all quiet windows."""
        return self.judge({}, {})

    def score_item(self, item: Item) -> Score:
        """Judge one item by itself, as if a window of any load held nothing else that is new."""
        found = {
            signal_of(new): [Surprise(new, 1, bits)]
            for new in self.novelties(item)
            if (bits := self.signals[signal_of(new)].bits(new)) > 0
        }
        return self.judge(found, {})

    def explain(self, window: Window) -> tuple[Evidence, ...]:
        """What carries the surprise of a window, whether it is anomalous or not.

        In the order of :attr:`baseline.model.score.Score.evidence`.
        """
        surprises = {signal: model.surprises(window) for signal, model in self.signals.items()}
        shares = self.shares(counted(window))
        by_signal = _by_signal(surprises, shares)
        return self._explain(surprises, shares, by_signal, window)

    def knows(self, item: Item) -> bool:
        """Whether the item was seen in training."""
        return self.signals[signal_of(item)].knows(item)

    def novelties(self, item: Item) -> list[Item]:
        """What training did not see of an item; of an n-gram first of all the call it ends in."""
        if self.knows(item):
            return []
        if isinstance(item, int) and not self.knows(call := call_of(item)):
            return [call, item]
        return [item]

    def unseen(self, window: Window) -> list[Item]:
        """The items of a window that training did not see."""
        ngrams = self.signals[Signal.NGRAMS]
        assert isinstance(ngrams, NgramModel)  # noqa: S101 - for the type checker
        unseen = ngrams.unseen(window.ngrams.ngrams)
        calls = dict.fromkeys(map(Call, calls_of(unseen).tolist()))
        others: list[Item] = [*window.executions, *window.connections, *calls]
        return [*(item for item in others if not self.knows(item)), *unseen.tolist()]

    def shares(self, counted: Mapping[Signal, int]) -> dict[Signal, float]:
        """What part of the surprise of each signal counts in a window that counted so much."""
        return {signal: self.combination.share(signal, n) for signal, n in counted.items()}

    def is_anomaly(self, by_signal: Mapping[Signal, float]) -> bool:
        """Whether so much surprise, in bits on the scale of each signal, is worth an alert.

        The load of its window is not known, so it is one at every load.
        """
        evidence = self.combination.evidence(by_signal)
        return all(
            calibration.bits(evidence) >= self.threshold
            for calibration in self.combination.calibration.calibrations
        ) or any(self.combination.is_wholly_new(signal, bits) for signal, bits in by_signal.items())

    def judge(
        self,
        surprises: Surprises,
        counted: Mapping[Signal, int],
        window: Window | None = None,
        *,
        explained: bool = True,
    ) -> Score:
        """Judge what was found surprising.

        Args:
            surprises: by signal.
            counted: signal -> what was counted beside it; where it is missing, nothing.
            window: that it was found in, where there is one; without one its load is not known.
            explained: with its evidence.
        """
        shares = self.shares(counted)
        by_signal = _by_signal(surprises, shares)
        p_value = self.combination.p_value(by_signal, _load(window))
        score = Score(
            bits=math.log2(1 / p_value),
            threshold=self.threshold,
            p_value=p_value,
            by_signal=by_signal,
            wholly_new=tuple(
                s for s, bits in by_signal.items() if self.combination.is_wholly_new(s, bits)
            ),
            evidence=(),
        )
        if not score.is_anomaly or not explained:
            return score
        return replace(score, evidence=self._explain(surprises, shares, by_signal, window))

    def _explain(
        self,
        surprises: Surprises,
        shares: Mapping[Signal, float],
        by_signal: Mapping[Signal, float],
        window: Window | None,
    ) -> tuple[Evidence, ...]:
        evidence = []
        load = _load(window)
        for signal, found in surprises.items():
            model, share = self.signals[signal], shares.get(signal, 1.0)
            for surprise in sorted(found, key=lambda s: -s.bits)[:MAX_EVIDENCE]:
                bits = surprise.bits * share
                rest = dict(by_signal) | {signal: max(by_signal[signal] - bits, 0.0)}
                evidence.append(
                    Evidence(
                        signal=signal,
                        item=surprise.item,
                        description=model.describe(surprise.item),
                        count=surprise.occurrences,
                        bits=bits,
                        nearest=model.nearest(surprise.item, window),
                        seen=model.seen(surprise.item),
                        without=math.log2(1 / self.combination.p_value(rest, load)),
                    )
                )
        return tuple(sorted(evidence, key=lambda e: (e.without, -e.bits)))


def _by_signal(surprises: Surprises, shares: Mapping[Signal, float]) -> dict[Signal, float]:
    # Sums of mixes of calls may fall below zero by rounding.
    return {
        signal: max(
            math.fsum(s.bits for s in surprises.get(signal, ())) * shares.get(signal, 1.0), 0.0
        )
        for signal in Signal
    }


def _load(window: Window | None) -> int | None:
    return window.ngrams.total if window else None


def counted(window: Window) -> dict[Signal, int]:
    """Signal of novelty -> what a window counted of which something could have been new."""
    calls = window.ngrams.total
    inbound = sum(n for c, n in window.connections.items() if c.direction == "in")
    return {
        Signal.NGRAMS: calls,
        Signal.CALLS: calls,
        Signal.EXECUTIONS: sum(window.executions.values()),
        Signal.CONNECTIONS_IN: inbound,
        Signal.CONNECTIONS_OUT: sum(window.connections.values()) - inbound,
    }
