"""Attacks that spread themselves thin or dress up as normal: what is seen, and what cannot be."""

from pathlib import Path

import pytest
from victim import Victim, calls

from baseline.alerts.alert import RaisedBy
from baseline.model.score import Signal

pytestmark = pytest.mark.kernel

STEPS = ("uname", "getgroups", "sysinfo", "ptrace", "mount", "setns", "unshare")
"""What ``attack`` of ``service.c`` calls."""


@pytest.mark.parametrize("how", ["attack", "padded", "threads", "processes"])
def test_an_attack_in_one_go_padded_or_spread(victim: Victim, how: str) -> None:
    """A thread's first calls are n-grams, too, so spreading over threads hides nothing.

    What pads it, and what starts processes to spread it over, may be unusually many calls, too.
    """
    alerts = victim.attacked(how)
    assert calls(alerts) & {*STEPS}
    assert victim.unknown_calls() >= {*STEPS}
    usual = {Signal.CALLS, Signal.NGRAMS}
    if how in {"padded", "processes"}:
        usual.add(Signal.VOLUMES)
    assert Signal.CALLS in {alert.signal for alert in alerts} <= usual


def test_known_calls_in_another_order_show_at_the_seams(victim: Victim) -> None:
    alerts = victim.attacked("shuffled")
    assert calls(alerts) <= {"openat", "read", "newfstatat", "close", "write"}
    assert {alert.signal for alert in alerts} == {Signal.NGRAMS}


def test_one_call_in_a_window_is_told_by_itself(victim: Victim) -> None:
    """There is nothing else to see, and the service never made it."""
    for step, name in enumerate(STEPS):
        (alert,) = victim.attacked("step", step)
        assert (alert.test, alert.signal) == (RaisedBy.FIRST_SIGHT, Signal.CALLS)
        assert alert.headline.startswith(f"never made {name} before, by ")


def test_the_calls_of_a_request_on_another_file_cannot_be_seen(
    victim: Victim, tmp_path: Path
) -> None:
    """The limit of counting calls without their arguments (docs/threat-model.md)."""
    secret = tmp_path / "secret"
    secret.write_text("password")
    assert victim.tell("read", secret).startswith("password"), "it was really read"
    victim.serve()
    assert victim.alerts() == []
