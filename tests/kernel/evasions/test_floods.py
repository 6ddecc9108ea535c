"""Whoever makes noise to hide in is told of, noise and all."""

import pytest
from test_kernel_shares import numbers
from victim import Victim, programs
from watching import Cgroup

from baseline.alerts.alert import RaisedBy
from baseline.kernel.program import Settings

pytestmark = pytest.mark.kernel

CALLS = 4001


def spray(cgroup: Cgroup) -> None:
    """Calls that do not exist, in an order that hardly repeats: each makes a new n-gram."""
    made = numbers(CALLS)
    for part in range(4):
        cgroup.run("calls", *(f"{number}:1" for number in made[part::4]))


def test_a_flood_is_an_alert_of_its_own(victim: Victim, cgroup: Cgroup) -> None:
    spray(cgroup)
    alerts = victim.alerts()
    floods = [alert for alert in alerts if alert.test == RaisedBy.FLOOD]
    assert floods
    assert len(alerts) < 20, "it is not told call by call"
    assert any(alert.flood and alert.flood.new >= 1000 for alert in floods)


def test_a_new_program_in_the_middle_of_a_flood_is_told(victim: Victim, cgroup: Cgroup) -> None:
    spray(cgroup)
    cgroup.run("/bin/true")
    spray(cgroup)
    assert "true" in {image.path.rsplit("/", 1)[-1] for image in programs(victim.alerts())}


@pytest.mark.parametrize(
    "settings", [Settings(slot_bits=12, ngram_overflow=4096)], ids=["smaller tables"]
)
@pytest.mark.usefixtures("unloaded")
def test_who_uses_up_its_share_is_told_of(victim: Victim, cgroup: Cgroup) -> None:
    spray(cgroup)
    floods = [alert.flood for alert in victim.alerts() if alert.test == RaisedBy.FLOOD]
    assert any(flood and flood.folded > 0 for flood in floods)
