"""How a model came about, for people to read: nothing of it enters a score."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from baseline.model.completeness import WorkloadCompleteness

_MOST_LINES = 10_000
_LONGEST_LINE = 65_536
ACCEPTED = "Accepted alert {}"
"""How a note begins on what a person took for normal."""

NOT_KNOWN = "models do not tell how much they know together: learn from their recordings"
"""Why a merged model has no completeness."""

_UNLISTED = "... and {:,} more"
_UNLISTED_NUMBER = re.compile(r"\.\.\. and ([0-9,]{1,15}) more")


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

    @property
    def kept_out(self) -> int:
        """How many things are quarantined, those without a line of their own included."""
        return len(self.listed) + sum(
            int(line[1].replace(",", "") or 0)
            for line in map(_UNLISTED_NUMBER.fullmatch, self.quarantined)
            if line
        )

    @property
    def listed(self) -> tuple[str, ...]:
        """What is quarantined and has a line of its own."""
        return tuple(line for line in self.quarantined if not _UNLISTED_NUMBER.fullmatch(line))

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


def as_lines(things: Sequence[str], most: int) -> tuple[str, ...]:
    """A line for each thing that is quarantined; of more than ``most``, how many more there are."""
    more = len(things) - most
    return (*things[:most], *([_UNLISTED.format(more)] if more > 0 else []))
