"""What the kernel counted since the last reading, by group.

Counts in the kernel only grow, so a reading is a copy and a subtraction; any number of readers can
read at once and none takes anything from another.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from baseline.kernel import layout
from baseline.kernel.accounts import Accounts, Counts
from baseline.kernel.hash_table import Growth, HashTable
from baseline.kernel.loaded import LoadedProgram
from baseline.kernel.position import Arrays
from baseline.kernel.program import MAX_GROUPS
from baseline.kernel.slot_table import SlotGrowth, SlotTable

_FIELDS = layout.LEDGER.names or ()
_OVERFLOWED = _FIELDS.index("ngrams_overflowed")
_EVENTS, _HELD_BACK = _FIELDS.index("events"), _FIELDS.index("events_held_back")

_COUNTED = [_FIELDS.index(name) for name in ("executions", "connections", "events")]
"""What is counted before it is recorded, held back or lost; system calls are counted elsewhere."""

_LOST = [
    _FIELDS.index(f"{name}_lost") for name in ("ngrams", "executions", "connections", "events")
]

_ACCOUNTS = ("ngram_account", "execution_account", "connection_account", "sight_account")
"""Names in a position, in the order of the ledger."""

_EXECUTIONS, _CONNECTIONS, _SIGHTS = 1, 2, 3


class Changes(NamedTuple):
    """What was counted between two readings.

    Attributes:
        slots, overflow: n-grams, those that found no slot with keys ``layout.NGRAM_KEY``.
        executions, connections: keys ``layout.EXECUTION_KEY`` and ``layout.CONNECTION_KEY``.
        folded: the same of connections without their address.
        tallies: of each group the ledger as numbers, in the order of the fields of
            :class:`baseline.window.Ledger` and :class:`baseline.window.Tally`, shape
            (groups, 4, 4); groups beyond did nothing.
    """

    slots: SlotGrowth
    overflow: Growth
    executions: Growth
    connections: Growth
    folded: Growth
    tallies: npt.NDArray[np.int64]


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
        # Whole words, which are copied at once: a field at a time takes several times as long.
        self._ledger_words = program.ledgers.view("<i8").reshape(MAX_GROUPS, -1)
        self._call_counts = program.counters["calls"]
        self._slots = SlotTable(program.slots)
        self._hashes = {
            "ngram_overflow": HashTable(maps["ngram_overflow"], layout.NGRAM_KEY),
            "executions": HashTable(maps["executions"], layout.EXECUTION_KEY),
            "connections": HashTable(maps["connections"], layout.CONNECTION_KEY),
            "connection_overflow": HashTable(maps["connection_overflow"], layout.CONNECTION_KEY),
        }
        self._accounts = Accounts(len(_ACCOUNTS), MAX_GROUPS, len(program.counters))
        self._sights = np.zeros((2, MAX_GROUPS), np.int64)
        self._owners = np.zeros(MAX_GROUPS, np.uint64)
        self._used = 0  # numbers from here on were never seen in use

    def position(self) -> Arrays:
        """What was read so far, by name."""
        used = self._used
        return {
            "slots": self._slots.position(),
            **{name: table.position() for name, table in self._hashes.items()},
            **{name: self._accounts.position(its, used) for its, name in enumerate(_ACCOUNTS)},
            "sights": self._sights[:, :used],
            "owners": self._owners[:used],
        }

    def fits(self, position: Arrays) -> bool:
        """Whether it can be gone to: another release may have written it, or a torn disk."""
        own = self.position()
        return (
            own.keys() == position.keys()
            and all(
                array.dtype == position[name].dtype
                and array.shape[:-1] == position[name].shape[:-1]
                for name, array in own.items()
            )
            and all(position[n].shape[-1] <= MAX_GROUPS for n in ("sights", "owners", *_ACCOUNTS))
        )

    def go_to(self, position: Arrays) -> None:
        """Take what :meth:`position` gave as read; a new reader has read nothing."""
        self._used = len(position["owners"])
        self._sights = _of_groups(position["sights"], MAX_GROUPS).copy()
        self._owners = _of_groups(position["owners"], MAX_GROUPS)
        self._slots.go_to(position["slots"])
        for name, table in self._hashes.items():
            table.go_to(position[name])
        for signal, name in enumerate(_ACCOUNTS):
            self._accounts.go_to(signal, position[name])

    def read(self) -> Changes:
        """What was counted since the last reading."""
        used = self._program.look_for_groups()
        owners = self._read_owners(used)
        known_owners = self._owners[:used]
        self._forget((known_owners != 0) & (known_owners != owners))
        # The order matters: the independent counts enclose the tables (baseline.kernel.accounts).
        before, ledgers = self._read_counted(used)
        slots = self._slots.read()
        hashes = self._read_hashes(before, overflows=bool(ledgers[_OVERFLOWED].any()))
        used = self._used = self._program.look_for_groups()
        after, ledgers = self._read_counted(used)
        owners, owners_after = _of_groups(owners, used), self._read_owners(used)
        before = _of_groups(before, used)

        # All counts of a group that is being wiped were read before, by us too.
        wiped = (owners_after == 0) | ((owners != 0) & (owners != owners_after))
        nobodys = np.append(wiped, True)  # as what root may have put there for any number
        slots = slots.without(nobodys)
        overflow, executions, connections, folded = (growth.without(nobodys) for growth in hashes)
        held_back, lost = ledgers[_HELD_BACK], ledgers[_LOST]
        sights = np.array([after[_SIGHTS] - held_back - lost[_SIGHTS], held_back])
        sent, kept = sights - self._sights[:, :used]
        self._sights[:, :used] = sights
        before[_SIGHTS] = after[_SIGHTS]
        are_folded = executions.keys["lineage"][:, 0] == layout.IMAGE_FOLDED
        recorded = (slots, executions.where(~are_folded), connections)
        overflowed = (overflow, executions.where(are_folded), folded)
        tallies = self._accounts.settle(
            recorded=np.array([*(growth.by_group(used) for growth in recorded), sent]),
            overflowed=np.array([*(growth.by_group(used) for growth in overflowed), kept]),
            lost=lost,
            before=before,
            after=after,
        )
        self._owners[:used] = owners_after
        self._forget(wiped)
        tallies[:, :, wiped] = 0
        return Changes(slots, overflow, executions, connections, folded, tallies.transpose(2, 1, 0))

    def _read_hashes(self, before: Counts, *, overflows: bool) -> list[Growth]:
        """Growth of the hash tables, of which those are read that may have grown."""
        are_needed = {"ngram_overflow": overflows}
        for name, signal in {"executions": _EXECUTIONS, "connections": _CONNECTIONS}.items():
            are_needed[name] = self._accounts.is_behind(signal, before[signal])
        are_needed["connection_overflow"] = are_needed["connections"]
        return [table.read(needed=are_needed[name]) for name, table in self._hashes.items()]

    def _forget(self, chosen: npt.NDArray[np.bool_]) -> None:
        """Begin anew with groups whose counts were wiped."""
        if not chosen[1:].any():  # number 0 is no group
            return
        groups = np.flatnonzero(chosen & self._accounts.are_known(len(chosen)))
        if len(groups):
            self._sights[:, groups] = 0
            self._slots.forget(groups)
            self._accounts.forget(groups)
            for table in self._hashes.values():
                table.forget(groups)

    def _read_owners(self, used: int) -> npt.NDArray[np.uint64]:
        owners: npt.NDArray[np.uint64] = self._program.owners["cgroup"][:used].copy()
        return owners

    def _read_counted(self, used: int) -> tuple[Counts, Counts]:
        """What was counted apart from the tables, by signal and group, and the ledgers.

        Those by field and group; of each signal what was lost is read before what was counted.
        """
        words = self._ledger_words[:used]
        ledgers = words.T.copy()
        counted = np.empty((len(_ACCOUNTS), used), np.int64)
        counted[1:] = ledgers[_COUNTED] = words[:, _COUNTED].T
        self._call_counts[:, :used].sum(axis=0, out=counted[0].view(np.uint64))
        return counted, ledgers


def _of_groups(counts: npt.NDArray[Any], groups: int) -> npt.NDArray[Any]:
    """The same with zeros for groups that came later, or whose numbers were free."""
    if counts.shape[-1] == groups:
        return counts
    everything = np.zeros((*counts.shape[:-1], groups), counts.dtype)
    everything[..., : counts.shape[-1]] = counts
    return everything
