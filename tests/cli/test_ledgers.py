import pytest

from baseline.cli.ledgers import LossReport, complaint_about
from baseline.window import Ledger, Tally, Window

WHOLE = Ledger(ngrams=Tally(1000, 990, 10, 0), events=Tally(5, 5, 0, 0))
LOSSY = Ledger(ngrams=Tally(1000, 900, 0, 100))


def window(workload: str, ledger: Ledger) -> Window:
    return Window(workload, "demo/a", 0, 1, 1, ledger=ledger)


@pytest.mark.parametrize(
    ("ledger", "complaint"),
    [
        (WHOLE, ""),
        (LOSSY, "100 of 1,000 ngrams lost"),
        (Ledger(connections=Tally(7, 4)), "3 connections unaccounted for"),
        (Ledger(events=Tally(7, 4, 0, 3)), "3 first-sight events dropped"),
        (
            Ledger(Tally(9, 7, 0, 1), Tally(3, 2, 0, 1)),
            "1 of 9 ngrams lost, 1 ngrams unaccounted for, 1 of 3 executions lost",
        ),
    ],
)
def test_what_is_not_right_is_named(ledger: Ledger, complaint: str) -> None:
    assert complaint_about(ledger) == complaint


def test_a_workload_is_warned_of_once_and_everything_is_added_up() -> None:
    said: list[str] = []
    report = LossReport(said.append)
    for workload, ledger in [("a", WHOLE), ("a", LOSSY), ("a", LOSSY), ("b", LOSSY), ("b", WHOLE)]:
        report.add(window(workload, ledger))
    assert said == [f"Warning: {name}: 100 of 1,000 ngrams lost." for name in "ab"]
    assert report.summary() == "300 of 5,000 ngrams lost"


def test_nothing_lost_is_said_too() -> None:
    report = LossReport(lambda _: pytest.fail("there is nothing to warn of"))
    report.add(window("a", WHOLE))
    assert report.summary() == "nothing lost"
