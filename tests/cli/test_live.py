"""The commands on the real kernel: they see what happens, and end in order."""

import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from cgroup_service import running_in
from full_disk import small_disk
from on_terminal import OnTerminal
from processes import Process, Start
from requirements import require_tools
from running import BASELINE, run

from baseline.kernel.agents import RUN_DIRECTORY
from baseline.kernel.position import positions
from baseline.model.storage import load_models
from baseline.recordings import Recording
from baseline.workloads.cgroups import cgroup2_mount

pytestmark = pytest.mark.kernel

# Does the same over and over; for a line on stdin it starts a shell, or makes calls that nobody
# makes and the kernel refuses.
SERVICE = """
import ctypes, subprocess, threading, time
join()
def obey():
    for line in sys.stdin:
        if line == "shell\\n":
            subprocess.run(["/bin/sh", "-c", ":"])
        for number in range(340, 400) if line == "calls\\n" else ():
            ctypes.CDLL(None).syscall(number)
            time.sleep(0.03)
threading.Thread(target=obey, daemon=True).start()
while True:
    os.getppid()
    time.sleep(0.001)
"""


@pytest.fixture(scope="module")
def service(group: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service in a cgroup below ``group``, and the kernel program kept loaded: that is faster."""
    with running_in(f"{group}/service", SERVICE) as process:
        out = tmp_path_factory.mktemp("kept") / "out"
        run("record", "--cgroup", f"{group}/*", "--duration", "100ms", "--keep", "--out", out)
        yield process
        run("unload")


def end(process: Process, number: signal.Signals) -> tuple[str, str]:
    """Stdout and stderr of a command that a signal ends well."""
    process.send_signal(number)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out, err


def test_a_shell_of_a_learned_service_is_named_at_once(
    group: str, service: Process, command: Start, tmp_path: Path
) -> None:
    cgroup = ("--cgroup", f"svc={group}/*", "--interval", "200ms")
    learned = run(
        *("learn", *cgroup, "--duration", "3s", "--out", tmp_path / "models"),
        *("--recording", tmp_path / "recording"),
    )
    assert (learned.returncode, learned.stdout) == (0, "")
    assert learned.stderr.endswith(f"Wrote {tmp_path / 'models'}: 1 model; nothing lost.\n")
    recording = Recording(tmp_path / "recording")
    assert recording.workloads == ("svc",)
    windows = list(recording.windows())
    assert {w.replica for w in windows} == {f"{group}/service"}
    assert all(w.ledger.adds_up for w in windows)

    watch = command("watch", *cgroup, "--models", tmp_path / "models", "--format", "json")
    assert watch.stderr
    assert watch.stderr.readline() == f"Counting {group}/service as svc\n"
    assert watch.stderr.readline().startswith("Learning was too short to vouch for 1/week")
    tell(service, "shell")
    assert watch.stdout
    # After three seconds of learning, the service's own first futex may be news, too.
    alerts = map(json.loads, iter(watch.stdout.readline, ""))
    alert = next(a for a in alerts if "never seen in learning" in a["headline"])
    assert alert["evidence"][0]["item"]["lineage"][-1]["path"] == os.path.realpath("/bin/sh")
    assert alert["process"]["pid"] > 0
    assert alert["replica"] == f"{group}/service"
    _, talk = end(watch, signal.SIGINT)
    assert "nothing lost" in talk


def test_alerts_go_on_after_the_reader_of_stdout_has_left(
    group: str, service: Process, command: Start, tmp_path: Path
) -> None:
    cgroup = ("--cgroup", f"svc={group}/*", "--interval", "200ms")
    run("learn", *cgroup, "--duration", "3s", "--out", tmp_path / "models")
    file = tmp_path / "alerts.jsonl"
    watch = command("watch", *cgroup, "--models", tmp_path / "models", "--alerts", file)
    assert watch.stdout
    watch.stdout.close()
    assert watch.stderr
    while not watch.stderr.readline().startswith("Counting "):
        assert watch.poll() is None
    tell(service, "shell")
    while not file.exists() or "never seen in learning" not in file.read_text():
        assert watch.poll() is None
    watch.send_signal(signal.SIGINT)
    talk = watch.stderr.read()
    assert watch.wait() == 1
    assert talk.count("Nobody reads standard output any more: ") == 1
    assert "nothing lost" in talk
    alerts = list(map(json.loads, file.read_text().splitlines()))
    assert f"Error: Not delivered: {len(alerts)} alert" in talk


def tell(service: Process, what: str) -> None:
    assert service.stdin
    service.stdin.write(f"{what}\n")
    service.stdin.flush()


def alerts_of_shell(file: Path) -> int:
    """How many alerts tell that the service has started one."""
    lines = map(json.loads, file.read_text().splitlines() if file.exists() else [])
    shell = f"started {os.path.realpath('/bin/sh')} "
    return sum(shell in line["headline"] for line in lines)


def kept_at() -> float:
    """When the only command that runs last kept how far it has read, by the monotonic clock."""
    return max(position.time for position in positions(of_running=True))


def alive_at() -> float:
    """When it last said that it runs, for want of anything to keep."""
    texts = [path.read_bytes() for path in RUN_DIRECTORY.glob("positions/*.lock")]
    return max(struct.unpack("<d", text)[0] for text in texts if text)


def until_read_on(watch: Process) -> None:
    """Return when a successor has read what was counted since its predecessor kept where it was."""
    assert watch.stderr
    lines = iter(watch.stderr.readline, "")
    assert next(line for line in lines if line.startswith("Reading on from a command"))


def test_what_was_told_is_not_told_again_after_a_kill(
    group: str, service: Process, command: Start, start: Start, tmp_path: Path
) -> None:
    cgroup = ("--cgroup", f"svc={group}/*", "--interval", "200ms")
    models, file = tmp_path / "models", tmp_path / "alerts.jsonl"
    run("learn", *cgroup, "--duration", "3s", "--out", models)
    arguments = ("watch", *cgroup, "--models", models, "--alerts", file)
    # Nothing is kept but what was told.
    script = "from baseline.cli import keeping, main; keeping._BETWEEN_QUIET = 1e9; main.run()"
    watch = start([sys.executable, "-c", script, *arguments], stdout=subprocess.DEVNULL)
    assert watch.stderr
    while not watch.stderr.readline().startswith("Counting "):
        assert watch.poll() is None
    tell(service, "shell")
    while not alerts_of_shell(file):
        assert watch.poll() is None
    told_at = time.monotonic()
    tell(service, "calls")  # where it was kept before we looked, it is kept once more
    while kept_at() < told_at:
        assert watch.poll() is None
    watch.kill()
    watch.communicate()
    again = command(*arguments)
    until_read_on(again)
    again.send_signal(signal.SIGINT)
    again.communicate()
    assert alerts_of_shell(file) == 1


def test_what_a_full_disk_kept_from_being_told_is_told_after_a_kill(
    group: str, service: Process, command: Start, tmp_path: Path
) -> None:
    cgroup = ("--cgroup", f"svc={group}/*", "--interval", "200ms")
    models = tmp_path / "models"
    run("learn", *cgroup, "--duration", "3s", "--out", models)
    with small_disk(tmp_path, 1 << 20) as disk:
        file = disk.folder / "alerts.jsonl"
        arguments = ("watch", *cgroup, "--models", models, "--alerts", file)
        disk.fill()
        watch = command(*arguments, "--format", "json")
        assert watch.stderr
        assert watch.stdout
        while not watch.stderr.readline().startswith("Counting "):
            assert watch.poll() is None
        tell(service, "shell")
        while f"started {os.path.realpath('/bin/sh')} " not in watch.stdout.readline():
            assert watch.poll() is None
        told_at = time.monotonic()
        while alive_at() < told_at + 1:  # several intervals later, whatever was kept in them
            assert watch.poll() is None
        watch.kill()
        watch.communicate()
        assert alerts_of_shell(file) == 0
        disk.free()
        again = command(*arguments)
        until_read_on(again)
        again.send_signal(signal.SIGINT)
        again.communicate()
        assert alerts_of_shell(file) == 1


def test_new_system_calls_alone_are_told_before_their_window_ends(
    group: str, service: Process, command: Start, tmp_path: Path
) -> None:
    cgroup = ("--cgroup", f"svc={group}/*")
    learned = run(
        *("learn", *cgroup, "--interval", "200ms", "--duration", "3s"),
        *("--out", tmp_path / "models"),
    )
    assert learned.returncode == 0, learned.stderr
    watch = command(
        *("watch", *cgroup, "--models", tmp_path / "models"),
        *("--format", "json", "--interval", "10m"),
    )
    assert watch.stderr
    while not watch.stderr.readline().startswith("Counting "):
        assert watch.poll() is None
    tell(service, "calls")
    assert watch.stdout
    alerts = map(json.loads, iter(watch.stdout.readline, ""))
    # A window may be taken early, for the sake of groups that have ended.
    alert = next(a for a in alerts if a["test"] == "first sight" and "syscall_3" in a["headline"])
    assert alert["signal"] == "calls"
    assert alert["process"]["pid"] == service.pid
    assert alert["unseen"]["executions"] == 0
    end(watch, signal.SIGINT)


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_recording_with_everything_written(
    number: signal.Signals, group: str, command: Start, tmp_path: Path
) -> None:
    record = command(
        *("record", "--cgroup", f"{group}/*", "--interval", "100ms", "--out", tmp_path / "out")
    )
    assert record.stderr
    assert record.stderr.readline().startswith("Counting ")
    while not (tmp_path / "out").exists():  # it comes with the first window
        assert record.poll() is None
    _, talk = end(record, number)
    assert talk.startswith(f"Wrote {tmp_path / 'out'}: ")
    assert Recording(tmp_path / "out").window_count > 0


@pytest.mark.usefixtures("service")
def test_a_terminal_that_is_closed_does_not_lose_what_was_learned(
    group: str, tmp_path: Path
) -> None:
    out = tmp_path / "models"
    learn = ("learn", "--cgroup", f"svc={group}/*", "--interval", "200ms", "--out", out)
    with OnTerminal(BASELINE, *learn) as terminal:
        terminal.until_shown("Learning")
        terminal.until_shown("unseen")  # there was a window
        terminal.hang_up()
        assert terminal.until_ended() == 0
    assert load_models(out)["svc"].training.windows > 0


@pytest.mark.usefixtures("service")
def test_ctrl_c_twice_in_haste_does_not_lose_what_was_learned(group: str, tmp_path: Path) -> None:
    out = tmp_path / "models"
    learn = ("learn", "--cgroup", f"svc={group}/*", "--interval", "200ms", "--out", out)
    with OnTerminal(BASELINE, *learn) as terminal:
        terminal.until_shown("unseen")
        terminal.press("\x03")
        terminal.until(lambda: b"^C" in terminal.written)  # two at once would be one signal
        terminal.press("\x03")
        assert terminal.until_ended() == 0
    assert load_models(out)["svc"].training.windows > 0


def test_nothing_is_learned_of_what_does_nothing(group: str, tmp_path: Path) -> None:
    idle = cgroup2_mount() / group / "idle"
    idle.mkdir()
    try:
        out = tmp_path / "models"
        cgroup = ("--cgroup", f"svc={group}/idle", "--interval", "100ms", "--duration", "300ms")
        done = run("learn", *cgroup, "--out", out)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == (
            "Error: Nothing was counted of svc, and no model was written. "
            "Learn while the service is at work, or give it more time."
        )
        assert not out.exists()
    finally:
        idle.rmdir()


@pytest.mark.usefixtures("service")
def test_a_recording_goes_on_over_a_full_disk(group: str, command: Start, tmp_path: Path) -> None:
    with small_disk(tmp_path, 8 << 20) as disk:
        out = disk.folder / "out"
        record = command("record", "--cgroup", f"{group}/*", "--interval", "200ms", "--out", out)
        while not out.exists():  # it comes with the first window
            assert record.poll() is None
        disk.fill()
        assert record.stderr
        lines = iter(record.stderr.readline, "")
        said = next(line for line in lines if "cannot be written" in line)
        assert said.startswith(str(out))
        assert said.endswith("What is seen waits in memory, and it is tried again.\n")
        disk.free()
        assert next(lines) == f"{out} is written again, with all that waited.\n"
        _, talk = end(record, signal.SIGINT)
        assert "nothing lost" in talk
        windows = list(Recording(out).windows())
        assert all(window.ledger.adds_up for window in windows)
        # Without a gap: what is not in one window is in the next.
        for before, after in pairwise(windows):
            assert abs(after.start - before.end) < 10**9


@pytest.mark.usefixtures("service")
def test_a_workload_under_another_name_than_it_was_learned_by_is_told_at_once(
    group: str, command: Start, tmp_path: Path
) -> None:
    cgroup, models = ("--interval", "200ms"), tmp_path / "models"
    run("learn", "--cgroup", f"svc={group}/*", *cgroup, "--duration", "1s", "--out", models)
    watch = command("watch", "--cgroup", f"{group}/*", *cgroup, "--models", models)
    assert watch.stderr
    told = next(line for line in watch.stderr if line.startswith("There is no model of "))
    assert watch.poll() is None
    assert told == (
        f"There is no model of {group}/service in {models}, which has models of svc alone: "
        "learn it to have it watched, or name it as it was learned, with --cgroup NAME=GLOB.\n"
    )
    watch.send_signal(signal.SIGTERM)
    talk = watch.communicate()[1]
    assert watch.returncode == 1
    assert talk.splitlines()[-1].startswith("Error: Nothing was judged: ")


@pytest.mark.usefixtures("service")
def test_what_a_killed_command_had_not_written_does_not_take_the_length_of_windows_away(
    group: str, command: Start, tmp_path: Path
) -> None:
    out, models, other = tmp_path / "out", tmp_path / "models", tmp_path / "other"
    cgroup = ("--cgroup", f"svc={group}/*", "--interval", "1s")
    record = command("record", *cgroup, "--out", out)
    while not out.exists():  # it comes with the first window, and is committed later
        assert record.poll() is None
    time.sleep(3)  # so that the window that catches up is long
    record.kill()
    record.communicate()
    again = run("record", *cgroup, "--append", "--duration", "5s", "--out", out)
    assert again.returncode == 0, again.stderr
    (told,) = [line for line in again.stderr.splitlines() if line.startswith("Reading on")]
    figures = re.fullmatch(
        r"Reading on from a command that stopped (\d+) s ago: "
        r"the (\d+) s that it had not kept are in one window",
        told,
    )
    assert figures
    stopped, kept = map(int, figures.groups())
    assert kept > stopped
    assert max(window.observed for window in Recording(out).windows()) > 2 * 10**9
    assert run("learn", *cgroup, "--duration", "5s", "--out", other).returncode == 0
    learned = run("learn", "--from", out, "--inherit", other, "--out", models)
    assert learned.returncode == 0, learned.stderr
    merged = run("merge", models, other, "--out", tmp_path / "merged")
    assert merged.returncode == 0, merged.stderr
    watched = run("watch", *cgroup, "--models", models, "--duration", "2s")
    assert "was learned in windows of" not in watched.stderr


@pytest.mark.usefixtures("service")
def test_what_a_recording_lacks_at_the_end_is_an_error(
    group: str, command: Start, tmp_path: Path
) -> None:
    with small_disk(tmp_path, 8 << 20) as disk:
        out = disk.folder / "out"
        record = command("record", "--cgroup", f"{group}/*", "--interval", "200ms", "--out", out)
        while not out.exists():
            assert record.poll() is None
        disk.fill()
        record.send_signal(signal.SIGINT)
        _, talk = record.communicate()
        assert record.returncode == 1
        assert re.search(
            r"Error: .*No space left on device; \d+ windows? of .*/out could not be written\. "
            r"Free some space there or choose another disk\.\n$",
            talk,
        )
        assert Recording(out).window_count == 0


@pytest.mark.usefixtures("service")
def test_a_recording_is_continued(group: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    cgroup = ("--cgroup", f"{group}/*", "--duration", "300ms")
    counts = []
    for _ in range(2):
        done = run("record", *cgroup, "--interval", "100ms", "--append", "--out", out)
        assert done.returncode == 0, done.stderr
        counts.append(Recording(out).window_count)
    assert counts[0] < counts[1]
    for path in (out, *out.rglob("*"), *RUN_DIRECTORY.glob("position*")):
        assert path.stat().st_mode & 0o077 == 0, path
    other = run("record", *cgroup, "--interval", "200ms", "--append", "--out", out)
    assert other.returncode == 2
    assert other.stderr.splitlines()[-1] == (
        f"Error: {out} has the interval 0.1 s and cannot be continued with 0.2 s. "
        "Use the same --interval, or record to another folder."
    )
    assert Recording(out).window_count == counts[1]
    both = run("record", *cgroup, "--append", "--force", "--out", out)
    assert (both.returncode, "--append and --force exclude" in both.stderr) == (2, True)


@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_is_set_loses_nothing(
    group: str, service: Process, command: Start, tmp_path: Path, days: int
) -> None:
    require_tools("gcc")
    library, clock = tmp_path / "set_clock.so", tmp_path / "clock"
    source = Path(__file__).with_name("set_clock.c")
    subprocess.run(["gcc", "-Wall", "-shared", "-fPIC", "-o", library, source], check=True)
    clock.write_text("0")
    faked = {"LD_PRELOAD": str(library), "CLOCK_AHEAD": str(clock)}
    cgroup = ("--cgroup", f"svc={group}/*", "--interval", "200ms")
    out, file = tmp_path / "out", tmp_path / "alerts.jsonl"
    run("learn", *cgroup, "--duration", "3s", "--out", tmp_path / "models")
    record = command("record", *cgroup, "--out", out, **faked)
    watch = command("watch", *cgroup, "--models", tmp_path / "models", "--alerts", file, **faked)
    for process in (record, watch):
        assert process.stderr
        while not process.stderr.readline().startswith("Counting "):
            assert process.poll() is None
    while not out.exists():
        assert record.poll() is None
    before = time.time()
    clock.write_text(str(days * 86_400))
    time.sleep(1)  # so that windows end after that, too
    tell(service, "shell")
    while not file.exists() or "never seen in learning" not in file.read_text():
        assert watch.poll() is None
    for process in (record, watch):
        _, talk = end(process, signal.SIGINT)
        assert "nothing lost" in talk
    windows = list(Recording(out).windows())
    assert all(window.ledger.adds_up for window in windows)
    assert windows[0].end < before * 1e9 < windows[0].end + 60 * 10**9
    assert round((windows[-1].end - windows[0].end) / 86_400e9) == days
    assert all(window.observed < 60 * 10**9 for window in windows)


def test_a_glob_that_matches_nothing_yet_is_waited_for(
    group: str, command: Start, tmp_path: Path
) -> None:
    record = command("record", "--cgroup", f"{group}/later*", "--out", tmp_path / "out")
    assert record.stderr
    assert record.stderr.readline() == (
        f"Waiting for a cgroup that matches {group}/later* below {cgroup2_mount()}\n"
    )
    record.send_signal(signal.SIGINT)
    _, talk = record.communicate()
    assert record.returncode == 1
    assert talk == (
        f"Error: Nothing was seen of {group}/later*, and nothing was written. "
        "Start the service first, or give it more time.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_cgroup_is_wrong_use(tmp_path: Path) -> None:
    done = run("record", "--cgroup", "no/such/cgroup", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: There is no cgroup no/such/cgroup")
    assert done.stderr.count("\n") == 1


def test_the_doctor_finds_everything_well() -> None:
    done = run("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(line.startswith("ok  ") for line in done.stdout.splitlines())


@pytest.mark.usefixtures("service")
def test_what_was_kept_is_unloaded() -> None:
    assert "Unloaded" in run("unload").stderr
    assert run("unload").stderr == "Nothing was loaded.\n"


@pytest.mark.usefixtures("service")
def test_a_watch_whose_terminal_is_closed_takes_its_program_away(
    group: str, tmp_path: Path
) -> None:
    run("unload")  # what was kept loaded, for other tests
    cgroup, models = ("--cgroup", f"svc={group}/*", "--interval", "200ms"), tmp_path / "models"
    run("learn", *cgroup, "--duration", "1s", "--out", models)
    with OnTerminal(BASELINE, "watch", *cgroup, "--models", models) as terminal:
        terminal.until_shown("window")
        terminal.hang_up()
        assert terminal.until_ended() >= 0  # 1 if an alert did not reach the terminal
    assert run("unload").stderr == "Nothing was loaded.\n"
