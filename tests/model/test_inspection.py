from dataclasses import replace
from itertools import islice

import pytest
from rich.cells import cell_len
from synthetic_service import (
    ARCHITECTURE,
    CLIENT,
    INTRUDER,
    NGINX,
    SECOND,
    SHELL,
    SHELL_STARTED,
    serving,
    window,
)

from baseline.model.inspection import describe
from baseline.model.workload_model import WorkloadModel
from baseline.window import Connection, Execution, Image, Ledger, Tally, Window


def page(windows: list[Window]) -> str:
    return describe(WorkloadModel.fit(windows, ARCHITECTURE))


def with_names(workload: str, path: str) -> Window:
    execution = Execution((NGINX, Image(path)), 33)
    return Window(workload, path, 0, SECOND, SECOND, executions={execution: 1})


def test_it_says_what_was_learned_from_what() -> None:
    windows = list(islice(serving(5), 100))
    windows[3] = replace(windows[3], executions={SHELL_STARTED: 1})
    lines = page(windows).splitlines()
    assert lines[0] == f"web ({ARCHITECTURE})"
    assert lines[2] == "Learned  2026-11-23 00:00:00 to 2026-11-23 00:01:40 UTC"
    assert lines[3] == "         100 windows, 1 min 40 s"
    assert lines[4] == "Ledger   nothing lost, every count accounted for"
    assert any(line.endswith("calls  recvfrom") for line in lines)
    assert "  1 times  /usr/bin/nginx > /usr/bin/dash (uid 33)" in lines
    assert "  6,000 times  tcp in from 10.0.0.7 on port 80" in lines


def test_it_says_how_complete_that_is() -> None:
    clients = [Connection("in", "tcp", f"10.0.0.{i}", 80) for i in range(10)]
    windows = [window(i, connections={client: 1}) for i, client in enumerate(clients)]
    line = next(line for line in page(windows).splitlines() if line.startswith("  connections"))
    # ten clients in ten seconds, each for the first and last time: 3,600 an hour
    assert line.split() == ["connections", "10", "10", "3,600", "100.0%"]


def test_it_says_whether_the_budget_is_supported() -> None:
    assert "Too short for the budget" in page([window(0), window(1)])
    long = [window(i, connections={CLIENT: 1}) for i in range(3000)]
    assert "Supports the budget of 1 false alarm a week." in page(long)


def test_it_says_what_was_lost() -> None:
    ledger = Ledger(ngrams=Tally(1500, 0, 0, 1234), connections=Tally(9, 9))
    lossy = Window("web", "/a", 0, SECOND, SECOND, ledger=ledger)
    assert "Ledger   1,234 events lost, DOES NOT ADD UP\n" in page([lossy])


def test_it_says_so_where_nothing_was_seen() -> None:
    lines = page([window(0), window(1)]).splitlines()
    assert lines[-6:] == [
        "System calls (0)",
        "  none",
        "Programs (0)",
        "  none",
        "Peers (0)",
        "  none",
    ]


def test_it_counts_what_it_does_not_list() -> None:
    programs = {Execution((NGINX, Image(f"/bin/{i:02}")), 33): 1 for i in range(11)}
    text = page([window(0, executions=programs), window(1, connections={INTRUDER: 1})])
    assert "Programs (11)\n" in text
    assert "\n  ... and 3 more\n" in text
    assert "/bin/07" in text  # of equal counts the first by name
    assert "/bin/08" not in text


def test_the_replicas_are_counted() -> None:
    replicas = [window(i, replica=f"shop/web-{i % 3}") for i in range(30)]
    assert "30 windows, 0 min 30 s, 3 replicas" in page(replicas)


@pytest.mark.parametrize("path", ["/srv/" + "long/" * 99, "/srv/" + "長い" * 60, "/é" * 60])
def test_it_fits_a_terminal(path: str) -> None:
    lines = page([with_names(path[5:], path), with_names(path[5:], str(SHELL))]).splitlines()
    assert max(map(cell_len, lines)) <= 80


def test_names_cannot_steer_a_terminal() -> None:
    text = page([with_names("web\x1b[2J", "/bin/\nforged (uid 0)\x07\u202e")])
    assert all(line.isprintable() for line in text.split("\n"))
    assert text.startswith(r"web\x1b[2J")
    assert r"/bin/\nforged (uid 0)\x07\u202e (uid 33)" in text
