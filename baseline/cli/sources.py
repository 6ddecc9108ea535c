"""Where the windows come from: the options that say so, and opening what they name.

Commands do not know whether they see a kernel or a recording.
"""

import functools
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

from baseline.cli.duration import seconds, window_seconds
from baseline.cli.stopping import StopSignals
from baseline.errors import BaselineError, UsageError
from baseline.interference import Interference
from baseline.interval import Interval, taken_apart
from baseline.kernel.rights import WRITING, give_up_rights
from baseline.kernel.source import Commit, KernelSource
from baseline.recordings.reader import Recording
from baseline.recordings.replay import replay as replay_recordings
from baseline.sighting import Observation
from baseline.syscalls import ARCHITECTURE
from baseline.window import Window
from baseline.workloads.cgroups import CgroupSelector, cgroup2_mount


@dataclass(frozen=True)
class SourceOptions:
    """What the user chose.

    Attributes:
        cgroups: texts for :class:`CgroupSelector`; empty where recordings are replayed.
        recordings: folders; empty where the kernel is watched.
        duration: seconds, of the clock or of recorded time; ``None`` for as long as it lasts.
        interval: seconds in a live window.
        keep: leave the kernel program loaded at the end.
        pace: seconds of recorded time replayed in one of the clock; ``None`` for full speed.
    """

    cgroups: tuple[str, ...]
    recordings: tuple[Path, ...]
    duration: float | None
    interval: float
    keep: bool
    pace: float | None = None

    @property
    def live(self) -> bool:
        """Whether the kernel of this machine is the source."""
        return bool(self.cgroups)


def _all_is_safe(_: bool) -> int:
    return 0


@dataclass(frozen=True)
class Reader:
    """Who reads the kernel's counts, so that after a kill its successor reads on without a gap.

    Attributes:
        kind: what it does, such as ``watch``.
        of: what it does that with; a successor does it with the same.
        reads_on: read on where a predecessor stopped; otherwise begin anew.
        commit: see :data:`baseline.kernel.source.Commit`.
    """

    kind: str
    of: str
    reads_on: bool = True
    commit: Commit = _all_is_safe

    @property
    def name(self) -> str:
        """The same for its successor."""
        return f"{self.kind}-{hashlib.blake2s(os.fsencode(self.of), digest_size=6).hexdigest()}"


class Source(NamedTuple):
    """An open source.

    Attributes:
        architecture: of the machine that was or is watched.
        interval: seconds in a window.
        observations: to be read once.
        mark: what the predecessor of the reader gave as its mark, see :class:`Reader`.
    """

    architecture: str
    interval: float
    observations: Iterator[Interval | Observation | Interference]
    mark: int | None = None

    def windows(self) -> Iterator[Window]:
        """The windows among the observations, for those who only add up."""
        return (o for o in taken_apart(self.observations) if isinstance(o, Window))


def _pace(text: str) -> float:
    try:
        pace = float(text)
    except ValueError:
        pace = 0.0
    if not 0 < pace < float("inf"):  # nor a number that is none
        raise click.BadParameter(f"{text!r} is no pace. Write a number above zero: 0.5, 1 or 10.")
    return pace


_LIVE = (
    click.option(
        "--cgroup",
        "cgroups",
        multiple=True,
        metavar="[NAME=]GLOB",
        help="Path below the cgroup2 mount, or a glob of such paths; with NAME=, the name of "
        "its workload. As often as wanted.",
    ),
    click.option(
        "--duration",
        type=seconds,
        metavar="TIME",
        help="Such as 60s, 10m or 1h30m, from when the first cgroup matches; otherwise to the end, "
        "or Ctrl-C.",
    ),
    click.option(
        "--interval",
        type=window_seconds,
        default="1s",
        show_default=True,
        metavar="TIME",
        help="Length of a window, 10ms or longer.",
    ),
    click.option("--keep", is_flag=True, help="Leave the program in the kernel at the end."),
)
_REPLAY = (
    click.option(
        "--from",
        "recordings",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="RECORDING",
        help="A recording instead of this machine's kernel. As often as wanted.",
    ),
)
_PACE = (
    click.option(
        "--pace",
        type=_pace,
        metavar="FACTOR",
        help="Replay at this multiple of the recorded pace; otherwise at full speed.",
    ),
)


