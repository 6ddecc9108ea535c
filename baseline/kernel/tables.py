"""What the kernel counted since the last reading, by group.

Counts in the kernel only grow, so a reading is a copy and a subtraction; any number of readers can
read at once and none takes anything from another.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from baseline.kernel import layout
from baseline.kernel.accounts import Account, Counts
from baseline.kernel.bpf_syscall import BpfMap
from baseline.kernel.loaded import LoadedProgram
from baseline.kernel.position import Arrays
from baseline.kernel.program import MAX_GROUPS
from baseline.window import Ledger, NgramCounts, Tally

_INDEPENDENT = ("executions", "connections", "events")
"""What is counted before it is recorded, held back or lost."""

_LEDGER = np.dtype([(name, "<i8") for name in layout.LEDGER.names or ()])

_SEEN_SLOT = np.dtype([("slot", "<u4"), ("group_count", "<u8")])


class _Growth(NamedTuple):
    """Entries of a table that grew: key, group and growth of each, shape (k,)."""

    keys: npt.NDArray[Any]
    groups: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]

    def by_group(self, groups: int) -> Counts:
        return np.bincount(self.groups, self.counts, groups).astype(np.int64)

    def plus(self, other: "_Growth") -> "_Growth":
        return _Growth(
            np.concatenate([self.keys, other.keys]),
            np.concatenate([self.groups, other.groups]),
            np.concatenate([self.counts, other.counts]),
        )

    def where(self, chosen: npt.NDArray[np.bool_]) -> "_Growth":
        return _Growth(self.keys[chosen], self.groups[chosen], self.counts[chosen])

    def of_field(self, name: str) -> "_Growth":
        """The same with one field of the keys as keys."""
        return _Growth(self.keys[name], self.groups, self.counts)

    def histograms(self) -> Iterator[tuple[int, NgramCounts]]:
        """Of each group that of its keys, in which they may repeat or count zero."""
        # Sorted once for all groups: a histogram of each took half of the time of a reading.
        order = np.lexsort((self.keys, self.groups))
        keys, groups = self.keys[order], self.groups[order]
        is_first = np.ones(len(order), np.bool_)
        is_first[1:] = (keys[1:] != keys[:-1]) | (groups[1:] != groups[:-1])
        starts = np.flatnonzero(is_first)
        counts = np.add.reduceat(self.counts[order], starts)
        starts, counts = starts[counts > 0], counts[counts > 0]
        keys, groups = keys[starts], groups[starts]
        bounds = np.flatnonzero(np.diff(groups, prepend=-1, append=-1)).tolist()
        for start, end in itertools.pairwise(bounds):
            # Copies, so that whoever keeps one window does not keep those of all others.
            histogram = NgramCounts(keys[start:end].copy(), counts[start:end].copy())
            yield int(groups[start]), histogram

    def entries(self) -> Iterator[tuple[int, Any, int]]:
        yield from zip(self.groups.tolist(), self.keys, self.counts.tolist(), strict=True)


class _SlotTable:
    """The memory-mapped table of n-grams, with what was read of it last."""

    def __init__(self, slots: npt.NDArray[np.void]) -> None:
        self._slots = slots
        self._seen = np.zeros(slots.size, np.uint64)
        self._taken = np.empty(0, np.intp)  # next to all slots are empty, as a rule

    def position(self) -> npt.NDArray[np.void]:
        entries = np.empty(len(self._taken), _SEEN_SLOT)
        entries["slot"], entries["group_count"] = self._taken, self._seen[self._taken]
        return _raw(entries)

    def go_to(self, position: npt.NDArray[np.void]) -> None:
        entries = position.view(_SEEN_SLOT)
        self._seen[:] = 0
        self._seen[entries["slot"]] = entries["group_count"]
        self._taken = np.flatnonzero(self._seen)

    def forget(self, groups: npt.NDArray[np.int64]) -> None:
        owners = self._seen[self._taken] >> np.uint64(layout.GROUP_SHIFT)
        goes = np.isin(owners, groups.astype(np.uint64))
        self._seen[self._taken[goes]] = 0
        self._taken = self._taken[~goes]

    def read(self) -> _Growth:
        # All of them, whatever the kernel counted apart: that count is there to check this one.
        grown = np.flatnonzero(self._slots["group_count"] != self._seen)
        seen_before = self._taken[self._seen[self._taken] != 0]
        self._taken = np.concatenate([seen_before, grown[self._seen[grown] == 0]])
        # Counts before n-grams: whoever sees a count sees the n-gram it belongs to.
        now, before = self._slots["group_count"][grown], self._seen[grown]
        ngrams = self._slots["ngram"][grown]
        self._seen[grown] = now
        count, shift = np.uint64(layout.COUNT_MASK), np.uint64(layout.GROUP_SHIFT)
        # A slot may have been wiped and taken by another group since.
        before = np.where(now >> shift == before >> shift, before & count, 0)
        return _Growth(
            ngrams,
            (now >> shift).astype(np.int64),
            (now & count).astype(np.int64) - before.astype(np.int64),
        )


class _HashTable:
    """A hash map of counts that only grow, with what was read of it last."""

    def __init__(self, table: BpfMap, key: np.dtype[np.void]) -> None:
        self._table = table
        self._key = key
        self._entry = np.dtype([("key", "V", key.itemsize), ("count", "<u8")])
        self._seen: dict[bytes, int] = {}

    def position(self) -> npt.NDArray[np.void]:
        entries = np.empty(len(self._seen), self._entry)
        entries["key"] = np.frombuffer(b"".join(self._seen), entries["key"].dtype)
        entries["count"] = np.fromiter(self._seen.values(), np.uint64, len(self._seen))
        return _raw(entries)

    def go_to(self, position: npt.NDArray[np.void]) -> None:
        entries = position.view(self._entry)
        keys, counts = entries["key"].tolist(), entries["count"].tolist()
        self._seen = dict(zip(keys, counts, strict=True))

    def forget(self, groups: npt.NDArray[np.int64]) -> None:
        keys = np.frombuffer(b"".join(self._seen), self._key)
        stays = ~np.isin(keys["group"], groups.astype(keys["group"].dtype))
        self._seen = dict(compress(self._seen.items(), stays.tolist()))

    def read(self, *, needed: bool) -> _Growth:
        """Entries that grew; the map is not touched where that is known not to be needed."""
        keys: list[bytes] = []
        counts: list[int] = []
        for raw_keys, raw_values in self._table.entries() if needed else ():
            size = self._key.itemsize
            # A per-CPU value is one count for each CPU.
            totals = np.frombuffer(raw_values, "<u8").reshape(len(raw_keys) // size, -1).sum(axis=1)
            for index, count in enumerate(totals.tolist()):
                key = bytes(raw_keys[index * size : (index + 1) * size])
                growth = count - self._seen.get(key, 0)
                if growth:
                    self._seen[key] = count
                    keys.append(key)
                    counts.append(growth)
        entries = np.frombuffer(b"".join(keys), self._key)
        return _Growth(entries, entries["group"].astype(np.int64), np.array(counts, np.int64))


@dataclass
class GroupCounts:
    """What one group did between two readings.

    Attributes:
        ngrams: the histogram.
        executions, connections: raw keys (``layout.EXECUTION_KEY``, ``CONNECTION_KEY``) and counts.
        ledger: where every count went.
    """

    ngrams: NgramCounts = field(default_factory=NgramCounts.empty)
    executions: list[tuple[np.void, int]] = field(default_factory=list)
    connections: list[tuple[np.void, int]] = field(default_factory=list)
    ledger: Ledger = Ledger()


class Tables:
    """A reader of a program's tables, with its own idea of what it has seen already.

    The numbers of groups whose cgroup is gone are given to others in time
    (:mod:`baseline.kernel.reclaiming`); a reader notices by the owners of the groups, and begins
    anew with them.

    Args:
        program: the loaded program.
    """

    def __init__(self, program: LoadedProgram) -> None:
        self._program = program
        maps = program.maps
        self._slots = _SlotTable(program.slots)
        self._ngram_overflow = _HashTable(maps["ngram_overflow"], layout.NGRAM_KEY)
        self._executions = _HashTable(maps["executions"], layout.EXECUTION_KEY)
        self._connections = _HashTable(maps["connections"], layout.CONNECTION_KEY)
        self._connection_overflow = _HashTable(maps["connection_overflow"], layout.CONNECTION_KEY)
        cpus = len(program.counters)
        self._ngram_account = Account(MAX_GROUPS, cpus)
        self._execution_account = Account(MAX_GROUPS, cpus)
        self._connection_account = Account(MAX_GROUPS, cpus)
        self._sight_account = Account(MAX_GROUPS, cpus)
        self._sights = np.zeros((2, MAX_GROUPS), np.int64)
        self._owners = np.zeros(MAX_GROUPS, np.uint64)
        self._used = 0  # numbers from here on were never seen in use
        self._parts: dict[str, _SlotTable | _HashTable | Account] = {
            "slots": self._slots,
            "ngram_overflow": self._ngram_overflow,
            "executions": self._executions,
            "connections": self._connections,
            "connection_overflow": self._connection_overflow,
            "ngram_account": self._ngram_account,
            "execution_account": self._execution_account,
            "connection_account": self._connection_account,
            "sight_account": self._sight_account,
        }

    def position(self) -> Arrays:
        """What was read so far, by name."""
        used = self._used
        arrays: dict[str, npt.NDArray[Any]] = {
            name: part.position(used) if isinstance(part, Account) else part.position()
            for name, part in self._parts.items()
        }
        return {**arrays, "sights": self._sights[:, :used], "owners": self._owners[:used]}

    def fits(self, position: Arrays) -> bool:
        """Whether it can be gone to: another release may have written it, or a torn disk."""
        own = self.position()
        by_group = {"sights", "owners"}
        by_group |= {name for name, part in self._parts.items() if isinstance(part, Account)}
        return (
            own.keys() == position.keys()
            and all(
                array.dtype == position[name].dtype
                and array.shape[:-1] == position[name].shape[:-1]
                for name, array in own.items()
            )
            and max(position[name].shape[-1] for name in by_group) <= MAX_GROUPS
        )

    def go_to(self, position: Arrays) -> None:
        """Take what :meth:`position` gave as read; a new reader has read nothing."""
        self._used = len(position["owners"])
        self._sights = _of_groups(position["sights"], MAX_GROUPS).copy()
        self._owners = _of_groups(position["owners"], MAX_GROUPS)
        for name, part in self._parts.items():
            array = position[name]
            part.go_to(_of_groups(array, MAX_GROUPS) if isinstance(part, Account) else array)

    def read(self) -> dict[int, GroupCounts]:
        """Counts by group since the last reading; groups that did nothing are not there."""
        owners = self._read_owners()
        self._forget((self._owners != 0) & (self._owners != owners))
        # The order matters: the independent counts enclose the tables (baseline.kernel.accounts).
        self._look_for_groups()
        calls_before, before = self._calls(), self._ledgers()
        slots = self._slots.read()
        ngram_overflow = self._ngram_overflow.read(needed=bool(before["ngrams_overflowed"].any()))
        executions = self._executions.read(
            needed=self._execution_account.is_behind(before["executions"])
        )
        behind = self._connection_account.is_behind(before["connections"])
        connections = self._connections.read(needed=behind)
        folded = self._connection_overflow.read(needed=behind)
        self._look_for_groups()
        after, calls_after = self._ledgers(), self._calls()
        owners_after = self._read_owners()

        # All counts of a group that is being wiped were read before, by us too.
        wiped = (owners_after == 0) | ((owners != 0) & (owners != owners_after))
        slots, ngram_overflow, executions, connections, folded = (
            growth.where(~wiped[growth.groups])
            for growth in (slots, ngram_overflow, executions, connections, folded)
        )
        self._look_for_groups()
        used = self._used
        calls_before, calls_after = _of_groups(calls_before, used), _of_groups(calls_after, used)
        before, after = _of_groups(before, used), _of_groups(after, used)
        of_known = executions.keys["lineage"][:, 0] != layout.IMAGE_FOLDED
        held_back = after["events_held_back"]
        sights = np.stack([after["events"] - held_back - after["events_lost"], held_back])
        sent, kept = sights - self._sights[:, :used]
        self._sights[:, :used] = sights
        tallies = np.stack(
            [  # in the order of the ledger
                self._ngram_account.settle(
                    recorded=slots.by_group(used),
                    overflowed=ngram_overflow.by_group(used),
                    lost=after["ngrams_lost"],
                    before=calls_before,
                    after=calls_after,
                ),
                self._execution_account.settle(
                    recorded=executions.where(of_known).by_group(used),
                    overflowed=executions.where(~of_known).by_group(used),
                    lost=after["executions_lost"],
                    before=before["executions"],
                    after=after["executions"],
                ),
                self._connection_account.settle(
                    recorded=connections.by_group(used),
                    overflowed=folded.by_group(used),
                    lost=after["connections_lost"],
                    before=before["connections"],
                    after=after["connections"],
                ),
                self._sight_account.settle(
                    recorded=sent,
                    overflowed=kept,
                    lost=after["events_lost"],
                    before=after["events"],
                    after=after["events"],
                ),
            ]
        )
        self._owners = owners_after
        self._forget(wiped)
        tallies[:, :, wiped[:used]] = 0

        changes: defaultdict[int, GroupCounts] = defaultdict(GroupCounts)
        ngrams = slots.plus(ngram_overflow.of_field("ngram"))
        for group, histogram in ngrams.histograms():
            changes[group].ngrams = histogram
        for group, key, count in executions.entries():
            changes[group].executions.append((key, count))
        for group, key, count in connections.plus(folded).entries():
            changes[group].connections.append((key, count))
        touched = np.flatnonzero(tallies.any(axis=(0, 1)))
        rows = tallies[:, :, touched].transpose(2, 0, 1).tolist()
        for group, ledger in zip(touched.tolist(), rows, strict=True):
            changes[group].ledger = Ledger(*map(Tally._make, ledger))
        return dict(changes)

    def _forget(self, chosen: npt.NDArray[np.bool_]) -> None:
        """Begin anew with groups whose counts were wiped."""
        # Number 0 is no group, and most numbers have never been used.
        if not chosen.any():
            return
        used = self._used
        accounts = [part for part in self._parts.values() if isinstance(part, Account)]
        known = np.logical_or.reduce([account.is_known(used) for account in accounts])
        groups = np.flatnonzero(chosen[:used] & known)
        if len(groups):
            self._sights[:, groups] = 0
            for part in self._parts.values():
                part.forget(groups)

    def _look_for_groups(self) -> None:
        """Numbers are given from the lowest on, and most have never been used."""
        owners = self._program.owners
        # A wiped group has no cgroup any more, and may still count for a moment.
        in_use = (owners["cgroup"] != 0) | (owners["state"] != layout.GROUP_FREE)
        self._used = max(self._used, int(np.flatnonzero(in_use).max(initial=-1)) + 1)

    def _read_owners(self) -> npt.NDArray[np.uint64]:
        owners: npt.NDArray[np.uint64] = self._program.owners["cgroup"].copy()
        return owners

    def _calls(self) -> Counts:
        calls: Counts = self._program.counters["calls"][:, : self._used].sum(axis=0).view(np.int64)
        return calls

    def _ledgers(self) -> npt.NDArray[np.void]:
        """The ledgers, of each signal what was lost before what was counted."""
        ledgers, later = (self._program.ledgers[: self._used].copy() for _ in range(2))
        for name in _INDEPENDENT:
            ledgers[name] = later[name]
        return ledgers.view(_LEDGER)


def _raw(entries: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """The same bytes, each entry a single value."""
    return entries.view(f"V{entries.dtype.itemsize}")


def _of_groups(counts: npt.NDArray[Any], groups: int) -> npt.NDArray[Any]:
    """The same with zeros for groups that came later, or whose numbers were free."""
    if counts.shape[-1] == groups:
        return counts
    everything = np.zeros((*counts.shape[:-1], groups), counts.dtype)
    everything[..., : counts.shape[-1]] = counts
    return everything
