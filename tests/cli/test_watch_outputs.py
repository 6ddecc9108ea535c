"""What becomes of alerts whose readers are slow, gone or out of room."""

import json
import os
import pty
import re
import stat
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from full_disk import small_disk
from running import BASELINE, ENVIRONMENT, run
from small_service import write_recording
from unread import stopped_terminal, stuck_pipe

from baseline.recordings import Recording

WATCHED = (
    "Watched 30 windows: 1 alert in 1 incident (19 anomalous windows of nothing but what was "
    "reported); nothing lost."
)


@pytest.fixture
def watch(models: Path, intruded: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The command that finds one alert, in text and not at a pace."""
    monkeypatch.setitem(ENVIRONMENT, "BASELINE_WATCH_BUDGET", "2/hour")
    return [BASELINE, "watch", "--from", intruded, "--models", models]


def start(
    command: list[object], *more: object, stdout: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*map(str, command), *map(str, more)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


def lines_of(talk: str) -> list[str]:
    """What was said, but for the incident, which is still open at the end."""
    lines = talk.splitlines()
    (still_open,) = (line for line in lines if line.startswith("Incidents still open: web "))
    lines.remove(still_open)
    return lines


def ids(file: Path) -> list[str]:
    return [json.loads(line)["id"] for line in file.read_text().splitlines()]


def test_a_file_gets_every_alert_as_json_and_stdout_too(
    watch: list[object], tmp_path: Path
) -> None:
    file = tmp_path / "alerts.jsonl"
    out, talk = start(watch, "--alerts", file, "--format", "json").communicate()
    assert file.read_text() == out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert lines_of(talk) == [WATCHED]
    text, _ = start(watch, "--alerts", file).communicate()
    assert text.startswith("web  2026-")
    assert file.read_text() == out * 2  # appended


def test_a_file_that_cannot_be_is_refused_before_the_work(
    watch: list[object], tmp_path: Path
) -> None:
    process = start(watch, "--alerts", tmp_path / "no" / "alerts.jsonl")
    assert process.communicate()[1] == (
        f"Error: {tmp_path}/no/alerts.jsonl cannot be written: No such file or directory. "
        "Create the folder above it first.\n"
    )
    assert process.returncode == 1


def test_a_reader_that_leaves_does_not_end_a_watch(watch: list[object], tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    process = start(watch, "--alerts", tmp_path / "alerts.jsonl", stdout=theirs)
    os.close(theirs)
    _, talk = process.communicate()
    assert lines_of(talk) == [
        "Nobody reads standard output any more: its alerts are only counted from now on.",
        WATCHED,
        "Error: Not delivered: 1 alert to standard output. Mend what is said above.",
    ]
    assert process.returncode == 1
    assert len(ids(tmp_path / "alerts.jsonl")) == 1


def test_an_anomaly_is_one_also_where_nobody_reads_it(watch: list[object]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    process = start(watch, "--fail-on", "anomaly", stdout=theirs)
    os.close(theirs)
    _, talk = process.communicate()
    assert process.returncode == 3
    assert "Error: Not delivered: 1 alert to standard output." in talk


def test_a_reader_that_sleeps_does_not_hold_up_a_watch(watch: list[object], tmp_path: Path) -> None:
    ours, theirs = stuck_pipe()
    process = start(watch, "--alerts", tmp_path / "alerts.jsonl", stdout=theirs)
    os.close(theirs)
    _, talk = process.communicate()  # while its stdout is stuck
    assert WATCHED in talk
    assert "Error: Not delivered: 1 alert to standard output." in talk
    assert process.returncode == 1
    assert len(ids(tmp_path / "alerts.jsonl")) == 1
    with os.fdopen(ours, "rb") as reader:
        assert set(reader.read()) == set(b"x")


def test_talk_that_nobody_reads_does_not_hold_up_a_watch(
    watch: list[object], tmp_path: Path
) -> None:
    ours, theirs = stuck_pipe()
    process = subprocess.Popen(
        [*map(str, watch), "--alerts", str(tmp_path / "alerts.jsonl"), "--budget", "1/year"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=ENVIRONMENT,
    )
    os.close(theirs)
    out, _ = process.communicate()
    assert process.returncode == 0
    assert b"nginx started /usr/bin/dash" in out
    assert len(ids(tmp_path / "alerts.jsonl")) == 1
    with os.fdopen(ours, "rb") as reader:
        assert set(reader.read()) == set(b"x")


@pytest.mark.parametrize("talks_to", ["pipe", "other terminal", "same terminal"])
def test_a_stopped_terminal_does_not_hold_up_a_watch(
    talks_to: str, watch: list[object], intruded: Path, tmp_path: Path
) -> None:
    content = list(Recording(intruded).windows())
    content[-1] = replace(content[-1], workload="other")  # of which something is said at the end
    recording = write_recording(tmp_path / "recording", content)
    ours, theirs = stopped_terminal()
    if talks_to == "pipe":
        listener, stderr = os.pipe()
    elif talks_to == "other terminal":
        listener, stderr = pty.openpty()
    else:
        listener, stderr = os.dup(ours), os.dup(theirs)
    arguments = [str(recording) if part == intruded else str(part) for part in watch]
    process = subprocess.Popen(
        [*arguments, "--pace", "20", "--alerts", str(tmp_path / "alerts.jsonl")],
        stdout=theirs,
        stderr=stderr,
        env=ENVIRONMENT,
    )
    os.close(stderr)
    talk = ""
    if talks_to != "same terminal":
        with suppress(OSError):  # the other end is closed
            while chunk := os.read(listener, 1 << 16):
                talk += chunk.decode()
    assert process.wait() == 1
    assert len(ids(tmp_path / "alerts.jsonl")) == 1
    if talks_to != "same terminal":
        assert "There is no model of other in " in talk
        assert "Watched 29 windows: 1 alert in 1 incident" in talk
        assert "Not delivered: 1 alert to standard output." in talk.replace("\r\n", " ")
    for descriptor in (ours, theirs, listener):
        os.close(descriptor)


def test_a_full_disk_under_stdout_is_an_error(watch: list[object]) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    process = start(watch, stdout=full)
    os.close(full)
    _, talk = process.communicate()
    assert process.returncode == 1
    assert lines_of(talk) == [
        "Alerts cannot be written to standard output: No space left on device. They wait, and it "
        "is tried again.",
        WATCHED,
        "Error: Not delivered: 1 alert to standard output. Mend what is said above, and add "
        "--alerts FILE for a second copy.",
    ]


def test_disks_that_are_full_for_a_while_get_their_alerts(
    watch: list[object], tmp_path: Path
) -> None:
    with small_disk(tmp_path, 1 << 20) as disk:
        out, file = disk.folder / "stdout", disk.folder / "alerts.jsonl"
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT)
        disk.fill()
        # The alert comes after two seconds, the end after six.
        process = start(
            watch, "--pace", "5", "--alerts", file, "--format", "json", stdout=descriptor
        )
        os.close(descriptor)
        assert process.stderr
        said = sorted(process.stderr.readline() for _ in range(2))
        assert [message.split(":")[0] for message in said] == [
            f"Alerts cannot be written to {file}",
            "Alerts cannot be written to standard output",
        ]
        assert file.stat().st_size == 0
        disk.free()
        _, talk = process.communicate()
        assert sorted(lines_of(talk)) == [
            f"Alerts are written to {file} again.",
            "Alerts are written to standard output again.",
            WATCHED,
        ]
        assert process.returncode == 0
        assert len(ids(file)) == 1
        assert out.read_text() == file.read_text()


def test_a_closed_stderr_does_not_end_a_watch(watch: list[object], tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [*map(str, watch), "--alerts", str(tmp_path / "alerts.jsonl")],
        stdout=theirs,
        stderr=theirs,
        check=False,
        env=ENVIRONMENT,
    )
    os.close(theirs)
    assert done.returncode == 1
    assert len(ids(tmp_path / "alerts.jsonl")) == 1


def test_an_alert_is_whole_on_a_terminal_with_a_progress_bar(watch: list[object]) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*map(str, watch), "--pace", "20"], stdout=theirs, stderr=theirs, env=ENVIRONMENT
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the other end is closed
        while chunk := os.read(ours, 1 << 16):
            shown += chunk
    os.close(ours)
    assert process.wait() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    lines = [line.rstrip() for line in text.replace("\r", "\n").splitlines()]
    first = next(n for n, line in enumerate(lines) if line.startswith("web  2026-"))
    alert = [line for line in lines[first:] if line]
    assert any("Watching" in line for line in lines[:first])
    assert alert[3].startswith("  evidence  ")
    assert alert[4].startswith("  replica   demo/web")
    assert alert[5].startswith("  surprise  count  of what")


def test_an_alert_names_the_container(watch: list[object], intruded: Path, tmp_path: Path) -> None:
    cgroup = f"system.slice/docker-{'3f0d' * 16}.scope"
    content = [replace(window, replica=cgroup) for window in Recording(intruded).windows()]
    recording = write_recording(tmp_path / "recording", content)
    out, _ = start([str(recording) if part == intruded else part for part in watch]).communicate()
    assert "  container  3f0d3f0d3f0d\n" in out
    assert f"  replica    {cgroup[:60]}" in out


def test_the_help_says_what_becomes_of_alerts() -> None:
    assert "--alerts FILE" in run("watch", "--help").stdout