def source_options(*, replay: bool = True, pace: bool = False) -> Callable[[Any], Any]:
    """Decorator: the options of a source, given to the command as ``source``.

    Args:
        replay: recordings can be the source too.
        pace: the pace of replaying can be chosen.
    """
    options = _LIVE + _REPLAY * replay + _PACE * pace

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_source(**parameters: Any) -> Any:
            chosen = {
                name: parameters.pop(name)
                for name in SourceOptions.__dataclass_fields__
                if name in parameters
            }
            source = SourceOptions(**{"recordings": ()} | chosen)
            _check(source, replay)
            return command(source=source, **parameters)

        for option in reversed(options):
            with_source = option(with_source)
        return with_source

    return decorate


def _check(source: SourceOptions, replay: bool) -> None:
    ways = "--cgroup or --from" if replay else "--cgroup"
    if not source.cgroups and not source.recordings:
        raise UsageError("There is nothing to look at", f"Add {ways}")
    if source.cgroups and source.recordings:
        raise UsageError("--cgroup and --from exclude each other", "Give one of them")
    context = click.get_current_context()
    foreign = ("pace",) if source.live else ("interval", "keep")
    for name in foreign:
        given = context.get_parameter_source(name)
        if given in {ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT}:
            other = "--from" if source.live else "--cgroup"
            raise UsageError(f"--{name} means nothing without {other}", "Leave it out")


@contextmanager
def open_source(
    options: SourceOptions,
    stop: StopSignals,
    say: Callable[[str], None],
    *,
    writes: bool,
    reader: Reader | None = None,
    first_sights: bool = False,
    waits: bool = False,
) -> Iterator[Source]:
    """Open what the options name, and close it at the end.

    When the kernel is watched, this process gives up all rights that it does not need any more, so
    nothing may have started a thread before: it would keep them.

    Args:
        options: what the user chose.
        stop: brings the observations to an end.
        say: told what the user should know, such as what is being waited for.
        reader: who reads, for a successor to read on after a kill; ``None`` where there is none.
        first_sights: take those of the kernel, as one command at a time can.
        waits: for every cgroup that is not there, not only for those that a glob may match.
        writes: the command has results to write, perhaps into the folder of another user.

    Raises:
        BaselineError: a recording is damaged, or the kernel cannot be watched.
    """
    if options.live:
        mount = cgroup2_mount()
        selectors = [CgroupSelector.parse(text, mount) for text in options.cgroups]
        _require_one_name(selectors)
        with KernelSource(
            selectors,
            interval=options.interval,
            keep=options.keep,
            say=say,
            reader=reader.name if reader else "",
            reads_on=reader is not None and reader.reads_on,
            first_sights=first_sights,
            waits=waits,
        ) as kernel:
            give_up_rights(say, keep=WRITING if writes else ())
            commit = reader.commit if reader else _all_is_safe
            observations = kernel.intervals(options.duration, stop, commit, stop.woken)
            yield Source(ARCHITECTURE, options.interval, observations, kernel.mark)
    else:
        recordings = [Recording(path) for path in options.recordings]
        windows = replay_recordings(recordings, pace=options.pace, sleep=stop.sleep)
        observations = _until(windows, options.duration, stop)
        yield Source(recordings[0].architecture, recordings[0].interval, observations)


def _require_one_name(selectors: Sequence[CgroupSelector]) -> None:
    """Refuse two names for the same cgroups, of which one would be silently ignored."""
    named: dict[tuple[str, ...], str | None] = {}
    for selector in selectors:
        first = named.setdefault(selector.parts, selector.name)
        if first != selector.name:
            names = " and ".join(name or "no name" for name in (first, selector.name))
            raise UsageError(
                f"--cgroup gives {'/'.join(selector.parts)} twice, with {names}", "Give it once"
            )


def _until(
    windows: Iterator[Window], duration: float | None, stop: Callable[[], bool]
) -> Iterator[Observation]:
    """Replayed windows up to so many seconds after the first one began."""
    end: float | None = None
    for window in windows:
        if end is None and duration is not None:
            end = window.start + duration * 1e9
        if stop() or (end is not None and window.start >= end):
            return
        yield window


def require_windows(number: int, options: SourceOptions) -> None:
    """Refuse to make anything of nothing.

    Raises:
        BaselineError: there was no window.
    """
    if number == 0:
        what = ", ".join(options.cgroups) or "the recordings"
        raise BaselineError(
            f"Nothing was seen of {what}, and nothing was written",
            "Start the service first, or give it more time"
            if options.live
            else "Give recordings that hold windows",
        )
