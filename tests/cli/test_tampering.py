"""Tampering reaches whoever takes alerts: a line of its own, the summary, the exit code."""

import io
import json
import platform
import subprocess
from pathlib import Path

import pytest
from processes import Start
from requirements import require_tools
from running import run

from baseline.alerts.json_lines import JsonLinesSink
from baseline.alerts.text import TextSink
from baseline.alerts.written_alert import read_alerts
from baseline.interference import Interference
from baseline.kernel.program import LINK_PREFIX, PIN_ROOT, Settings, fingerprint

DETACHED = Interference(
    1_795_392_000_123_000_000,
    "Somebody detached connect4: what the hook counts is missing from now on; "
    "run `baseline unload` and start again",
)


def test_a_line_for_machines() -> None:
    stream = io.StringIO()
    JsonLinesSink(stream.write).write_interference(DETACHED)
    assert stream.getvalue().count("\n") == 1
    assert json.loads(stream.getvalue()) == {
        "time": "2026-11-23T00:00:00.123000Z",
        "node": platform.node(),
        "headline": DETACHED.what,
        "test": "tampering",
    }
    assert list(read_alerts([stream.getvalue().encode()], "alerts")) == []


def test_text_for_people() -> None:
    stream = io.StringIO()
    TextSink(stream.write).write_interference(
        Interference(DETACHED.time, DETACHED.what + "\x1b[2J")
    )
    first, *rest = stream.getvalue().splitlines()
    assert first.startswith("tampering  2026-11-23T00:00:00.123Z ---")
    assert max(map(len, [first, *rest])) <= 80
    assert " ".join(rest).startswith(DETACHED.what)
    assert "\x1b" not in stream.getvalue()


@pytest.mark.kernel
def test_a_hook_that_is_detached_while_we_watch(group: str, command: Start, models: Path) -> None:
    require_tools("bpftool")
    watch = command(
        *("watch", "--cgroup", f"web={group}", "--models", models, "--interval", "200ms"),
        *("--format", "json", "--fail-on", "anomaly"),
    )
    assert watch.stderr
    assert watch.stdout
    counting = f"Counting {group} as web\n"
    assert counting in iter(watch.stderr.readline, "")
    pin = PIN_ROOT / fingerprint(Settings()) / f"{LINK_PREFIX}sendmsg6"
    subprocess.run(["bpftool", "link", "detach", "pinned", pin], check=True)
    line = json.loads(watch.stdout.readline())
    assert line["test"] == "tampering"
    assert line["headline"].startswith("Somebody detached sendmsg6: ")
    watch.terminate()
    out, talk = watch.communicate()
    assert out == ""
    assert f"Warning: {line['headline']}\n" in talk
    assert talk.endswith("Tampered with: 1 warning.\n")
    assert watch.returncode == 3
    assert run("unload").stderr == "Nothing was loaded.\n"
