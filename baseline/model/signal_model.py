"""What the model of every signal can do."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import pyarrow as pa

from baseline.model.novelty import Floats
from baseline.model.score import Item, Seen, Signal
from baseline.window import Window


class Surprise(NamedTuple):
    """An item of a window that carries bits.

    Attributes:
        item: the item.
        occurrences: how often it occurred in the window.
        bits: its surprise; only in a mix of calls it can be below zero.
    """

    item: Item
    occurrences: int
    bits: float


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

    def seen(self, item: Any) -> Seen | None:
        """When the item was seen in training; ``None`` for never."""
        ...

    def nearest(self, item: Any, window: Window | None) -> str:
        """What is normal there, as people write it.

        Args:
            item: the item.
            window: in which it occurred, where there is one.
        """
        ...

    @property
    def wholly_new_bits(self) -> float:
        """Surprise of one thing that is new in every way that the signal can tell."""
        ...

    @property
    def items(self) -> int:
        """Distinct items seen."""
        ...

    @property
    def windows(self) -> int:
        """Windows of training."""
        ...

    @classmethod
    def merged(cls, models: Sequence[Self]) -> Self:
        """Of what all of them learned; they share no window.  Order does not matter."""
        ...

    def discounted(self, factor: float) -> Self:
        """The same with less to show for it, as if learned from a part of the windows.

        Args:
            factor: how large a part, above 0, at most 1 (a power prior: Ibrahim and Chen, 2000).
        """
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
