"""Quiet windows are those that the long way round finds no surprise in, and no others."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from synthetic_service import (
    ARCHITECTURE,
    CLIENT,
    CURL_STARTED,
    INTRUDER,
    SECOND,
    SHELL_STARTED,
    intruded,
    serving,
)

from baseline.alerts.detector import Detector
from baseline.model.quiet import Quiet
from baseline.model.workload_model import WorkloadModel
from baseline.syscalls import KIND_FOLDED, KIND_SHIFT
from baseline.window import Connection, Ledger, NgramCounts, Tally, Window

LEARNED = 600


@pytest.fixture(scope="module")
def day() -> list[Window]:
    return list(itertools.islice(serving(seed=7), 2 * LEARNED))


@pytest.fixture(scope="module")
def model(day: list[Window]) -> WorkloadModel:
    return WorkloadModel.fit(day[:LEARNED], ARCHITECTURE)


def is_quiet_naively(model: WorkloadModel, window: Window) -> bool:
    """As it stands in the module's first sentence."""
    items = (*window.ngrams.ngrams.tolist(), *window.executions, *window.connections)
    return not any(map(model.novelties, items)) and not any(
        signal.surprises(window) for signal in model.signals.values()
    )


def changed(window: Window) -> Iterator[Window]:
    """The window, and what it might have been: each kind of surprise, and windows that lack."""
    yield window
    yield replace(window, executions={SHELL_STARTED: 1})
    yield replace(window, executions={CURL_STARTED: 2})
    yield replace(window, connections={INTRUDER: 1})
    yield replace(window, connections={**window.connections, CLIENT: 1})
    yield replace(window, connections={Connection("in", "tcp", "", 0): 9})
    yield replace(window, ngrams=NgramCounts.empty())
    ngrams = window.ngrams
    half = len(ngrams) // 2
    yield replace(window, ngrams=NgramCounts(ngrams.ngrams[:half], ngrams.counts[:half]))
    for factor in (2, 40):
        yield replace(window, ngrams=NgramCounts(ngrams.ngrams, ngrams.counts * factor))
    for new in (1, 400, int(ngrams.ngrams[-1]) + 1, KIND_FOLDED << KIND_SHIFT | 1):
        yield replace(window, ngrams=ngrams + _one(new))
    burst = ngrams.counts.copy()
    burst[0] *= 5000
    louder = replace(window, ngrams=NgramCounts(ngrams.ngrams, burst))
    yield louder
    # Where the window cannot tell, no volume carries anything.
    yield replace(louder, observed=9 * SECOND)
    yield replace(louder, ledger=Ledger(ngrams=Tally(counted=1, lost=1)))


def _one(ngram: int) -> NgramCounts:
    return NgramCounts(np.array([ngram], np.uint64), np.array([1]))


def test_quiet_is_what_no_signal_finds_any_surprise_in(
    model: WorkloadModel, day: list[Window]
) -> None:
    quiet = Quiet(model.signals)
    windows = [one for w in (*day[LEARNED::9], intruded(day[LEARNED])) for one in changed(w)]
    found = [window in quiet for window in windows]
    assert found == [is_quiet_naively(model, window) for window in windows]
    assert len(windows) / 20 < sum(found) < len(windows) / 2  # both are put to the test


def test_shares_are_judged_too_where_windows_have_no_length(day: list[Window]) -> None:
    uneven = [replace(w, observed=SECOND << n % 6) for n, w in enumerate(day[:LEARNED])]
    model = WorkloadModel.fit(uneven, ARCHITECTURE)
    quiet = Quiet(model.signals)
    windows = [one for w in day[LEARNED : LEARNED + 50] for one in changed(w)]
    assert [w in quiet for w in windows] == [is_quiet_naively(model, w) for w in windows]


def test_a_quiet_window_has_the_score_of_nothing(model: WorkloadModel, day: list[Window]) -> None:
    scores = [(model.score(w), model.score_of_quiet(w)) for w in day[LEARNED:]]
    assert all(quick is None or quick == full for full, quick in scores)
    assert sum(quick is not None for _, quick in scores) > LEARNED / 2


def test_alerts_are_the_same_with_and_without(
    model: WorkloadModel, day: list[Window], monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = [*day[LEARNED:], intruded(day[0]), *day[LEARNED:]]
    quick = _observed(model, windows)
    monkeypatch.setattr(WorkloadModel, "score_of_quiet", lambda *_: None)
    assert quick == _observed(model, windows)
    assert any(alert for alert, _, _ in quick)


def _observed(model: WorkloadModel, windows: list[Window]) -> list[tuple[object, object, object]]:
    detector = Detector({model.workload: model})
    return [(detector.observe(w), detector.latest, detector.folded) for w in windows]
