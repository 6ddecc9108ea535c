"""What a single part of the training brought: kept out, listed, or a reason to refuse."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from baseline.cli.progress import counted
from baseline.errors import ModelError
from baseline.fitting import shortened
from baseline.model.provenance import as_lines
from baseline.model.quarantine import Quarantined, find_quarantined, without
from baseline.window import Window

_LISTED = 5
_STORED = 200
_LINE = 300


def quarantine(
    windows: Sequence[Window], architecture: str, *, strict: bool, say: Callable[[str], None]
) -> tuple[list[Window], tuple[str, ...]]:
    """Keep out of the training what only a single part of it shows.

    Args:
        windows: of one workload.
        architecture: whose system calls they hold.
        strict: refuse such windows.
        say: told what is kept out.

    Returns:
        The windows to learn from, and a line for each thing that is kept out.

    Raises:
        ModelError: there is such a thing, and ``strict`` is set.
    """
    found = find_quarantined(windows, architecture)
    for part in found:
        for line in _listing(windows[0].workload, part, architecture):
            say(line)
    if found and strict:
        raise ModelError(
            "Nothing was written, because of --strict",
            "Look into it; learn again without that time, or without --strict if it is normal",
        )
    things = [shortened(line, _LINE) for part in found for line in _lines(part, architecture)]
    return without(windows, found), as_lines(things, _STORED)


def _listing(workload: str, part: Quarantined, architecture: str) -> list[str]:
    ngrams = sum(isinstance(item, int) for item in part.items)
    others = len(part.items) - ngrams
    told = part.describe(architecture)[: min(others, _LISTED)]
    more = others - len(told)
    return [
        f"Kept out of {workload}: what {_place(part)} alone showed",
        *(f"  {line}" for line in told),
        *([f"  ... and {more:,} more"] if more else []),
        *([f"  and {counted(ngrams, 'n-gram')} of system calls"] if ngrams else []),
    ]


def _lines(part: Quarantined, architecture: str) -> list[str]:
    return [f"{line} ({_place(part)})" for line in part.describe(architecture)]


def _place(part: Quarantined) -> str:
    if part.replica:
        return f"replica {part.replica}"
    first, last = (
        f"{datetime.fromtimestamp(time / 1e9, UTC):%Y-%m-%d %H:%M:%S}"
        for time in (part.start, part.end)
    )
    return f"{first} to {last[11:]} UTC" if first[:10] == last[:10] else f"{first} to {last} UTC"
