"""What a source yields when somebody changed the ground that counting stands on."""

from dataclasses import dataclass

from baseline.window import NODE


@dataclass(frozen=True)
class Interference:
    """Root took something away from the collector, or changed it: counts may be short since.

    Attributes:
        time: when it was noticed, in nanoseconds since the epoch.
        what: what is wrong and what follows from it, a sentence without a full stop.
        node: name of the machine.
    """

    time: int
    what: str
    node: str = NODE
