import os
import pty
import select
import signal
import subprocess
import sys
import threading

import pytest

from baseline.cli.stopping import StopSignals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_request(number: signal.Signals) -> None:
    with StopSignals() as stop:
        assert not stop()
        assert not stop.is_requested
        assert stop.exit_code == 0
        os.kill(os.getpid(), number)
        assert stop()
        assert stop.is_requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.exit_code == 128 + number  # the first one


def test_a_request_wakes_who_waits_for_it() -> None:
    with StopSignals() as stop:
        with select.epoll() as waiting:
            assert stop.woken is not None
            waiting.register(stop.woken, select.EPOLLIN)
            assert waiting.poll(0) == []
            os.kill(os.getpid(), signal.SIGTERM)
            assert waiting.poll() == [(stop.woken, select.EPOLLIN)]
        assert stop()


def test_a_second_ctrl_c_is_answered_and_the_third_interrupts(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        assert capfd.readouterr().err == ""
        os.kill(os.getpid(), signal.SIGINT)
        assert capfd.readouterr().err.startswith("Ending in order; ")
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert capfd.readouterr().err.startswith("Interrupted: ")


def test_under_nohup_a_terminal_that_goes_is_no_request() -> None:
    script = """
import os, signal
from baseline.cli.stopping import StopSignals
with StopSignals() as stop:
    os.kill(os.getpid(), signal.SIGHUP)
    print(stop())
"""
    for ignored in ("trap '' HUP; ", ""):
        command = ["sh", "-c", f'{ignored}exec "$0" -c "$1"', sys.executable, script]
        assert on_terminal(command) == f"{not ignored}\n"


def on_terminal(command: list[str]) -> str:
    """What a command writes that a terminal controls."""
    ours, theirs = pty.openpty()
    try:
        return subprocess.run(
            ["setsid", "--ctty", "--wait", *command],
            stdin=theirs,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
    finally:
        os.close(ours)
        os.close(theirs)


def test_without_a_terminal_it_says_once_that_a_hang_up_is_not_needed() -> None:
    script = """
import os, signal
from baseline.cli.stopping import StopSignals, answer_needless_hang_up
answer_needless_hang_up()
with StopSignals() as stop:
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGHUP)
    print(stop())
"""
    done = subprocess.run(
        ["setsid", "--wait", sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"
    assert done.stderr.startswith("SIGHUP is not needed: ")
    assert done.stderr.count("\n") == 1


def test_a_second_sigterm_does_not() -> None:
    with StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()


def test_what_signals_did_before_they_do_again() -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with StopSignals():
        pass
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_a_sleeper_wakes_up() -> None:
    with StopSignals() as stop:
        # Not by an alarm, with which pytest ends a test that hangs.
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        stop.sleep(3600)
        assert stop()
        stop.sleep(3600)
    with StopSignals() as stop:
        stop.sleep(0.01)
        assert not stop()
