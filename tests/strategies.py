"""Hypothesis strategies for windows and what is in them, for every test that needs some."""

import numpy as np
from hypothesis import strategies as st

from baseline.window import (
    MAX_LINEAGE,
    Connection,
    Execution,
    Image,
    Ledger,
    NgramCounts,
    Tally,
    Window,
)

MIDNIGHT = 1_795_392_000_000_000_000
"""2026-11-23 00:00 UTC in nanoseconds; the windows are of the two days around it."""

counts = st.one_of(st.integers(1, 100), st.integers(1, 2**63 - 1))
small_counts = st.integers(1, 2**40)
"""Counts of which a great many can be added."""

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
paths = st.one_of(
    st.sampled_from(
        ["/bin/sh", "/usr/sbin/nginx", "memfd:payload", ".../bin/tool", r"/srv/\xff", "/a\nb", "/ü"]
    ),
    texts,
)
images = st.builds(Image, path=paths, script=paths, unlinked=st.booleans())
executions = st.builds(
    Execution,
    lineage=st.lists(images, min_size=1, max_size=MAX_LINEAGE).map(tuple),
    uid=st.one_of(st.sampled_from([0, 33, 2**32 - 1]), st.integers(0, 2**32 - 1)),
)
addresses = st.one_of(st.ip_addresses().map(str), st.just(""))
connections = st.builds(
    Connection,
    direction=st.sampled_from(["in", "out"]),
    protocol=st.sampled_from(["tcp", "udp", "132"]),
    peer=addresses,
    port=st.integers(0, 2**16 - 1),
)
ngrams = st.one_of(st.integers(0, 50), st.integers(2**63, 2**64 - 1), st.integers(0, 2**64 - 1))


def ngram_counts(counts: st.SearchStrategy[int] = counts) -> st.SearchStrategy[NgramCounts]:
    """Histograms of n-grams, also with the highest bits set."""
    return st.dictionaries(ngrams, counts, max_size=8).map(
        lambda histogram: NgramCounts.collect(
            np.array(list(histogram), np.uint64), np.array(list(histogram.values()), np.int64)
        )
    )


def ledgers(most: int = 2**63 - 1) -> st.SearchStrategy[Ledger]:
    """Ledgers, whether or not they add up."""
    number = st.integers(0, most)
    tally = st.builds(Tally, counted=number, recorded=number, overflowed=number, lost=number)
    return st.builds(Ledger, ngrams=tally, executions=tally, connections=tally, events=tally)


def windows(
    workloads: st.SearchStrategy[str] = texts,
    counts: st.SearchStrategy[int] = counts,
    most: int = 2**63 - 1,
) -> st.SearchStrategy[Window]:
    """Windows, also empty ones and ones over which the clock was set back.

    Args:
        workloads: their names.
        counts: the counts in their histograms.
        most: largest number in their ledgers.
    """
    times = st.integers(MIDNIGHT - 10**12, MIDNIGHT + 10**12)
    return st.builds(
        Window,
        workload=workloads,
        replica=paths,
        start=times,
        end=times,
        observed=st.integers(0, most),
        ngrams=ngram_counts(counts),
        executions=st.dictionaries(executions, counts, max_size=4),
        connections=st.dictionaries(connections, counts, max_size=4),
        ledger=ledgers(most),
    )


small_windows = windows(st.just("web"), small_counts, 2**40)
"""Windows of one workload, of which a great many can be added."""


def numbered_window(number: int, workload: str = "web", ngrams: int = 5) -> Window:
    """One second of a busy workload, always the same for a number; 99 ends at midnight."""
    ascending = np.arange(number, number + ngrams, dtype=np.uint64)
    shell = Execution((Image("/usr/sbin/nginx"), Image("/bin/sh", "run.sh")), uid=33)
    peer = Connection("out", "tcp", f"2001:db8::{number % 9999}", 443)
    return Window(
        workload=workload,
        replica=f"/system.slice/{workload}.service",
        start=MIDNIGHT + (number - 100) * 10**9,
        end=MIDNIGHT + (number - 99) * 10**9,
        observed=10**9,
        ngrams=NgramCounts(
            ascending << np.uint64(40) | ascending % np.uint64(500) + np.uint64(1),
            np.arange(1, ngrams + 1, dtype=np.int64),
        ),
        executions={shell: number + 1},
        connections={peer: 2, Connection("in", "tcp", "10.0.0.1", 80): 7},
        ledger=Ledger(ngrams=Tally(number, number)),
    )
