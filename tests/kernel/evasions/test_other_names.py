"""Programs that hide what they are: an alert comes all the same, and names what really runs."""

import shutil
from pathlib import Path

import pytest
from victim import Site, Victim, executables, lineages, programs

from baseline.model.score import Signal
from baseline.window import Image

pytestmark = pytest.mark.kernel

SHELL, ID, TRUE = (Path(f"/usr/bin/{name}").resolve() for name in ("sh", "id", "true"))
LOADER = Path("/lib64/ld-linux-x86-64.so.2")


@pytest.fixture
def tool(site: Site, tmp_path: Path) -> Path:
    """A program that does what the service's helper does, so that its calls betray nothing."""
    return Path(shutil.copy(site.helper, tmp_path / "tool"))


def test_the_real_path_of_a_symlinked_tool_is_named(victim: Victim, tmp_path: Path) -> None:
    link = tmp_path / "helper"
    link.symlink_to(ID)
    assert Image(str(ID)) in programs(victim.attacked("start", link))


@pytest.mark.parametrize("how", ["start", "at"])
def test_a_renamed_tool_has_its_new_name_and_its_lineage(
    victim: Victim, site: Site, tool: Path, how: str
) -> None:
    renamed = tool.rename(tool.with_name("helper"))
    alerts = victim.attacked(how, renamed, "110:7")
    assert lineages(alerts) == {f"{site.program} > {renamed}"}
    assert any(str(renamed) in alert.headline for alert in alerts)


def test_a_tool_in_the_place_of_a_known_program_is_seen_by_its_calls(
    victim: Victim, site: Site, tmp_path: Path
) -> None:
    """Its name is the truth, and known; what is at that path now makes other calls."""
    kept = site.helper.rename(tmp_path / "kept")
    try:
        shutil.copy(SHELL, site.helper)
        victim.serve()
        alerts = victim.alerts()
    finally:
        kept.replace(site.helper)
    assert programs(alerts) == set()
    assert Signal.CALLS in {alert.signal for alert in alerts} <= {Signal.CALLS, Signal.NGRAMS}
    assert Image(str(site.helper)) in executables(alerts)


def test_a_process_that_renames_itself_is_still_its_executable(victim: Victim, site: Site) -> None:
    alerts = victim.attacked("renamed", "kworker/0:1")
    assert executables(alerts) == {Image(str(site.program))}
    renamed = [
        sighting.process
        for sighting in victim.sightings
        if sighting.process and sighting.process.comm == "kworker/0:1"
    ]
    assert renamed
    assert {process.lineage for process in renamed} == {(Image(str(site.program)),)}


def test_a_program_in_memory(victim: Victim, site: Site, tool: Path) -> None:
    implant = Image("memfd:implant", unlinked=True)
    assert lineages(victim.attacked("memory", tool, "110:7")) == {f"{site.program} > {implant}"}


def test_a_program_whose_file_is_gone(victim: Victim, tool: Path) -> None:
    gone = Image(f"{tool}-copy", unlinked=True)
    assert programs(victim.attacked("unlinked", tool, "110:7")) == {gone}
    assert not Path(gone.path).exists()


def test_a_script_is_named_with_its_interpreter(victim: Victim, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f"#!{SHELL}\n:\n")
    script.chmod(0o755)
    assert programs(victim.attacked("start", script)) == {Image(str(SHELL), script=str(script))}


def test_a_script_that_is_given_to_an_interpreter_shows_the_interpreter(
    victim: Victim, tmp_path: Path
) -> None:
    """The script is an argument then, and arguments are no part of what is counted."""
    script = tmp_path / "script"
    script.write_text(":\n")
    assert programs(victim.attacked("start", SHELL, script)) == {Image(str(SHELL))}


def test_a_program_that_is_given_to_the_loader_shows_the_loader(
    victim: Victim, tmp_path: Path
) -> None:
    """The kernel executes the loader, which maps the program like a library."""
    tool = shutil.copy(TRUE, tmp_path / "tool")
    assert programs(victim.attacked("start", LOADER, tool)) == {Image(str(LOADER.resolve()))}
