"""How complete learning is: figures for each histogram, and one state for the workload.

:mod:`baseline.model.completeness_accumulator` makes them of windows.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from baseline.model.discovery import NewItems, new_items
from baseline.window import Histogram

COMPLETE_MASS = 0.01
"""Upper bound of the unseen mass up to which a signal is complete."""

_LEAST_SECONDS = 1e-9  # times are in whole nanoseconds
_MAX_NUMBER = 1 << 63
_MAX_REASON = 200


class State(StrEnum):
    """How far learning has come; of several that hold, the first."""

    LOSSY = "lossy"  # counts were lost, or the ledger does not add up
    EMPTY = "empty"  # there was nothing to count
    UNSTABLE = "unstable"  # the last quarter brought more than was predicted before it
    PARTIAL = "partial"  # the unseen mass may be above COMPLETE_MASS
    COMPLETE = "complete"


@dataclass(frozen=True)
class SignalCompleteness:
    """How much of one histogram's items were seen.

    Attributes:
        items: distinct items seen.
        windows: windows of all replicas.
        seconds: time in which at least one replica was watched, above zero.
        slices: slices that this was cut into.
        uniques: how many items a slice alone showed -> how many slices did so; without zeros.
        largest_burst: most items that one window after the first slice was the first to show.
        unseen_mass: estimated probability that the next window shows an item never seen.
        unseen_mass_bound: its upper 95 % bound.
    """

    items: int
    windows: int
    seconds: float
    slices: int
    uniques: Mapping[int, int]
    largest_burst: int
    unseen_mass: float
    unseen_mass_bound: float

    def new_items(self, seconds: float) -> NewItems:
        """How many new items so much more time brings, of as many replicas as there were."""
        growth = seconds / self.seconds
        return new_items(self.uniques, self.items, self.largest_burst, growth)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"uniques": [list(pair) for pair in sorted(self.uniques.items())]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`.

        Raises:
            ValueError: the values contradict each other or are of another kind.
        """
        _require_fields(values, cls)
        pairs = values["uniques"]
        if not isinstance(pairs, list) or not all(
            isinstance(pair, list) and len(pair) == 2 and all(_is_count(n) and n for n in pair)
            for pair in pairs
        ):
            raise ValueError("uniques are not pairs of numbers")
        completeness = cls(**{**values, "uniques": dict(pairs)})
        counts = [getattr(completeness, name) for name in ("items", "windows", "largest_burst")]
        masses = completeness.unseen_mass, completeness.unseen_mass_bound
        if not all(map(_is_count, [*counts, completeness.slices])):
            raise ValueError("completeness is not counted in whole numbers")
        if not all(map(_is_number, [completeness.seconds, *masses])):
            raise ValueError("completeness is not measured in numbers")
        if not (completeness.seconds >= _LEAST_SECONDS and 0 <= masses[0] <= masses[1] <= 1):
            raise ValueError("the unseen mass is no probability, or learning took no time")
        if (
            len(completeness.uniques) < len(pairs)
            or sum(number * slices for number, slices in pairs) > completeness.items
            or sum(slices for _, slices in pairs) > completeness.slices
            or completeness.largest_burst > completeness.items
            or not 1 <= completeness.slices <= completeness.windows
        ):
            raise ValueError("there are more uniques than items or slices")
        return completeness


Figures = Mapping[Histogram, SignalCompleteness]


@dataclass(frozen=True)
class WorkloadCompleteness:
    """How complete learning of one workload is.

    Attributes:
        state: in one word.
        reason: the same in a sentence without a full stop.
        signals: the figures of each histogram; none where no time was watched.
    """

    state: State
    reason: str
    signals: Figures

    @property
    def unseen_mass_bound(self) -> float:
        """The largest of the signals' bounds; 1 where there are none."""
        return max((signal.unseen_mass_bound for signal in self.signals.values()), default=1.0)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        signals = {signal.value: figures.to_dict() for signal, figures in self.signals.items()}
        return {"state": self.state.value, "reason": self.reason, "signals": signals}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`.

        Raises:
            ValueError: the values contradict each other or are of another kind.
        """
        _require_fields(values, cls)
        reason, signals = values["reason"], values["signals"]
        if not isinstance(reason, str) or len(reason) > _MAX_REASON:
            raise ValueError("the reason of a state of completeness is no short text")
        if not isinstance(signals, dict) or signals.keys() not in (set(), set(Histogram)):
            raise ValueError("completeness is not that of each histogram")
        return cls(
            State(values["state"]),
            reason,
            {Histogram(name): SignalCompleteness.from_dict(its) for name, its in signals.items()},
        )


def percent(share: float) -> str:
    """A share as exact as it is known: ``16%``, ``1.6%``."""
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def _require_fields(values: object, kind: type[Any]) -> None:
    if not isinstance(values, Mapping) or values.keys() != kind.__dataclass_fields__.keys():
        raise ValueError("completeness has other fields than it should")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < _MAX_NUMBER


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]  # checked
