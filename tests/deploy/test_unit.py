"""The unit in deploy/: systemd finds nothing wrong with it, and its page says what it says."""

import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from requirements import require_tools
from unit import DEPLOY, DROP_INS, UNIT, Service

from baseline.cli.main import COMMANDS, LazyGroup
from baseline.kernel.capabilities import Capability
from baseline.kernel.rights import LOADING, SEEDING


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit and its drop-ins where README.md says, below a folder that stands for the root."""
    require_tools("systemd-analyze")
    program = tmp_path / Service(UNIT).last("ExecStart").split()[0].lstrip("/")
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for used in ("usr/bin/chmod", "usr/bin/install"):
        (tmp_path / used).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(program, tmp_path / used)
    units = tmp_path / "etc" / "systemd" / "system"
    drop_ins = units / f"{UNIT.name}.d"
    drop_ins.mkdir(parents=True)
    shutil.copy(UNIT, units)
    for file in DROP_INS:
        shutil.copy(file, drop_ins)
    # What every unit refers to.
    shutil.copytree("/usr/lib/systemd/system", tmp_path / "usr/lib/systemd/system", symlinks=True)
    return tmp_path


def analyze(*arguments: object) -> str:
    done = subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_finds_nothing_wrong(installed: Path) -> None:
    said = analyze("verify", f"--root={installed}", UNIT.name)
    assert UNIT.name not in said


def test_a_mistake_in_it_would_be_found(installed: Path) -> None:
    unit = installed / "etc" / "systemd" / "system" / UNIT.name
    unit.write_text(unit.read_text().replace("ProtectClock=", "ProtectClocks="))
    assert "ProtectClocks" in analyze("verify", f"--root={installed}", UNIT.name)


@pytest.mark.parametrize("drop_ins", [False, True])
def test_its_exposure_is_as_the_page_says(installed: Path, drop_ins: bool) -> None:
    stated = re.search(
        r"^systemd-analyze security .* # (.*); (.*) with both drop-ins \(systemd (\d+)\)$",
        (DEPLOY / "README.md").read_text(),
        re.MULTILINE,
    )
    assert stated
    if not drop_ins:
        shutil.rmtree(installed / "etc" / "systemd" / "system" / f"{UNIT.name}.d")
    said = analyze("security", f"--root={installed}", "--offline=true", UNIT.name)
    found = re.search(r"Overall exposure level .*: (\S+ \S+)", said)
    assert found
    if stated[3] in analyze("--version").split("(")[0]:
        assert found[1] == stated[1 + drop_ins]
    else:  # which weighs a little differently
        assert found[1].endswith(" OK")


def test_it_has_the_capabilities_that_are_needed_and_no_others() -> None:
    service = Service(UNIT)
    needed = {str(capability) for capability in (*LOADING, *SEEDING)}
    assert {*service.words("CapabilityBoundingSet")} == needed
    assert {*service.words("AmbientCapabilities")} == needed
    containers = Service(DROP_INS[0])
    assert containers.words("AmbientCapabilities") == [str(Capability.DAC_READ_SEARCH)]
    assert containers.words("CapabilityBoundingSet") == [str(Capability.DAC_READ_SEARCH)]


def test_the_page_says_how_to_run_other_commands_with_the_same() -> None:
    (sets,) = re.findall(r"^caps=-all,(.*)$", (DEPLOY / "README.md").read_text(), re.MULTILINE)
    words = Service(UNIT).words("CapabilityBoundingSet")
    assert sets == ",".join(f"+{word.removeprefix('CAP_').lower()}" for word in words)


def test_the_variables_are_options() -> None:
    context = click.Context(click.Command("baseline"))
    watch = LazyGroup().get_command(context, "watch")
    assert watch
    known = {option.envvar for option in watch.params if isinstance(option, click.Option)}
    text = (DEPLOY / "watch.env").read_text() + "\n".join(Service(*DROP_INS).all("Environment"))
    named = set(re.findall(r"^#?(BASELINE_\w+)=", text, re.M))
    assert "BASELINE_WATCH_CGROUP" in named
    assert "BASELINE_WATCH_METRICS" in named
    assert named <= known
    assert "watch" in COMMANDS
