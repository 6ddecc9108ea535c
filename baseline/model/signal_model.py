"""What the model of every signal can do."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import pyarrow as pa

from baseline.model.novelty import Floats
from baseline.model.score import Item
from baseline.window import Signal, Window


class Surprise(NamedTuple):
    """An item of a window that carries bits.

    Attributes:
        item: the item.
        occurrences: how often it occurred in the window.
        bits: its surprise, above zero.
    """

    item: Item
    occurrences: int
    bits: float


class Completeness(NamedTuple):
    """How much of a signal's behaviour was seen.

    Attributes:
        items: distinct items seen.
        singletons: those of them seen in one window only.
        windows: windows observed.
    """

    items: int
    singletons: int
    windows: int

    @property
    def new_per_window(self) -> float:
        """Good and Turing's estimate of the unseen items that the next window brings."""
        return self.singletons / self.windows


class SignalModel(Protocol):
    """What one signal of a workload normally looks like.

    Scores do not depend on other windows, and fitting not on the order of windows within a block.
    """

    signal: ClassVar[Signal]
    schemas: ClassVar[Mapping[str, pa.Schema]]
    """Tables that the model is stored in, each with its columns."""

    @classmethod
    def fit(
        cls, windows: Sequence[Window], blocks: Sequence[int], architecture: str
    ) -> tuple[Self, Floats]:
        """Learn from windows.

        Args:
            windows: of one workload.
            blocks: number of each window's block of time, from 0.
            architecture: whose system calls the n-grams hold.

        Returns:
            The model, and the surprise in bits of each window to what the windows of all other
            blocks teach, shape (windows,).
        """
        ...

    def surprises(self, window: Window) -> list[Surprise]:
        """The items of a window that carry bits."""
        ...

    def bits(self, item: Any) -> float:
        """Surprise of one item that occurs."""
        ...

    def knows(self, item: Any) -> bool:
        """Whether the item was seen in training."""
        ...

    def describe(self, item: Any) -> str:
        """The item as people write it."""
        ...

    def nearest(self, item: Any) -> str:
        """The nearest normal behaviour, as people write it."""
        ...

    @property
    def wholly_new_bits(self) -> float:
        """Surprise of one thing that is new in every way that the signal can tell."""
        ...

    @property
    def completeness(self) -> Completeness:
        """How much was seen."""
        ...

    def tables(self) -> dict[str, pa.Table]:
        """The model as tables of ``schemas``."""
        ...

    @classmethod
    def from_tables(cls, tables: Mapping[str, pa.Table], architecture: str) -> Self:
        """The model of such tables.

        Raises:
            ValueError: the tables contradict each other or themselves.
        """
        ...
