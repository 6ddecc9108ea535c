"""The kernel as a source: windows at a steady pace, and first sights the moment they happen."""

import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Self

from baseline.errors import UsageError
from baseline.interference import Interference
from baseline.interval import Interval, taken_apart
from baseline.invocation import this_command
from baseline.kernel.agents import Role
from baseline.kernel.collector import Collector, loaded_serials
from baseline.kernel.decoding import decode_event
from baseline.kernel.loaded import LoadedProgram
from baseline.kernel.position import Position, PositionFile, left_behind
from baseline.kernel.program import Settings
from baseline.kernel.reading import Reading
from baseline.kernel.reclaiming import Reclaimer
from baseline.kernel.ring_buffer import RingBuffer
from baseline.kernel.shortages import Shortages
from baseline.kernel.succession import remove_unneeded, take_over, unread
from baseline.kernel.tampering import Tampering
from baseline.sighting import Observation, Sighting
from baseline.window import Window
from baseline.workloads.cgroups import CgroupSelector

_LONGEST_WAIT = 1.0
"""Seconds after which we look at the latest whether many cgroups came and went."""

_BETWEEN_QUESTIONS = 0.25
"""Seconds after which a request to stop is noticed that wakes nobody up."""

_BETWEEN_LOOKS = 0.02
"""The least seconds between two looks whether group numbers run out: where thousands of cgroups
come in a second each wakes us, and it takes several readings to give a number back."""

_DESCRIPTORS = 2
"""What is waited for at most: first sights and a request to stop."""

Commit = Callable[[bool], int | None]
"""Asked when all windows of an interval were taken, and told whether it is urgent to say yes.

Answers with the reader's mark if all that it took is safe by now, ``None`` if it is not yet.
"""


