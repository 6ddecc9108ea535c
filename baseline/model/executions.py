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

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa

from baseline.model.hierarchy import Context, HierarchyModel, Part, hierarchy_schemas, most_common
from baseline.window import Execution, Image, Signal, Window


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

    @staticmethod
    def histogram(window: Window) -> Mapping[Execution, int]:
        """The executions of a window."""
        return window.executions

    @staticmethod
    def decode(item: Any) -> Execution:  # noqa: ANN401 - JSON
        """An execution from nested tuples."""
        lineage, uid = item
        return Execution(tuple(Image(*image) for image in lineage), uid)

    def describe(self, item: Execution) -> str:
        """The lineage and the user."""
        return f"{item} (uid {item.uid})"

    def nearest(self, item: Execution) -> str:
        """What else the same ancestors start, else the same program elsewhere."""
        *ancestors, image = item.lineage
        siblings: Counter[str] = Counter()
        elsewhere: Counter[str] = Counter()
        for known, count in self.counts.items():
            if known.lineage == item.lineage:
                siblings[f"{image} as uid {known.uid}"] += count
            elif list(known.lineage[:-1]) == ancestors:
                siblings[str(known.image)] += count
            elif known.image == image:
                elsewhere[str(known)] += count
        parent = str(ancestors[-1]) if ancestors else "the workload"
        if siblings:
            return f"{parent} usually starts {most_common(siblings)}"
        if elsewhere:
            return f"{parent} started nothing; this program was seen as {most_common(elsewhere)}"
        return f"{parent} started nothing in learning"
