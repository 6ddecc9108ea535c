"""What accepting alerts would hide, as lines for a person to read first."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from baseline.alerts.accepting import Acceptance
from baseline.alerts.alert import Alert
from baseline.alerts.backtest import alerts_of
from baseline.alerts.written_alert import WrittenAlert
from baseline.cli.progress import counted
from baseline.errors import UsageError
from baseline.model.storage import require_architecture
from baseline.model.workload_model import WorkloadModel
from baseline.moments import iso_time
from baseline.recordings.reader import Recording
from baseline.recordings.replay import replay
from baseline.window import Window


def recorded_windows(model: WorkloadModel, paths: Sequence[Path]) -> list[Window]:
    """Windows of the model's workload in recordings, in order of time."""
    recordings = [Recording(path) for path in paths]
    for recording in recordings:
        require_architecture(model, recording.architecture)
    return [w for w in replay(recordings) if w.workload == model.workload]


def preview_of(
    acceptance: Acceptance,
    accepted: Sequence[WrittenAlert],
    others: Sequence[WrittenAlert],
    *,
    listed_alone: bool,
) -> Iterator[str]:
    """What becomes normal, and which other alerts that hides."""
    yield f"{acceptance.before.workload}: what {counted(len(accepted), 'alert')} told of"
    yield from map(_line, accepted)
    new = acceptance.new
    numbers = {
        "program": len(new.executions),
        "peer": len(new.connections),
        "system call": len(acceptance.calls),
        "sequence": len(new.ngrams),
        "volume": len(acceptance.volumes),
    }
    what = [counted(number, noun) for noun, number in numbers.items() if number]
    yield f"Become normal: {', '.join(what) or 'nothing that is not already'}"
    if len(new.ngrams):
        yield (
            "Who does the same again may still be an alert: its threads take turns as they like, "
            "in sequences that this one did not show."
        )
    unlisted = sum(alert.unlisted for alert in accepted)
    if listed_alone and unlisted:
        yield f"{counted(unlisted, 'new item')} that the alerts do not list stay new: add --from."
    others = [alert for alert in others if acceptance.raised_before(alert)]
    yield from _rest_of_incidents(accepted, others, listed_alone=listed_alone)
    for name in acceptance.shares:
        yield f"The share of {name} is judged as before: only learning changes shares."
    hidden = [alert for alert in others if acceptance.hides(alert)]
    yield f"Hidden by that, of {counted(len(others), 'other alert')}: {len(hidden):,}"
    yield from map(_line, hidden)


def _rest_of_incidents(
    accepted: Sequence[WrittenAlert], others: Sequence[WrittenAlert], *, listed_alone: bool
) -> Iterator[str]:
    """What came with the accepted alerts and is not taken for normal with them."""
    untold = {alert.incident: 0 for alert in accepted}
    rest = [alert for alert in others if alert.incident in untold]
    for alert in (*accepted, *rest):
        untold[alert.incident] = max(untold[alert.incident], alert.held_back)
    its = "its incident" if len(untold) == 1 else "their incidents"
    if rest:
        yield f"Not taken: {counted(len(rest), 'other alert')} of {its}; add --incident."
    if listed_alone and any(untold.values()):
        number = counted(sum(untold.values()), "alert")
        yield f"Not known: what was new in {number} of {its} that had no line; add --from."


def losses_in(acceptance: Acceptance, path: Path) -> Iterator[str]:
    """Which alerts of a recorded attack would be lost."""
    windows = recorded_windows(acceptance.before, [path])
    if not windows:
        raise UsageError(
            f"{path} holds nothing of {acceptance.before.workload}",
            "Give the recording of an attack on it",
        )
    before, after = (alerts_of(m, windows) for m in (acceptance.before, acceptance.after))
    told = {(alert.replica, alert.time) for alert in after}
    lost = [alert for alert in before if (alert.replica, alert.time) not in told]
    yield (
        f"Attack: {counted(len(before), 'alert')} before, {len(after):,} after, "
        f"{len(lost):,} lost: {path}"
    )
    yield from map(_line, lost)
    if before and not after:
        yield "  THIS ATTACK WOULD NO LONGER BE FOUND."


def _line(alert: WrittenAlert | Alert) -> str:
    return f"  {alert.id}  {iso_time(alert.end, 'seconds')}  {alert.headline}"
