"""Executions: which program is started after which ancestors, and as which user.

Contexts of an execution, with the part that is new or known there:

=================  ===========================================================
the whole lineage  the user
all ancestors      the program
everything         the ancestors, as something that starts programs at all
the parent         the program
everything         the program
=================  ===========================================================

So a shell from a server that never started anything is new in every way; a known program under
another user is new in one.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa

from baseline.model.hierarchy import Context, Part
from baseline.model.hierarchy_model import HierarchyModel
from baseline.model.hierarchy_tables import hierarchy_schemas
from baseline.model.score import Signal
from baseline.window import MAX_LINEAGE, Execution, Image, Window


class ExecutionModel(HierarchyModel[Execution]):
    """Normal executions of a workload; see the module."""

    signal: ClassVar[Signal] = Signal.EXECUTIONS
    schemas: ClassVar[Mapping[str, pa.Schema]] = hierarchy_schemas(
        signal, "[lineage, uid], the lineage a list of [path, script, unlinked], oldest first"
    )

    @staticmethod
    def levels(item: Execution) -> Sequence[tuple[Context, Part]]:
        """Contexts of an execution; see the module."""
        *ancestors, image = item.lineage
        return [
            (("lineage", *item.lineage), item.uid),
            (("ancestors", *ancestors), image),
            ((), ("starts programs", *ancestors)),
            (("parent", *ancestors[-1:]), image),
            ((), image),
        ]

    @classmethod
    def histogram(cls, window: Window) -> Mapping[Execution, int]:
        """The executions of a window."""
        return window.executions

    @classmethod
    def decode(cls, item: Any) -> Execution:
        """An execution from nested tuples."""
        lineage, uid = item
        execution = Execution(
            tuple(Image(path, script, unlinked) for path, script, unlinked in lineage), uid
        )
        if not 1 <= len(lineage) <= MAX_LINEAGE or type(uid) is not int or not 0 <= uid < 1 << 32:
            raise ValueError("an execution without lineage or user")
        for path, script, unlinked in execution.lineage:
            if [type(path), type(script), type(unlinked)] != [str, str, bool]:
                raise TypeError("an image that is none")
        return execution

    def describe(self, item: Execution) -> str:
        """The lineage and the user."""
        return f"{item} (uid {item.uid})"

    def habits(self, item: Execution) -> Sequence[tuple[Hashable, str]]:
        """The user of its lineage, the program after its ancestors, the lineage of its program."""
        *ancestors, image = item.lineage
        return [
            (("lineage", *item.lineage), f"uid {item.uid}"),
            (("ancestors", *ancestors), str(image)),
            (("program", image), str(item)),
        ]

    def nearest(self, item: Execution, window: Window | None) -> str:
        """The usual users, else what else the ancestors start, else the same program elsewhere."""
        *ancestors, image = item.lineage
        if users := self.usual.get(("lineage", *item.lineage)):
            return f"usually as {users}"
        parent = str(ancestors[-1]) if ancestors else "the workload"
        if siblings := self.usual.get(("ancestors", *ancestors)):
            return f"{parent} usually starts {siblings}"
        if elsewhere := self.usual.get(("program", image)):
            return f"{parent} starts nothing; this program was seen as {elsewhere}"
        return f"{parent} starts nothing"
