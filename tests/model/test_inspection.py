import re
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
    count_ngrams,
    serving,
    symbols,
    window,
)

from baseline.model.budget import Budget
from baseline.model.inspection import describe
from baseline.model.provenance import as_lines
from baseline.model.workload_model import WorkloadModel
from baseline.window import (
    Connection,
    Execution,
    Histogram,
    Image,
    Ledger,
    NgramCounts,
    Tally,
    Window,
)


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
    assert any(re.match("  [0-9,]+ times  recvfrom +[0-9]+ to [0-9]+$", line) for line in lines)
    assert "  1 time   /usr/bin/nginx > /usr/bin/dash (uid 33)" in lines
    assert "  6,000 times  tcp in from 10.0.0.7 on port 80" in lines


def knowledge(text: str, signal: str) -> list[str]:
    return next(line for line in text.splitlines() if line.split()[:1] == [signal]).split()


def test_it_says_how_much_is_known_and_how_often_normal_time_was_news() -> None:
    clients = [Connection("in", "tcp", f"10.0.0.{i}", 80) for i in range(10)]
    text = page([window(i, connections={client: 1}) for i, client in enumerate(clients)])
    distinct, *_, surprised, bits = knowledge(text, "inbound")[1:]
    assert (distinct, surprised) == ("10", "100.0%")
    assert float(bits) > 0
    assert knowledge(text, "calls")[1:] == "0 0.0% 0.0".split()


def test_it_says_how_complete_that_is() -> None:
    clients = [Connection("in", "tcp", f"10.0.0.{i % 100}", 80) for i in range(600)]
    model = WorkloadModel.fit([window(i, connections={c: 1}) for i, c in enumerate(clients)])
    completeness = model.provenance.completeness
    assert completeness is not None
    text = describe(model)
    assert f"State    {completeness.state}: {completeness.reason}\n" in text
    low, high = completeness.signals[Histogram.CONNECTIONS].new_items(3600)[1:]
    assert f"({low:,}-{high:,})" in knowledge(text, "connections")
    unknown = describe(model.with_provenance(completeness=None))
    assert "State    unknown: models do not tell" in unknown
    assert len(knowledge(unknown, "connections")) == 2


def test_it_says_what_was_kept_out_and_done_since() -> None:
    model = WorkloadModel.fit([window(i) for i in range(9)])
    assert "Quarantined" not in describe(model)
    told = model.with_provenance(quarantined=tuple(map(str, range(9))), notes=("Merged.",))
    assert describe(told).endswith("\n  7\n  ... and 1 more\nNotes (1)\n  Merged.\n")


def test_it_counts_what_was_kept_out_without_a_line_of_its_own() -> None:
    model = WorkloadModel.fit([window(i) for i in range(9)])
    things = as_lines([f"{n}." for n in range(1300)], 20)
    assert len(things) == 21
    told = describe(model.with_provenance(quarantined=things))
    assert told.endswith(
        "Quarantined (1,300)\n" + "".join(f"  {n}.\n" for n in range(8)) + "  ... and 1,292 more\n"
    )


def test_names_that_differ_at_their_ends_are_told_apart() -> None:
    long = "/usr/lib/" + "nested/" * 12
    programs = [with_names("web", f"{long}{name}") for name in ("dash", "nc")]
    shown = "".join(line.strip() for line in page(programs).splitlines())
    assert "nested/dash(uid" in shown.replace(" ", "")
    assert "nested/nc(uid" in shown.replace(" ", "")


def test_it_says_which_budget_the_recording_supports() -> None:
    model = WorkloadModel.fit([window(i, connections={CLIENT: 1}) for i in range(3000)])
    assert f"Alerts   from {model.threshold:.1f} bits of evidence; held-out time" in describe(model)
    assert f"         from {model.shift_threshold:.1f} bits that windows in" in describe(model)
    assert "Budget   1/week; the recording supports 2.9/day and extrapolates beyond" in describe(
        model
    )
    hourly = describe(model.with_budget(Budget.parse("1/hour")))
    assert "Budget   1/hour; the recording supports that" in hourly
    assert re.search("\nExpect   about 1[67][0-9] false alarms a week\n", hourly)


def test_it_says_what_may_come_of_things_that_learning_had_no_time_to_see() -> None:
    short, shortest = (page([window(i) for i in range(seconds)]) for seconds in (600, 2))
    assert re.search(r"Expect +about \d+ false alarms a week, mostly of new things: learn", short)
    assert "Expect   more than 1,000 false alarms a week: learn longer" in shortest


def test_the_volumes_are_those_of_most_windows() -> None:
    read, write = (count_ngrams(symbols(call)) for call in ("read", "write"))
    usual = [window(i, times(read, 100) + times(write, 2 + i % 2)) for i in range(100)]
    rare = [window(i, times(read, 3000)) for i in range(100, 104)]
    lines = page(usual + rare).splitlines()
    title = lines.index("System calls (2), and how many nine in ten windows of 1 s make")
    assert lines[title + 1].split() == "22,000 times read 91 to 181".split()
    assert lines[title + 2].split() == "250 times write 2 to 5".split()


def test_the_volumes_of_windows_of_all_lengths_are_shares() -> None:
    read, write = (count_ngrams(symbols(call)) for call in ("read", "write"))
    some = [
        replace(window(i, times(read, 3) + write), observed=SECOND * 9 ** (i % 5))
        for i in range(20)
    ]
    lines = page(some).splitlines()
    title = lines.index("System calls (2), and their shares")
    assert lines[title + 1].split() == "60 times read 75.0%".split()


def times(ngrams: NgramCounts, factor: int) -> NgramCounts:
    return NgramCounts(ngrams.ngrams, ngrams.counts * factor)


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


def test_the_replicas_and_the_pauses_are_counted() -> None:
    replicas = [window(i, replica=f"shop/web-{i % 3}") for i in (*range(20), *range(90, 100))]
    assert "30 windows, 0 min 30 s, 3 replicas, with 1 pause\n" in page(replicas)


@pytest.mark.parametrize("path", ["/srv/" + "long/" * 99, "/srv/" + "長い" * 60, "/é" * 60])
def test_it_fits_a_terminal(path: str) -> None:
    lines = page([with_names(path[5:], path), with_names(path[5:], str(SHELL))]).splitlines()
    assert max(map(cell_len, lines)) <= 80


def test_names_cannot_steer_a_terminal() -> None:
    text = page([with_names("web\x1b[2J", "/bin/\nforged (uid 0)\x07\u202e")])
    assert all(line.isprintable() for line in text.split("\n"))
    assert text.startswith(r"web\x1b[2J")
    assert r"/bin/\nforged (uid 0)\x07\u202e (uid 33)" in text
