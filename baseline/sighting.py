"""A first sight: something the kernel had not counted before, reported the moment it happened.

Sightings are hints for speed and context; what is counted is in the windows alone.  The kernel
reports an item once for each slot it takes, so the same n-gram may be sighted again on another CPU.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from baseline.window import NODE, Connection, Execution, Image, Window


class Process(NamedTuple):
    """The process in which something was seen.

    Attributes:
        pid: process id (thread group id) in the initial pid namespace.
        tid: thread id there.
        comm: the thread's name, which the process itself can change.
        lineage: images as in :class:`baseline.window.Execution`; empty where it is not known.
        arguments: its command line as its own memory had it at that moment, so the process may
            have changed it; empty where it could not be read.
        arguments_cut: there were more arguments than are kept.
    """

    pid: int
    tid: int
    comm: str
    lineage: tuple[Image, ...]
    arguments: tuple[str, ...] = ()
    arguments_cut: bool = False


@dataclass(frozen=True)
class Sighting:
    """An item of a workload's behaviour that took a new slot in the kernel's tables.

    Attributes:
        workload, replica: as in :class:`baseline.window.Window`.
        time: wall-clock time in nanoseconds since the epoch.
        item: the packed n-gram, the execution or the connection.
        who: the process that did it, or what finds that out: nobody asks of what is known anyway.
        node: name of the machine.
    """

    workload: str
    replica: str
    time: int
    item: int | Execution | Connection
    who: Process | Callable[[], Process | None] | None
    node: str = NODE

    @cached_property
    def process(self) -> Process | None:
        """Who did it; ``None`` where the kernel cannot tell (inbound connections)."""
        return self.who() if callable(self.who) else self.who


Observation = Window | Sighting
"""What a source yields, in the order in which it became known."""
