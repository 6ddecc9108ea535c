"""Ways into the kernel beside the usual system call: each is seen as the other way that it is."""

from pathlib import Path

import pytest
from victim import Victim, calls, programs

pytestmark = pytest.mark.kernel

CONTENT = "not for you"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """What the service never reads."""
    file = tmp_path / "secret"
    file.write_text(CONTENT)
    return file


def test_calls_through_the_32_bit_entry(victim: Victim, secret: Path) -> None:
    victim.tell("compat", secret)
    victim.serve()
    assert calls(victim.alerts()) & {"mmap", "compat:open"}, "what it does first"
    assert victim.unknown_calls() >= {"compat:open", "compat:read", "compat:close"}


@pytest.mark.parametrize("how", ["ring", "sqpoll"])
def test_a_file_that_is_read_by_io_uring(victim: Victim, secret: Path, how: str) -> None:
    assert victim.tell(how, secret).startswith(CONTENT), "it was really read"
    victim.serve()
    assert "io_uring_setup" in calls(victim.alerts())
    assert victim.unknown_calls() >= {"io_uring:openat", "io_uring:read"}


def test_the_entry_of_a_32_bit_program(victim: Victim, programs_32: Path) -> None:
    alerts = victim.attacked("start", programs_32, "64:1009")
    assert {image.path for image in programs(alerts)} == {str(programs_32)}


@pytest.fixture
def programs_32(programs: dict[str, Path]) -> Path:
    """A 32-bit program."""
    return programs["calls_32"]
