"""A command of its own that watches, for tests that need a second process.

Called with ``keep`` or ``go``, a selector and the size of the n-gram table (other sizes are another
version of the program), it writes ``ready``; then, for each line on stdin,
reads once and writes as JSON what it has counted so far: replica -> calls, executions, connections.
The end of stdin ends it in order, and with ``go`` the kernel program goes with it.
"""

import json
import sys
from collections import defaultdict

from baseline.kernel.program import Settings
from baseline.kernel.source import KernelSource
from baseline.window import Window
from baseline.workloads.cgroups import CgroupSelector, cgroup2_mount


def main() -> None:
    """Watch until stdin ends."""
    keep, selector, slot_bits = sys.argv[1:]
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    with KernelSource(
        [CgroupSelector.parse(selector, cgroup2_mount())],
        keep=keep == "keep",
        say=lambda _: None,
        reader=selector.replace("/", "_"),
        settings=Settings(slot_bits=int(slot_bits)),
    ) as source:
        print("ready", flush=True)
        for _ in sys.stdin:
            for window in source.observations(0.001):
                if isinstance(window, Window):
                    assert window.ledger.adds_up, window.ledger
                    seen = counts[window.replica]
                    seen[0] += window.ngrams.total
                    seen[1] += sum(window.executions.values())
                    seen[2] += sum(window.connections.values())
            print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()
