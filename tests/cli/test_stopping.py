import os
import signal
import subprocess
import sys

import pytest

from baseline.cli.stopping import StopSignals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_a_request(number: signal.Signals) -> None:
    with StopSignals() as stop:
        assert not stop()
        assert not stop.is_requested
        os.kill(os.getpid(), number)
        assert stop()
        assert stop.is_requested


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
        done = subprocess.run(
            ["sh", "-c", f'{ignored}exec "$0" -c "$1"', sys.executable, script],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == f"{not ignored}\n"


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
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        stop.sleep(3600)
        assert stop()
        stop.sleep(3600)
    with StopSignals() as stop:
        stop.sleep(0.01)
        assert not stop()
