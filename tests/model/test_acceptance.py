from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import small_windows
from synthetic_service import (
    ARCHITECTURE,
    CURL_STARTED,
    ID,
    INTRUDER,
    NGINX,
    SHELL,
    SHELL_STARTED,
    count_ngrams,
    intruded,
    serving,
    symbols,
    window,
)

from baseline.model.acceptance import accept, unknown_part
from baseline.model.score import NOVELTIES, Signal, Volume
from baseline.model.storage import load_model, save_model
from baseline.model.workload_model import WorkloadModel
from baseline.window import Connection, Execution, Window


@pytest.fixture(scope="module")
def minutes() -> list[Window]:
    return list(islice(serving(seed=21), 400))


@pytest.fixture(scope="module")
def model(minutes: list[Window]) -> WorkloadModel:
    return WorkloadModel.fit(minutes[:300], ARCHITECTURE)


def test_what_was_accepted_is_known_and_raises_no_alert_again(
    model: WorkloadModel, minutes: list[Window]
) -> None:
    bad = intruded(minutes[350])
    assert model.score(bad).is_anomaly
    accepted = accept(model, [bad], {})
    assert not accepted.score(bad).is_anomaly
    for item in (SHELL_STARTED, CURL_STARTED, INTRUDER, *bad.ngrams.ngrams.tolist()):
        assert accepted.knows(item)
    seen = accepted.signals[Signal.EXECUTIONS].seen(SHELL_STARTED)
    assert seen is not None
    assert (seen.first, seen.last) == (bad.start, bad.end)
    assert not model.knows(SHELL_STARTED)  # the old one stays as it was
    assert model.score(bad).is_anomaly


def test_everything_else_stays_as_surprising(model: WorkloadModel, minutes: list[Window]) -> None:
    shell = window(350, executions={SHELL_STARTED: 1})
    accepted = accept(model, [shell], {})
    assert accepted.signals[Signal.EXECUTIONS].wholly_new_bits == (
        model.signals[Signal.EXECUTIONS].wholly_new_bits
    )
    assert accepted.threshold == model.threshold
    for item in (INTRUDER, int(count_ngrams(symbols("ptrace")).ngrams[0])):
        assert accepted.score_item(item) == model.score_item(item)
    # What shares a context with it is new in fewer ways, and still new.
    other_child = Execution((NGINX, ID), 33)
    grandchild = Execution((NGINX, SHELL, ID), 33)
    for item in (other_child, grandchild):
        assert accepted.score_item(item).is_anomaly
        assert accepted.score_item(item).by_signal[Signal.EXECUTIONS] > 10
        assert accepted.score_item(item).bits <= model.score_item(item).bits


def test_training_stays_what_it_was(model: WorkloadModel, minutes: list[Window]) -> None:
    accepted = accept(model, [intruded(minutes[350])] * 50, {})
    assert accepted.training == model.training
    assert accepted.held_out is model.held_out
    assert {m.windows for m in accepted.signals.values()} == {300}


def test_an_accepted_volume_carries_nothing_any_more(
    model: WorkloadModel, minutes: list[Window]
) -> None:
    (sync,) = symbols("fsync")
    many = minutes[350] + window(350, count_ngrams([sync] * 4000))
    calls = model.signals[Signal.VOLUMES]
    unusual = {s.item: s.bits for s in calls.surprises(many)}
    assert unusual[Volume(sync)] > 3
    accepted = accept(model, [], {Volume(sync): unusual[Volume(sync)]})
    left = {s.item: s.bits for s in accepted.signals[Signal.VOLUMES].surprises(many)}
    assert Volume(sync) not in left
    assert left == {i: b for i, b in unusual.items() if i != Volume(sync)}
    for signal in NOVELTIES:
        assert accepted.signals[signal] is model.signals[signal]


def test_a_volume_of_a_call_that_was_never_made_is_nothing(model: WorkloadModel) -> None:
    (never,) = symbols("ptrace")
    accepted = accept(model, [], {Volume(never): 9.0})
    assert accepted.signals[Signal.VOLUMES].tables() == model.signals[Signal.VOLUMES].tables()


trainings = st.lists(small_windows, min_size=1, max_size=4).filter(
    lambda windows: any(w.observed and w.start <= w.end for w in windows)
)


@settings(max_examples=25, deadline=None)
@given(windows=trainings, told=st.lists(small_windows, max_size=3))
def test_any_accepted_model_knows_all_of_it(windows: list[Window], told: list[Window]) -> None:
    model = WorkloadModel.fit(windows, ARCHITECTURE)
    accepted = accept(model, told, {})
    for seen in [*windows, *told]:
        rest = unknown_part(accepted, seen)
        assert [len(rest.ngrams), len(rest.executions), len(rest.connections)] == [0, 0, 0]
    # Accepting what is known changes nothing.
    again = accept(accepted, told, {})
    for signal, signal_model in accepted.signals.items():
        assert again.signals[signal].tables() == signal_model.tables()


def test_an_accepted_model_can_be_stored(
    model: WorkloadModel, minutes: list[Window], tmp_path: Path
) -> None:
    accepted = accept(model, [intruded(minutes[350])], {Volume(int(symbols("fsync")[0])): 1.5})
    save_model(accepted, tmp_path / "accepted")
    again = load_model(tmp_path / "accepted")
    assert again.score(intruded(minutes[360])) == accepted.score(intruded(minutes[360]))


@pytest.mark.parametrize("learned", [1, 2])
def test_the_shortest_learning_can_accept(
    learned: int, minutes: list[Window], tmp_path: Path
) -> None:
    short = WorkloadModel.fit(minutes[:learned], ARCHITECTURE)
    accepted = accept(short, [intruded(minutes[9])], {})
    save_model(accepted, tmp_path / "accepted")
    assert load_model(tmp_path / "accepted").knows(SHELL_STARTED)


def test_only_the_unknown_part_is_taken(model: WorkloadModel, minutes: list[Window]) -> None:
    peer = Connection("out", "tcp", "10.9.9.9", 443)
    part = unknown_part(model, minutes[0] + window(0, connections={peer: 3}))
    assert len(part.ngrams) == 0
    assert part.connections == {peer: 3}
    assert np.array_equal(part.ngrams.counts, [])
