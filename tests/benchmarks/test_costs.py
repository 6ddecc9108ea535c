"""What the programs that measure costs compute and print."""

import json
from pathlib import Path

import numpy as np
import pytest
from costs import agent, analysis, crowd, scaling
from costs.growth import growth
from costs.recording import enlarged

from baseline.errors import BaselineError

ROOM = 80
DOCUMENTED = json.loads((Path(__file__).parents[2] / "docs" / "overhead.json").read_text())


@pytest.mark.parametrize("fixed", [0.0, 1.0, 40.0])
@pytest.mark.parametrize("power", [0.4, 0.75, 1.0, 1.3])
def test_the_exponent_of_growth_is_not_hidden_by_a_fixed_cost(power: float, fixed: float) -> None:
    sizes = (3.0, 7.0, 50.0, 800.0, 2000.0)
    grown = growth(sizes, [fixed + 2.5 * size**power for size in sizes])
    assert grown.exponent == pytest.approx(power)
    assert grown.steepest == pytest.approx(power)
    assert grown.fixed == pytest.approx(fixed, abs=1e-9)


def test_the_steepest_part_of_growth_is_told() -> None:
    grown = growth((1, 10, 100), (1.0, 100.0, 120.0))  # squared, and then hardly any more
    assert grown.exponent < 1.1
    assert grown.steepest > 1.9


def test_what_does_not_grow_has_no_exponent() -> None:
    assert growth((1, 10, 100), (9.0, 5.0, 5.9)) == (5.0, None, None)
    assert growth((1, 10, 100), (9.0, 5.0, 8.9)).exponent  # less than at first, and yet it grows


@pytest.mark.parametrize(
    ("said", "lost"),
    [
        ("Counting a.\nWatched 9 windows: 1 alert in 1 incident; nothing lost.\n", "nothing lost"),
        (
            "Watched 2 windows: 0 alerts; 3 of 1,009 ngrams lost, 1 first-sight events dropped."
            " Tampered with: 1 warning.\nIncidents still open: a.\n",
            "3 of 1,009 ngrams lost, 1 first-sight events dropped",
        ),
        ("Wrote a.b/c: 4 windows of one; 3 ngrams unaccounted for.", "3 ngrams unaccounted for"),
    ],
)
def test_what_an_agent_lost_is_what_it_says_in_the_end(said: str, lost: str) -> None:
    assert crowd.lost(said) == lost


def test_an_agent_that_does_not_say_what_it_lost_did_not_end_in_order() -> None:
    with pytest.raises(BaselineError, match="did not end in order"):
        crowd.lost("Counting a.\nWarning: a: 3 of 9 ngrams lost.\n")


def test_lost_counts_are_printed_beside_the_cost() -> None:
    result = DOCUMENTED["agent"]
    lossy = {"50": {"lost": "nothing lost"}, "1000": {"lost": "3 of 1,009 ngrams lost"}}
    rows = {number: result["workloads"][number] | lost for number, lost in lossy.items()}
    lines = [line for line in agent.report(result | {"workloads": rows}) if " lost" in line]
    assert lines == ["At 1000 workloads: 3 of 1,009 ngrams lost"]
    its = {"sizes": [1, 2, 3], "costs": [1.0, 2.0, 3.0], "unit": "s"}
    lines = scaling.report({"execs": its | {"lost": [*["nothing lost"] * 2, "1 of 9 ngrams lost"]}})
    assert [line for line in lines if " lost" in line] == ["execs, 3: 1 of 9 ngrams lost"]


def test_a_recording_is_enlarged_as_far_as_asked_and_the_same_again() -> None:
    windows = list(enlarged(analysis.SOURCE, 40_000))
    again = list(enlarged(analysis.SOURCE, 40_000))
    rows = [len(w.ngrams) + len(w.executions) + len(w.connections) for w in windows]
    assert sum(rows[:-1]) < 40_000 <= sum(rows)
    assert all(a.ngrams == b.ngrams for a, b in zip(windows, again, strict=True))
    ends = np.array([window.end for window in windows])
    assert len(np.unique(ends)) == len(ends)  # rounds follow one another
    assert all(window.ledger.adds_up for window in windows)


def test_reports_fit_a_terminal() -> None:
    cost = {
        "cpu_percent": 12.345,
        "cpu_seconds_an_hour": 444.42,
        "first_minute_percent": 23.45,
        "rss_mib": 1234.5,
        "pss_mib": 1034.5,
        "anonymous_mib": 934.5,
    }
    reports = [
        agent.report(
            {
                "workloads": {"50": cost, "1000": cost},
                "seconds": agent.LONG,
                "starts": {"1": [1.5], "50": [1.6, 1.7]},
                "model_load_ms": 12.3,
                "recorded_bytes_a_day": 12_345_678,
            }
        ),
        scaling.report(
            {
                "connections a second": {
                    "sizes": [250_000, 1_000_000, 4_000_000],
                    "costs": [0.5, 7.5, 123.4],
                    "unit": "% of a core",
                }
            }
        ),
        analysis.report(
            {
                "rows": 10_000_000,
                "fit_s": 123.45,
                "export_s": 123.45,
                "duckdb_plain_s": 12.34,
                "duckdb_incidence_s": 12.34,
                "fit_over_plain": 123.4,
                "fit_over_incidence": 12.34,
            }
        ),
    ]
    for lines in reports:
        assert max(map(len, lines)) <= ROOM
    assert "NOT all below" in reports[1][-2]