class KernelSource:
    """What the selected cgroups do from now on.

    Args:
        selectors: which cgroups; those that appear later are counted from their first call on.
        interval: length of a window in seconds.
        keep: leave the program loaded at the end.
        say: told in a sentence about what a user should know meanwhile.
        settings: sizes of the kernel's tables.
        reader: name under which a successor reads on where this one was killed; an empty one has
            none.
        reads_on: read on where a reader of that name stopped; otherwise forget where it was.
        first_sights: take the first sights too, unless another command does.
        waits: for a cgroup without wildcards that is not there, as for what a glob may match.

    Attributes:
        mark: what the predecessor of this reader gave as its mark when it last said that all was
            safe; ``None`` where there is nothing to read on from.

    Raises:
        UsageError: a cgroup without wildcards does not exist, and is not to be waited for.
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
        reader: str = "",
        reads_on: bool = True,
        first_sights: bool = True,
        waits: bool = False,
    ) -> None:
        for selector in selectors:
            if not waits and not selector.depth and not selector.existing():
                raise UsageError(
                    f"There is no cgroup {selector.base} below {selector.mount}",
                    "Check the name with `systemd-cgls`, or give a glob to wait for it: "
                    f"'{selector.base}*'",
                )
        self._selectors = selectors
        self._globs = tuple("/".join(selector.parts) for selector in selectors)
        self._interval = interval
        self._say = say
        self._collector = Collector(selectors[0].mount, self._globs, keep=keep, settings=settings)
        self._reader = reader
        self._reads_on = reads_on
        self._first_sights = first_sights
        self._position: PositionFile | None = None
        self._position_is_kept = True
        self._has_taken = False
        self._gap: list[Window] = []
        self._next_look = 0.0
        self._stack = ExitStack()
        self.mark: int | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._poll = stack.enter_context(select.epoll())
            self._collector = stack.enter_context(self._collector)
            if not self._collector.kept:
                for told in left_behind(loaded_serials(), self._reader):
                    self._say(told)
            left = self._take_position(stack)
            self._take_first_sights(stack, left)
            self._reading = Reading(
                self._collector, self._selectors, self._say, first_sights=self._events is not None
            )
            self._shortages = Shortages(self._collector, self._say)
            self._reclaimer = Reclaimer(self._collector)
            self._read_on(left)
            self._tampering = Tampering(self._collector, self._reading.tracker, self._say)
            stack.callback(self._tampering.close)
            for selector in self._selectors:
                if not selector.existing():
                    what = "that matches" if selector.depth else "of the name"
                    self._say(f"Waiting for a cgroup {what} {selector} below {selector.mount}")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Who fails before anything is taken leaves it to the next one.
        has_failed = kind is not None and not self._has_taken
        if self._position and not self._collector.kept and not has_failed:
            self._position.forget()
        self._stack.close()
        if self._collector.is_left:
            self._say(
                "The kernel goes on counting for a command that was killed; to end that: "
                f"{this_command()} unload"
            )

    def observations(
        self,
        duration: float | None = None,
        stop: Callable[[], bool] = lambda: False,
        commit: Commit = lambda _: 0,
    ) -> Iterator[Observation | Interference]:
        """The same as :meth:`intervals`, with the windows of each interval taken apart."""
        yield from taken_apart(self.intervals(duration, stop, commit))

    def intervals(
        self,
        duration: float | None = None,
        stop: Callable[[], bool] = lambda: False,
        commit: Commit = lambda _: 0,
        woken: int | None = None,
    ) -> Iterator[Interval | Observation | Interference]:
        """What every workload did in each interval, and sightings as they come.

        Where a reader of our name was killed, or left the program loaded, the first windows hold
        what was counted since what it had taken, so that there is no gap.

        Args:
            duration: seconds to watch, from the moment when the first cgroup matches; ``None``
                goes on until ``stop`` says so.
            stop: asked several times a second.
            commit: see :data:`Commit`; without it all is safe that was taken.
            woken: a descriptor that can be read as soon as ``stop`` says so: then it need not be
                asked so often.

        Yields:
            Intervals and sightings, the windows of a gap, and what somebody did to the counting
            itself.  The last interval is shorter, so that nothing that was counted is left out;
            and so are others while cgroups come and go so fast that their numbers must be given
            back soon.
        """
        longest_wait = _BETWEEN_QUESTIONS
        if woken is not None:
            longest_wait = _LONGEST_WAIT
            self._poll.register(woken, select.EPOLLIN)
        yield from self._gap
        self._gap = []
        self._taken(commit)  # from the beginning on, a kill loses nothing
        tracker = self._reading.tracker
        opened = time.monotonic()
        while not tracker.groups:
            if stop():
                return
            time.sleep(_BETWEEN_QUESTIONS)
            tracker.refresh()
            tracker.notice()
            if time.monotonic() >= opened + self._interval:
                # Others wait for us to read, see baseline.kernel.reclaiming.
                now = time.monotonic()
                yield self._interval_of(now - opened)
                self._taken(commit)
                opened = now
        began = time.monotonic()
        ends = began + duration if duration is not None else float("inf")
        ticks = 0
        is_last = False
        while not is_last:
            ticks += 1
            due = min(began + ticks * self._interval, ends)
            while (now := time.monotonic()) < due and not stop() and not self._must_hurry(now):
                yield from self._wait(min(due - now, longest_wait))
            # Asked before the last reading, which then holds all that was done by now.
            is_last = stop() or time.monotonic() >= ends
            closed = time.monotonic()
            yield self._interval_of(closed - opened)
            self._taken(commit)
            found = self._tampering.check()
            yield from found
            tracker.refresh(at_once=bool(found))
            self._shortages.check(tracker.whose)
            opened = closed
            # After a pause (a suspended machine, a slow consumer) do not hurry through what was
            # missed: one long window holds it.
            ticks = max(ticks, int((closed - began) / self._interval))

    def _take_position(self, stack: ExitStack) -> Position | None:
        if not self._reader:
            return None
        position = PositionFile(self._reader)
        stack.callback(position.close)
        if not position.held:
            self._say("The same command runs already: if this one is killed, it leaves a gap")
            return None
        self._position = position
        if not self._reads_on:
            position.forget()
        return position.load()

    def _take_first_sights(self, stack: ExitStack, left: Position | None) -> None:
        self._events = None
        if not self._first_sights:
            return
        role = Role("events")
        stack.callback(role.close)
        if role.held:
            events = self._collector.maps["events"]
            is_ours = left is not None and left.serial == self._collector.serial
            self._events = RingBuffer(events, read_on=is_ours)
            stack.callback(self._events.close)
            self._poll.register(self._events.descriptor, select.EPOLLIN)
        else:
            self._say("Another command takes the first sights: here all comes with the windows")

    def _read_on(self, left: Position | None) -> None:
        """Begin to read: now, or where a reader of our name stopped."""
        reading = self._reading
        if left and not reading.tables.fits(left.arrays):
            self._say("How far a command had read is of another release: there is a gap")
            left = None
        others = unread(self._collector, left.serial) if left else []
        is_ours = left is not None and left.serial == self._collector.serial
        self._epoch = 0
        if left and is_ours:
            # Before anything else is tracked: these windows are longer than their successors.
            self._epoch = self._collector.epoch
            self._gap = reading.gap_since(left)
        elif not others:
            self._epoch = self._collector.epoch
            reading.tables.read()
            reading.tracker.notice(ended=False)
        reading.tracker.refresh()
        take_over(self._collector, self._selectors[0].mount)
        if left:
            # What this version has counted until now is in its first windows.
            for pin in others:
                with LoadedProgram(pin) as before:
                    self._gap += Reading(before, self._selectors, lambda _: None).gap_since(left)
        if left and (others or is_ours):
            self.mark = left.mark
        elif left:
            self._say(
                f"What was counted in the {time.monotonic() - left.time:.0f} s since a command "
                "kept where it was cannot be read: its program is gone, or has another layout"
            )
        if left and self._gap:
            now = time.monotonic()
            stopped = max(left.time, (self._position and self._position.last_alive) or left.time)
            self._say(
                f"Reading on from a command that stopped {now - stopped:.0f} s ago: the "
                f"{now - left.time:.0f} s that it had not kept are in one window"
            )
        self._others_are_needed = bool(others)
        if not self._others_are_needed:
            remove_unneeded(self._collector)

    def _taken(self, commit: Commit) -> None:
        """Whoever takes the windows has taken them: go on from here, whatever happens."""
        mark = commit(self._reclaimer.is_urgent)
        if mark is None:
            if self._position:
                self._position.say_alive()
            return
        if self._position:
            tables = self._reading.tables.position()
            position = Position(
                self._collector.serial, self._epoch, time.monotonic(), self._globs, mark, tables
            )
            try:
                self._position.save(position)
                self._position_is_kept = True
            except OSError as error:
                if self._position_is_kept:
                    self._position_is_kept = False
                    self._say(f"A killed command will leave a gap: {error}")
        if self._others_are_needed:
            self._others_are_needed = False
            remove_unneeded(self._collector)
        self._has_taken = True
        self._collector.agent.acknowledge(self._epoch)
        self._reclaimer.advance(self._epoch)

    def _interval_of(self, seconds: float) -> Interval:
        self._epoch = self._collector.epoch  # before the tables: all up to here will be read
        return self._reading.interval(seconds)

    def _must_hurry(self, now: float) -> bool:
        """Whether group numbers may run out, now and then."""
        if now < self._next_look:
            return False
        self._next_look = now + _BETWEEN_LOOKS
        return self._reclaimer.is_urgent

    def _wait(self, seconds: float) -> Iterator[Sighting]:
        self._poll.poll(seconds, _DESCRIPTORS)
        if self._events is None:
            return
        wall_clock = time.time_ns() - time.monotonic_ns()
        tracker = self._reading.tracker
        for record in self._events.records():
            group, when, item, who = decode_event(record, self._reading.images)
            if tracker.whose(group) is None:
                tracker.notice()
            tracked = tracker.whose(group)
            if tracked is not None:
                yield Sighting(tracked.workload, tracked.path, when + wall_clock, item, who)
