"""The kernel as a source: windows at a steady pace, and first sights the moment they happen."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Self

from baseline.errors import UsageError
from baseline.kernel.agents import EventsLock
from baseline.kernel.collector import Collector
from baseline.kernel.decoding import decode_connection, decode_event, decode_execution
from baseline.kernel.images import Images
from baseline.kernel.position import forget_position, load_position, save_position
from baseline.kernel.program import Settings
from baseline.kernel.ring_buffer import RingBuffer
from baseline.kernel.shortages import Shortages
from baseline.kernel.tables import GroupCounts, Tables
from baseline.kernel.tracker import Tracked, Tracker
from baseline.sighting import Observation, Sighting
from baseline.window import Connection, Execution, Window
from baseline.workloads.cgroups import CgroupSelector

_LONGEST_WAIT = 0.1
"""Seconds after which a request to stop is noticed at the latest."""


class KernelSource:
    """What the selected cgroups do from now on.

    Args:
        selectors: which cgroups; those that appear later are counted from their first call on.
        interval: length of a window in seconds.
        keep: leave the program loaded at the end.
        say: told in a sentence about what a user should know meanwhile.
        settings: sizes of the kernel's tables.
        first_sights: take them, and keep how far was read, as one command at a time can; without,
            read the tables alone, and leave what a killed command will read on from.

    Raises:
        UsageError: a cgroup without wildcards does not exist.
        KernelError: the program cannot be loaded here.
    """

    def __init__(
        self,
        selectors: Sequence[CgroupSelector],
        *,
        interval: float = 1.0,
        keep: bool = False,
        say: Callable[[str], None],
        settings: Settings | None = None,
        first_sights: bool = True,
    ) -> None:
        for selector in selectors:
            if not selector.depth and not selector.existing():
                raise UsageError(
                    f"There is no cgroup {selector.base} below {selector.mount}",
                    "Check the name with `systemd-cgls`, or give a glob to wait for it: "
                    f"'{selector.base}*'",
                )
        self._selectors = selectors
        self._interval = interval
        self._say = say
        self._first_sights = first_sights
        self._collector = Collector(
            selectors[0].mount,
            ["/".join(s.parts) for s in selectors],
            keep=keep,
            settings=settings,
            reads_on=first_sights,
        )
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._collector = stack.enter_context(self._collector)
            self._images = Images(self._collector.maps["images"])
            self._shortages = Shortages(self._collector.control, self._say)
            self._tracker = Tracker(
                self._collector, self._selectors, self._say, reads_on=self._first_sights
            )
            lock = EventsLock() if self._first_sights else None
            if lock:
                stack.callback(lock.close)
            left = load_position() if lock and lock.held else None
            self._tables = Tables(self._collector, left.arrays if left else None)
            self._events = None
            if lock and lock.held:
                events = self._collector.maps["events"]
                self._events = RingBuffer(events, read_on=left is not None)
                stack.callback(self._events.close)
            elif lock:
                self._say("Another command takes the first sights: here all comes with the windows")
            self._position_is_kept = True
            self._gap: list[Window] = []
            if left:
                # Before anything else is tracked: these windows are longer than their successors.
                self._tracker.notice()
                seconds = time.monotonic() - left.time
                self._gap = self._windows(seconds)
                if self._gap:
                    self._say(f"Reading on from where a command stopped {seconds:.0f} s ago")
            self._tracker.refresh()
            for selector in self._selectors:
                if not selector.existing():
                    self._say(f"Waiting for a cgroup that matches {selector}")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        if self._events and not self._collector.kept:
            forget_position()
        self._stack.close()

    def observations(
        self, duration: float | None = None, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Observation]:
        """Windows of every workload at each interval, and sightings as they come.

        Where a command before this one was killed, or left the program loaded, the first windows
        hold what was counted since its last ones, so that there is no gap.

        Args:
            duration: seconds to watch, from the moment when the first cgroup matches; ``None``
                goes on until ``stop`` says so.
            stop: asked several times a second.

        Yields:
            Windows and sightings.  The last windows are shorter than the interval, so that
            nothing that was counted is left out.
        """
        if self._gap:
            yield from self._gap
            self._gap = []
            self._keep_position()
        while not self._tracker.groups:
            if stop():
                return
            time.sleep(_LONGEST_WAIT)
            self._tracker.refresh()
        began = opened = time.monotonic()
        ends = began + duration if duration is not None else float("inf")
        ticks = 0
        is_last = False
        while not is_last:
            ticks += 1
            due = min(began + ticks * self._interval, ends)
            while (now := time.monotonic()) < due and not stop():
                yield from self._wait(min(due - now, _LONGEST_WAIT))
            # Asked before the last reading, which then holds all that was done by now.
            is_last = stop() or time.monotonic() >= ends
            closed = time.monotonic()
            yield from self._windows(closed - opened)
            self._keep_position()
            self._tracker.refresh()
            self._shortages.check()
            opened = closed
            # After a pause (a suspended machine, a slow consumer) do not hurry through what was
            # missed: one long window holds it.
            ticks = max(ticks, int((closed - began) / self._interval))

    def _keep_position(self) -> None:
        """Remember what was read, now that whoever takes the windows has taken them."""
        if not self._events:
            return
        try:
            save_position(self._tables.position())
            self._position_is_kept = True
        except OSError as error:
            if self._position_is_kept:
                self._position_is_kept = False
                self._say(f"A killed command will leave a gap: {error}")

    def _windows(self, seconds: float) -> list[Window]:
        end = time.time_ns()
        ended = self._tracker.ended()
        changes = self._tables.read()
        self._tracker.notice()
        windows = [
            self._window(tracked, changes.get(group, GroupCounts()), end, int(seconds * 1e9))
            for group, tracked in sorted(self._tracker.groups.items())
        ]
        self._tracker.forget(ended)
        return windows

    def _window(self, tracked: Tracked, counts: GroupCounts, end: int, length: int) -> Window:
        # Different keys may mean one item: an IPv4 peer comes as either family.
        executions: Counter[Execution] = Counter()
        for key, count in counts.executions:
            executions[decode_execution(key, self._images)] += count
        connections: Counter[Connection] = Counter()
        for key, count in counts.connections:
            connections[decode_connection(key)] += count
        return Window(
            workload=tracked.workload,
            replica=tracked.path,
            start=end - length,
            end=end,
            observed=length,
            ngrams=counts.ngrams,
            executions=executions,
            connections=connections,
            ledger=counts.ledger,
        )

    def _wait(self, seconds: float) -> Iterator[Sighting]:
        if self._events is None:
            time.sleep(seconds)
            return
        self._events.wait(seconds)
        wall_clock = time.time_ns() - time.monotonic_ns()
        for record in self._events.records():
            group, when, item, process = decode_event(record, self._images)
            if group not in self._tracker.groups:
                self._tracker.refresh()
            tracked = self._tracker.groups.get(group)
            if tracked is not None:
                yield Sighting(tracked.workload, tracked.path, when + wall_clock, item, process)
