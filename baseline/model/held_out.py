"""What each window of training looked like to a judge that had not learned from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from baseline.model.novelty import Floats, Integers
from baseline.model.score import NOVELTIES, Signal
from baseline.parquet import as_array, described

SCHEMA = pa.schema(
    [described(s.value, pa.float64(), "surprise of a window of training, bits") for s in Signal]
    + [described(f"{s.value}_count", pa.int64(), "what it counted") for s in NOVELTIES]
    + [described("replica", pa.int32(), "number of its replica; rows of one are in order of time")]
)


@dataclass(frozen=True)
class HeldOut:
    """The windows of training, each judged by what the other blocks of time teach.

    Attributes:
        bits: surprise by signal, each of shape (windows,).
        counts: what the window counted, by signal of novelty, each of shape (windows,).
        replica: number of its replica, shape (windows,); rows of one are in order of time.
    """

    bits: Mapping[Signal, Floats]
    counts: Mapping[Signal, Integers]
    replica: Integers

    def __len__(self) -> int:
        return len(self.replica)

    @classmethod
    def merged(cls, parts: Sequence["HeldOut"]) -> "HeldOut":
        """All of them: of replicas or nodes that have none in common.

        A model of all would have known more, so these scores are rather too high than too low.
        """
        offsets = np.cumsum([0] + [int(part.replica.max()) + 1 for part in parts[:-1]])
        return cls(
            {s: np.concatenate([part.bits[s] for part in parts]) for s in Signal},
            {s: np.concatenate([part.counts[s] for part in parts]) for s in NOVELTIES},
            np.concatenate([p.replica + o for p, o in zip(parts, offsets, strict=True)]),
        )

    def table(self) -> pa.Table:
        """As a table of ``SCHEMA``."""
        columns = [self.bits[s] for s in Signal] + [self.counts[s] for s in NOVELTIES]
        return pa.table([*columns, pa.array(self.replica, pa.int32())], schema=SCHEMA)

    @classmethod
    def from_table(cls, table: pa.Table) -> "HeldOut":
        """From such a table.

        Raises:
            ValueError: it is not the surprise of windows.
        """
        bits = {s: as_array(table[s.value]) for s in Signal}
        counts = {s: as_array(table[f"{s.value}_count"]) for s in NOVELTIES}
        replica = as_array(table["replica"]).astype(np.int64)
        if not len(table) or any((of < 0).any() for of in (*counts.values(), replica)):
            raise ValueError("there are no held-out windows, or they count nothing")
        if not all(np.isfinite(of).all() and (of >= 0).all() for of in bits.values()):
            raise ValueError("the held-out surprise is not one of every window")
        return cls(bits, counts, replica)
