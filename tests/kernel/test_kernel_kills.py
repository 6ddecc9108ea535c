"""A command that is killed a hundred times under load writes each count once, no window twice."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest
from watching import Cgroup, steady_load

from baseline.recordings import Recording
from baseline.window import Window

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("unloaded")]

KILLS = 100
CALLS = 1009
LONGEST_LIFE = 1.2
"""Seconds from a start to the kill: from before the program is loaded to several windows later."""


def record(cgroup: Cgroup, out: Path) -> subprocess.Popen[bytes]:
    """``baseline record --append``, which flushes as often as it can."""
    script = """if True:
        import sys
        from baseline.cli.main import run
        from baseline.recordings import writer
        writer.RecordingWriter.__init__.__kwdefaults__["flush_seconds"] = 0.0
        run()"""
    arguments = ["record", "--append", "--cgroup", f"{cgroup.path}/*", "--interval", "100ms"]
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments, "--out", out],
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[bytes]) -> str:
    """With all that it has started; what it had said."""
    os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()[1].decode()


@pytest.mark.timeout(600)
def test_every_count_is_recorded_once(cgroup: Cgroup, tmp_path: Path) -> None:
    web = cgroup.child("web")
    out = tmp_path / "recording"
    first = record(cgroup, out)
    while not out.exists():
        assert first.poll() is None
        time.sleep(0.01)
    with steady_load(web, CALLS) as calls:
        kill(first)
        for number in range(KILLS):
            process = record(cgroup, out)
            time.sleep(LONGEST_LIFE * (number * 37 % KILLS) / KILLS)
            assert "Error" not in kill(process)
    last = record(cgroup, out)
    before = Recording(out).part_count
    while Recording(out).part_count < before + 2:
        assert last.poll() is None
        time.sleep(0.01)
    last.terminate()
    last.communicate()
    assert last.returncode == 0

    windows: defaultdict[str, list[Window]] = defaultdict(list)
    for window in Recording(out).windows():
        assert window.ledger.adds_up
        assert window.ledger.lost == 0
        windows[window.replica].append(window)
    assert set(windows) == {web.path}
    assert sum(window.ngrams.total for window in windows[web.path]) == sum(calls)
    executions = sum(sum(window.executions.values()) for window in windows[web.path])
    assert executions == len(calls)
    # A window that was written twice would overlap itself; ends are read before the tables.
    for former, latter in itertools.pairwise(windows[web.path]):
        assert latter.end > former.end
        assert latter.start > former.end - 100_000_000
