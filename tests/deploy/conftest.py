"""The service of the unit in deploy/, to be started as systemd would."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from processes import Process, Start
from requirements import require_tools
from restricted import CHECKOUT, baseline, environment
from unit import UNIT

from baseline.kernel.program import BPFFS
from baseline.kernel.unloading import unload
from baseline.workloads.cgroups import cgroup2_mount

SANDBOX = Path(__file__).with_name("sandbox.py")


@pytest.fixture
def state() -> Iterator[Path]:
    """What stands for /var/lib, with models of nginx; nothing is in the kernel before and after."""
    require_tools("systemd-analyze", "systemd-sysusers", "setpriv")
    unload()
    mode = BPFFS.stat().st_mode
    folder = Path(tempfile.mkdtemp(prefix="baseline-unit-"))
    folder.chmod(0o755)
    learn = baseline(
        *("learn", "--from", CHECKOUT / "data" / "nginx" / "normal"),
        *("--out", folder / "baseline" / "models"),
    )
    (folder / "baseline").mkdir()
    subprocess.run(map(str, learn), capture_output=True, check=True, env=environment())
    yield folder
    unload()
    BPFFS.chmod(mode)
    shutil.rmtree(folder)


@pytest.fixture
def group() -> Iterator[Path]:
    """A cgroup with an empty one in it, to be filled with others."""
    folder = cgroup2_mount() / f"baseline-unit-test-{os.getpid()}"
    (folder / "first").mkdir(parents=True)
    yield folder
    (folder / "cgroup.kill").write_text("1")  # what a test that failed has left
    while "populated 1" in (folder / "cgroup.events").read_text():
        pass
    for below, _, _ in os.walk(folder, topdown=False):
        Path(below).rmdir()


@pytest.fixture
def start(state: Path, start: Start) -> Start:
    """Starts the service, or another command in its place."""

    def begin(*command: str, drop_ins: Sequence[Path] = (), **variables: str) -> Process:
        files = [str(file) for file in (UNIT, *drop_ins)]
        paths = os.pathsep.join(map(str, (CHECKOUT, SANDBOX.parent, SANDBOX.parents[1])))
        return start(
            [
                *("unshare", "--mount", "--propagation", "private"),
                *(sys.executable, SANDBOX, state, *files, "--", *command),
            ],
            env={**environment(), "PYTHONPATH": paths, **variables},
        )

    return begin
