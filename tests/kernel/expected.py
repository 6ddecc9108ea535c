"""Counts as they have to come out, by slow and obvious counting."""

from collections import Counter
from collections.abc import Iterable, Sequence

from baseline.syscalls import NGRAM_LENGTH, ngram_names
from baseline.window import Window

Names = tuple[str, ...]
"""An n-gram by the names of its calls, oldest first; shorter where the thread is younger."""


def histories(*threads: Sequence[str]) -> Counter[Names]:
    """N-grams of threads that make these calls, each from an empty history on."""
    return Counter(
        tuple(calls[max(0, end - NGRAM_LENGTH) : end])
        for calls in threads
        for end in range(1, len(calls) + 1)
    )


def known_run(calls: Sequence[str]) -> Counter[Names]:
    """N-grams in a cgroup where ``enter`` starts the program ``calls``: exec empties history."""
    return histories(["execve"], [*calls, "exit_group"])


def ngrams(window: Window) -> Counter[Names]:
    """What was counted, by name."""
    pairs = zip(window.ngrams.ngrams.tolist(), window.ngrams.counts.tolist(), strict=True)
    counts: Counter[Names] = Counter()
    for ngram, count in pairs:
        counts[ngram_names(ngram)] += count
    return counts


def ending_in(counts: Counter[Names], call: str) -> int:
    """How often a call was made: each is the last of one n-gram."""
    return sum(count for names, count in counts.items() if names[-1] == call)


def started(window: Window) -> Counter[str]:
    """Executions by lineage, as people read it."""
    counts: Counter[str] = Counter()
    for execution, count in window.executions.items():
        counts[str(execution)] += count
    return counts


def peers(window: Window) -> Counter[str]:
    """Connections, as people read them."""
    return Counter({str(connection): count for connection, count in window.connections.items()})


def lineage(images: Iterable[object]) -> str:
    """A lineage as ``str`` of an execution writes it."""
    return " > ".join(map(str, images))
