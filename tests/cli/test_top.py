"""The live table as users see it: on a terminal, and where there is none."""

import json
import re
import shutil
import signal
import termios
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import pytest
from on_terminal import DOWN, LEFT, RIGHT, UP, OnTerminal
from running import BASELINE, run

from baseline.recordings import Recording
from baseline.recordings.replay import replay

DATA = Path(__file__).parents[2] / "data"
INTRUDED = DATA / "nginx" / "intruded"
ENTER_SCREEN, LEAVE_SCREEN, SHOW_CURSOR = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"
ESCAPE = "\x1b"
END = "The recording ends here"
LOCAL_MODES = 3
"""Place of the modes in which canonical input and echo are."""


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of a real nginx."""
    path = tmp_path_factory.mktemp("nginx") / "models"
    done = run("learn", "--from", DATA / "nginx" / "normal", "--out", path)
    assert done.returncode == 0, done.stderr
    return path


def rows(lines: Iterable[str]) -> list[list[str]]:
    """The cells of the lines below the titles, up to the first empty line."""
    below = iter(lines)
    for line in below:
        if "calls/s" in line.split():
            break
    return [line.strip("> ").split() for line in iter(lambda: next(below, ""), "")]


def assert_restored(terminal: OnTerminal) -> None:
    """It is as it was before, and the last words are not on the other screen."""
    assert terminal.modes == terminal.modes_before
    assert terminal.written.count(ENTER_SCREEN) == terminal.written.count(LEAVE_SCREEN) > 0
    left = terminal.written.rindex(LEAVE_SCREEN)
    assert left > terminal.written.rindex(ENTER_SCREEN)
    assert SHOW_CURSOR in terminal.written[terminal.written.rindex(b"\x1b[?25l") :]


def test_arrows_lead_to_the_alert_as_watch_writes_it(nginx: Path) -> None:
    arguments = ("--from", INTRUDED, "--models", nginx)
    watched = run("watch", *arguments).stdout
    alerts = [text.splitlines() for text in re.split(r"\n(?=nginx  20)", watched.strip())]
    with OnTerminal.top(*arguments, "--pace", 20) as terminal:
        lines = terminal.until_shown(END)
        assert lines[0].startswith("baseline top  18:51:21 UTC  1 workload, ")
        assert lines[0].endswith(f", {len(alerts)} alerts, nothing lost")
        ((name, *_, learned, lost, number),) = rows(lines)
        assert (name, learned, lost, number) == ("nginx", "partial", "0", str(len(alerts)))
        assert lines[-1].startswith("up/down select  right alerts  s sort (score)  p pause  q quit")

        terminal.press(RIGHT)
        lines = terminal.until_shown("what happened")
        assert lines[1] == "nginx"
        assert "  learned   partial: up to 25% of windows show new n-grams" in lines
        listed = [line for line in lines if re.match(r"[> ] \d\d:\d\d:\d\d ", line)]
        assert [line.startswith("> ") for line in listed] == [True] + [False] * (len(alerts) - 1)
        terminal.press(DOWN * (len(alerts) - 1), "\n")  # the oldest
        lines = terminal.until_shown("surprise  count  of what")
        shown = lines[1:-2]
        assert shown == alerts[0][: len(shown)]

        terminal.press(DOWN)
        terminal.until(lambda: terminal.lines[1] == alerts[0][1])
        terminal.press("k")
        terminal.until(lambda: terminal.lines[1] == alerts[0][0])
        terminal.press(LEFT)
        terminal.until_shown("what happened")
        terminal.press(ESCAPE)
        terminal.until_shown("right alerts")
        terminal.press("q")
        assert terminal.until_ended() == 0
        assert_restored(terminal)


def test_selecting_sorting_and_pausing(models: Path, normal: Path) -> None:
    with OnTerminal.top("--from", normal, "--models", models, "--sort", "name") as terminal:
        lines = terminal.until_shown(END)
        assert [row[0] for row in rows(lines)] == ["api", "web"]
        assert "> api" in lines[3]
        terminal.press("j")
        terminal.until(lambda: "> web" in terminal.lines[4])
        terminal.press(UP)
        terminal.until(lambda: "> api" in terminal.lines[3])
        terminal.press("s")
        terminal.until_shown("s sort (score)")
        terminal.press("p")
        terminal.until_shown("PAUSED")
        terminal.press("p")
        terminal.until(lambda: "PAUSED" not in terminal.lines[0])
        terminal.press(ESCAPE, "q")
        assert terminal.until_ended() == 0


def test_a_pause_lets_the_picture_stand(models: Path, normal: Path) -> None:
    with OnTerminal.top("--from", normal, "--models", models, "--pace", 40) as terminal:
        terminal.until_shown("workloads, ")
        terminal.press("p")
        stands = terminal.until_shown("PAUSED")[:5]
        terminal.until_shown(END)
        assert terminal.lines[:5] == stands
        assert "00:04:00 UTC" not in terminal.lines[0]
        terminal.press("p")
        terminal.until_shown("00:04:00 UTC")


def test_the_window_may_change_its_size(nginx: Path) -> None:
    with OnTerminal.top("--from", INTRUDED, "--models", nginx) as terminal:
        lines = terminal.until_shown(END)
        assert "replicas" not in lines[2]
        for columns, height in ((150, 40), (60, 12), (80, 24)):
            terminal.resize(columns, height)
            terminal.until(
                lambda: (
                    terminal.lines[0].startswith("baseline top  18:51:21 UTC")
                    and terminal.lines[-2] == END
                    and terminal.lines[-1].startswith("up/down select")
                )
            )
            assert len(terminal.lines) == height
            assert ("replicas" in terminal.lines[2]) == (columns == 150)
            assert ("latest alert" in terminal.lines[2]) == (columns == 150)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_leave_the_terminal_as_it_was(number: signal.Signals, nginx: Path) -> None:
    with OnTerminal.top("--from", INTRUDED, "--models", nginx, "--pace", 1) as terminal:
        terminal.until_shown("1 workload, ")
        assert terminal.modes != terminal.modes_before
        terminal.process.send_signal(number)
        assert terminal.until_ended() == 0
        assert_restored(terminal)


def test_an_error_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(INTRUDED, damaged)
    part = max(damaged.glob("ngrams/**/*.parquet"), key=lambda path: path.stat().st_size)
    part.write_bytes(part.read_bytes()[:-1])
    with OnTerminal.top("--from", damaged) as terminal:
        assert terminal.until_ended() == 1
        assert_restored(terminal)
        last_words = terminal.written[terminal.written.rindex(LEAVE_SCREEN) :]
        assert b"Error: " in last_words
        assert b"Traceback" not in terminal.written


def test_stopped_by_ctrl_z_it_gives_the_terminal_back(nginx: Path) -> None:
    job = f"'{BASELINE}' top --from '{INTRUDED}' --models '{nginx}' --pace 5"
    with OnTerminal("/bin/bash", "-c", f"set -m; {job}; echo STOPPED; read; fg") as terminal:
        terminal.until_shown("1 workload, ")
        assert terminal.modes != terminal.modes_before
        terminal.press("\x1a")
        terminal.until_shown("STOPPED")
        assert terminal.written.count(ENTER_SCREEN) == terminal.written.count(LEAVE_SCREEN) == 1
        modes = terminal.modes[LOCAL_MODES]
        assert isinstance(modes, int)
        assert modes & termios.ICANON
        assert modes & termios.ECHO
        terminal.press("\n")
        terminal.until_shown(END)
        assert terminal.modes != terminal.modes_before
        terminal.press("q")
        assert terminal.until_ended() == 0
        assert_restored(terminal)


def test_a_terminal_that_goes_away_ends_it(nginx: Path) -> None:
    with OnTerminal.top("--from", INTRUDED, "--models", nginx, "--pace", 1) as terminal:
        terminal.until_shown("1 workload, ")
        terminal.hang_up()
        assert terminal.until_ended() == 0


def test_a_table_after_each_interval_where_there_is_no_terminal(nginx: Path) -> None:
    windows = list(replay([Recording(INTRUDED)]))
    done = run("top", "--from", INTRUDED, "--models", nginx)
    assert done.returncode == 0
    tables = [text.splitlines() for text in done.stdout.split("\n\n")]
    intervals = [list(group) for _, group in groupby(windows, key=lambda window: window.end)]
    assert len(tables) == len(intervals) > 10
    for (title, _, row), (window,) in zip(tables, intervals, strict=True):
        seconds = (window.end - window.start) / 1e9
        calls = f"{window.ledger.ngrams.counted / seconds:,.0f}"
        assert row.split()[:2] == ["nginx", calls]
        assert f"1 workload, {calls} calls/s" in title
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout
    watched = run("watch", "--from", INTRUDED, "--models", nginx, "--format", "json").stdout
    assert tables[-1][-1].split()[-1] == str(len(list(map(json.loads, watched.splitlines()))))


def test_one_table_and_no_more(nginx: Path) -> None:
    every = run("top", "--from", INTRUDED, "--models", nginx).stdout.split("\n\n")
    once = run("top", "--from", INTRUDED, "--models", nginx, "--once")
    assert once.stdout == every[-1]
    assert len(every) > 1
    earlier = run("top", "--from", INTRUDED, "--models", nginx, "--once", "--duration", "5s")
    assert earlier.stdout.rstrip() == every[4]


def test_once_prints_on_a_terminal_too(nginx: Path) -> None:
    with OnTerminal.top("--from", INTRUDED, "--models", nginx, "--once") as terminal:
        assert terminal.until_ended() == 0
        assert ENTER_SCREEN not in terminal.written
        assert [row[0] for row in rows(terminal.lines)] == ["nginx"]


def test_a_terminal_that_can_only_print_gets_tables(nginx: Path) -> None:
    command = (BASELINE, "top", "--from", INTRUDED, "--models", nginx)
    with OnTerminal(*command, TERM="dumb") as terminal:
        assert terminal.until_ended() == 0
        assert b"\x1b" not in terminal.written
        assert terminal.written.count(b"baseline top  ") > 10


def test_without_models_what_is_new_is_new_to_the_session(normal: Path) -> None:
    done = run("top", "--from", normal, "--once", "--duration", "30s")
    assert (done.returncode, done.stderr) == (0, "")
    listed = {name: numbers for name, *numbers in rows(done.stdout.splitlines())}
    assert {name: numbers[1:] for name, numbers in listed.items()} == {
        "web": ["5", "0", "1", "1", "0"],
        "api": ["5", "0", "1", "1", "0"],
    }
    # In the last of four minutes there was nothing that the first did not show.
    listed = {n: r for n, *r in rows(run("top", "--from", normal, "--once").stdout.splitlines())}
    assert {name: numbers[1:4] for name, numbers in listed.items()} == {
        "web": ["0", "0", "0"],
        "api": ["0", "0", "0"],
    }


def test_wrong_use(models: Path, tmp_path: Path) -> None:
    assert run("top").returncode == 2
    assert run("top", "--from", INTRUDED, "--sort", "colour").returncode == 2
    assert run("top", "--from", INTRUDED, "--models", tmp_path / "none").returncode == 1
