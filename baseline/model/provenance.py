"""How a model came about, for people to read: nothing of it enters a score."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from baseline.model.completeness import WorkloadCompleteness

_MOST_LINES = 10_000
_LONGEST_LINE = 65_536


@dataclass(frozen=True)
class Provenance:
    """How a model came about.

    Attributes:
        completeness: how much of the behaviour its training saw; ``None`` where nothing tells it,
            as of a merged model.
        quarantined: what a single part of the training brought and is kept out of the model, as
            people write it.
        notes: what was done to it since, one sentence each, the oldest first.
    """

    completeness: WorkloadCompleteness | None = None
    quarantined: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """In types that JSON has."""
        return {
            "completeness": self.completeness and self.completeness.to_dict(),
            "quarantined": list(self.quarantined),
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Provenance":
        """Inverse of :meth:`to_dict`.

        Raises:
            ValueError: it is none.
        """
        completeness, quarantined, notes = (
            values[name] for name in ("completeness", "quarantined", "notes")
        )
        for lines in (quarantined, notes):
            if not isinstance(lines, list) or len(lines) > _MOST_LINES:
                raise ValueError("the provenance has no such lines")
            for line in lines:
                if not isinstance(line, str) or len(line) > _LONGEST_LINE:
                    raise ValueError("a line of the provenance is none")
                line.encode()  # raises ValueError for what is not Unicode
        return cls(
            WorkloadCompleteness.from_dict(completeness) if completeness is not None else None,
            tuple(quarantined),
            tuple(notes),
        )
