"""A workload that makes up ever new things uses up its own share of the tables, and no one else's.

What is beyond its share is counted folded: without the calls before, without the program, without
the peer, and at last without the port.  So nothing is lost, however much a workload sprays.
"""

import shutil
from pathlib import Path

import pytest
from expected import ending_in, known_run, ngrams, peers, started
from test_kernel_full_tables import FIRST_UNUSED_NUMBER, SEND
from watching import Cgroup, Watch

from baseline.kernel.program import Settings
from baseline.syscalls import KIND_FOLDED, KIND_SHIFT, symbol_name
from baseline.window import Execution, Tally, is_folded

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("unloaded")]


def numbers(count: int) -> list[int]:
    """Calls in an order that hardly repeats (a linear congruential generator)."""
    state, drawn = 1, []
    for _ in range(count):
        state = state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        drawn.append(FIRST_UNUSED_NUMBER + (state >> 33) % 83)
    return drawn


@pytest.fixture(scope="module")
def settings() -> Settings:
    """Tables of which each workload may have a quarter."""
    return Settings(
        slot_bits=7,
        ngram_overflow=256,
        max_executions=32,
        max_connections=32,
        connection_overflow=16,
        shares=4,
    )


@pytest.mark.usefixtures("one_processor")
def test_ngrams(pair: tuple[Watch, Cgroup, Cgroup]) -> None:
    watching, noisy, quiet = pair
    made = numbers(1009)
    noisy.run("calls", *(f"{number}:1" for number in made))
    sprayed = watching.window(noisy)
    assert sprayed.ledger.ngrams.counted == sprayed.ngrams.total == 1011
    assert sprayed.ledger.ngrams.lost == 0
    folded = [n for n in sprayed.ngrams.ngrams.tolist() if n >> KIND_SHIFT == KIND_FOLDED]
    assert folded
    assert len(sprayed.ngrams) - len(folded) == 128 // 4 + 256 // 4
    # Each call is still counted by itself.
    for number in range(FIRST_UNUSED_NUMBER, FIRST_UNUSED_NUMBER + 83):
        name = symbol_name(number + 1)
        counts = ngrams(sprayed)
        with_folded = ending_in(counts, name) + ending_in(counts, f"folded:{name}")
        assert with_folded == made.count(number)

    quiet.run("calls", "110:1009")
    assert ngrams(watching.window(quiet)) == known_run(["getppid"] * 1009)
    assert watching.window(quiet).ledger.ngrams.lost == 0


def test_executions(pair: tuple[Watch, Cgroup, Cgroup], tmp_path: Path) -> None:
    watching, noisy, quiet = pair
    copies = [Path(shutil.copy(noisy.programs["calls"], tmp_path / f"p{i}")) for i in range(29)]
    for program in [*copies, copies[0], copies[28]]:
        noisy.run(program)
    quiet.run("calls")
    sprayed = watching.window(noisy)
    assert started(sprayed) == {
        **{str(program): 1 + (program == copies[0]) for program in copies[:8]},
        "any program": 21 + 1,
    }
    assert sprayed.ledger.executions == Tally(counted=31, recorded=9, overflowed=22)
    assert [e for e in sprayed.executions if is_folded(e)] == [
        e for e in sprayed.executions if str(e) == "any program"
    ]
    # At first sight a folded one still has its name, so that an alert can tell it.
    names = {s.item.image.path for s in watching.sightings if isinstance(s.item, Execution)}
    assert "any program" not in names
    assert started(watching.window(quiet)) == {str(noisy.programs["calls"]): 1}
    assert watching.window(quiet).ledger.executions == Tally(counted=1, recorded=1)


def test_connections(pair: tuple[Watch, Cgroup, Cgroup]) -> None:
    watching, noisy, quiet = pair
    many = [(f"127.0.0.{i}", 9) for i in range(1, 24)]
    ports = [("127.0.0.24", port) for port in range(100, 107)]
    noisy.python(SEND, *(word for peer in [*many, *ports, many[0]] for word in peer))
    quiet.python(SEND, "127.0.0.1", 9)
    sprayed = watching.window(noisy)
    assert peers(sprayed) == {
        **{f"udp out to 127.0.0.{i}:9": 1 + (i == 1) for i in range(1, 9)},
        "udp out to any peer:9": 15,
        **{f"udp out to any peer:{port}": 1 for port in (100, 101, 102)},
        "udp out to any peer:any port": 4,
    }
    assert sprayed.ledger.connections == Tally(counted=31, recorded=9, overflowed=22)
    assert peers(watching.window(quiet)) == {"udp out to 127.0.0.1:9": 1}


@pytest.mark.parametrize("settings", [Settings(max_processes=32, shares=4)], ids=["processes"])
def test_living_processes(pair: tuple[Watch, Cgroup, Cgroup]) -> None:
    watching, noisy, quiet = pair
    program = str(noisy.programs["calls"])
    waiting = [noisy.start_waiting("calls", "say", "wait") for _ in range(11)]
    # A child of one whose lineage found room has its parent's lineage in its own.
    quiet.run("calls", "fork", "exec", noisy.programs["threads"], "1", "1")
    lineages = started(watching.window(quiet))
    assert lineages == {program: 1, f"{program} > {noisy.programs['threads']}": 1}
    assert f"{noisy.path}: 3 processes lost their ancestors: its share of lineages is full" in (
        watching.said
    )
    for process in waiting:
        process.communicate(b".")
    # Those that ended have given their room back.
    noisy.run("calls", "fork", "exec", noisy.programs["threads"], "1", "1")
    assert f"{program} > {noisy.programs['threads']}" in started(watching.window(noisy))


@pytest.mark.parametrize("settings", [Settings()], ids=["usual sizes"])
def test_a_flood_of_first_sights_is_held_back_and_counted(
    pair: tuple[Watch, Cgroup, Cgroup],
) -> None:
    watching, noisy, quiet = pair
    made = numbers(4 * 1009)
    for part in range(4):
        noisy.run("calls", *(f"{number}:1" for number in made[part::4]))
    quiet.run("calls", "110:7")
    counted, sent, held_back, lost = watching.window(noisy).ledger.events
    assert lost == 0
    assert counted == sent + held_back
    assert 0 < held_back < counted
    ours = [s for s in watching.sightings if s.replica == quiet.path]
    assert len(ours) == watching.window(quiet).ledger.events.recorded > 0
