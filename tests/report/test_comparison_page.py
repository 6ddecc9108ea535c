import json
from dataclasses import replace

import numpy as np
import pytest

from baseline.model.comparison import SHIFTING, Comparison, compare
from baseline.model.score import NOVELTIES, Signal
from baseline.model.workload_model import WorkloadModel
from baseline.report.comparison import LISTED, comparison_document, comparison_page
from baseline.window import Connection, Execution, Image, NgramCounts, Window

START = 1_795_392_000_000_000_000
SERVER = Image("/usr/sbin/server")


def window(number: int, executions: dict[Execution, int] | None = None) -> Window:
    start = START + number * 10**9
    return Window(
        "web",
        "demo/web",
        start,
        start + 10**9,
        10**9,
        NgramCounts(np.array([1, 2, 3], np.uint64), np.array([5, 9, 7 + number % 3])),
        executions or {},
        {Connection("in", "tcp", "10.0.0.1", 80): 3},
    )


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    """Fifty programs more, some of them with names that a terminal would obey."""
    quiet = [window(n) for n in range(100)]
    programs = {
        Execution((SERVER, Image(f"/tmp/\x1b[2Jtool-{n}" + "/long" * 30)), 33): 1  # noqa: S108 - a name
        for n in range(50)
    }
    before = WorkloadModel.fit(quiet, "x86_64")
    after = WorkloadModel.fit([*quiet, window(100, programs)], "x86_64")
    return compare(before, after)


def test_a_page_fits_and_is_harmless(comparison: Comparison) -> None:
    page = comparison_page(comparison)
    assert max(map(len, page.splitlines())) <= 80
    assert "\x1b" not in page
    assert r"\x1b[2Jtool-" in page
    assert f"and {50 - LISTED} more" in page
    assert "New in B, and an alert for A at 1/week: once" in page


def test_a_document_has_all_of_it(comparison: Comparison) -> None:
    document = json.loads(json.dumps(comparison_document(comparison)))
    assert len(document["new"]["executions"]) == 50
    bits = [d["bits"] for d in document["new"]["executions"]]
    assert bits == sorted(bits, reverse=True)
    assert document["gone"] == {signal.value: [] for signal in NOVELTIES}
    assert document["before"]["start"] == "2026-11-23T00:00:00.000000Z"
    assert set(document["shifted"]) == {s.value for s in SHIFTING}
    assert len(document["alerts"]) == 1
    assert len(document["alerts"][0]["items"]) == 50


def test_models_of_two_names_are_named_both(comparison: Comparison) -> None:
    other = comparison.after
    renamed = WorkloadModel(
        "web-2", other.architecture, other.training, other.signals, other.held_out
    )
    page = comparison_page(compare(comparison.before, renamed))
    assert page.startswith("web (A), web-2 (B)\n")
    assert comparison_document(replace(comparison, after=renamed))["workload"] == "web-2"


def test_what_nothing_is_known_of_is_said(comparison: Comparison) -> None:
    assert "programs    nothing is known to both" in comparison_page(comparison)
    assert comparison.shifts[Signal.EXECUTIONS].changes == ()
