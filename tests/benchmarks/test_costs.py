"""What the programs that measure costs compute and print."""

import numpy as np
import pytest
from costs import agent, analysis, scaling
from costs.recording import enlarged

ROOM = 80


def test_the_exponent_of_a_power_is_the_power() -> None:
    sizes = (3.0, 7.0, 50.0, 800.0)
    assert scaling.exponent([(size, 2.5 * size**0.75) for size in sizes]) == pytest.approx(0.75)


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
                "start_s": 1.5,
                "model_load_ms": 12.3,
                "recorded_bytes_a_day": 12_345_678,
            }
        ),
        scaling.report(
            {
                "connections a second": {
                    "sizes": [10, 4_000_000],
                    "costs": [0.5, 123.4],
                    "unit": "% of a core",
                    "exponent": 1.01,
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
    assert "NOT all below" in reports[1][-1]
