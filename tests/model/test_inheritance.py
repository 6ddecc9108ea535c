from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import small_windows
from synthetic_service import (
    ARCHITECTURE,
    CLIENT,
    CURL,
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

from baseline.errors import ModelError
from baseline.model.inheritance import inherit
from baseline.model.score import NOVELTIES, Signal
from baseline.model.storage import load_model, save_model
from baseline.model.workload_model import WorkloadModel
from baseline.window import Connection, Execution, Window


@pytest.fixture(scope="module")
def hour() -> list[Window]:
    """Forty minutes of the old version, with a job now and then; one minute of the new one."""
    old = list(islice(serving(seed=31), 2400))
    return [
        replace(w, executions={SHELL_STARTED: 1}) if n % 300 == 7 else w for n, w in enumerate(old)
    ]


@pytest.fixture(scope="module")
def predecessor(hour: list[Window]) -> WorkloadModel:
    return WorkloadModel.fit(hour, ARCHITECTURE)


@pytest.fixture(scope="module")
def minute() -> list[Window]:
    """A minute of the new version, which also asks for random numbers."""
    new = islice(serving(seed=32), 60)
    random = count_ngrams(symbols("getpid getrandom"))
    return [replace(w, ngrams=w.ngrams + random) for w in new]


@pytest.fixture(scope="module")
def model(minute: list[Window], predecessor: WorkloadModel) -> WorkloadModel:
    return inherit(minute, predecessor, ARCHITECTURE)


def test_what_either_version_did_is_known(
    model: WorkloadModel, minute: list[Window], hour: list[Window]
) -> None:
    for seen in (*minute, *hour):
        assert not any(
            s.bits for signal in NOVELTIES for s in model.signals[signal].surprises(seen)
        )
    assert model.knows(SHELL_STARTED)
    assert model.knows(CLIENT)


def test_the_old_job_is_no_alert_as_it_would_be_to_a_model_of_the_new_version_alone(
    model: WorkloadModel, minute: list[Window]
) -> None:
    job = replace(minute[3], executions={SHELL_STARTED: 1})
    assert WorkloadModel.fit(minute, ARCHITECTURE).score(job).is_anomaly
    assert not model.score(job).is_anomaly
    assert model.score(intruded(minute[3])).is_anomaly


def test_a_short_learning_is_less_surprised_by_its_own_held_out_windows(
    model: WorkloadModel, minute: list[Window]
) -> None:
    alone = WorkloadModel.fit(minute, ARCHITECTURE)
    ours, theirs = (m.held_out.bits[Signal.NGRAMS] for m in (model, alone))
    assert len(ours) == len(theirs) == 60
    assert ours.sum() < 0.7 * theirs.sum()


def test_how_often_windows_come_is_that_of_the_new_version(
    model: WorkloadModel, minute: list[Window]
) -> None:
    assert model.training == WorkloadModel.fit(minute, ARCHITECTURE).training
    assert {m.windows for m in model.signals.values()} == {60}


def test_it_says_where_it_comes_from(model: WorkloadModel) -> None:
    (note,) = model.provenance.notes
    assert note == (
        "Inherits from web as learned 2026-11-23 00:00 to 2026-11-23 00:40 UTC in 2,400 windows, "
        "at 0.1 of its weight."
    )


def test_a_long_past_does_not_outvote_a_short_present(
    minute: list[Window], predecessor: WorkloadModel
) -> None:
    """A version that talks with ever-new peers learns so, however closed the old one was."""

    def peer(number: int) -> Connection:
        return Connection("out", "tcp", f"198.51.{number}.1", 443)

    new = [replace(w, connections={peer(n): 1}) for n, w in enumerate(minute)]
    alone = WorkloadModel.fit(new, ARCHITECTURE).signals[Signal.CONNECTIONS_IN]
    inherited = inherit(new, predecessor, ARCHITECTURE).signals[Signal.CONNECTIONS_IN]
    assert inherited.bits(peer(200)) <= alone.bits(peer(200)) + 1.1
    assert inherited.bits(INTRUDER) == pytest.approx(alone.bits(INTRUDER), abs=1.1)


def test_what_the_old_version_knew_of_contexts_is_not_forgotten(minute: list[Window]) -> None:
    """Its clients were ever new, and its job always started the same program."""
    job = Execution((NGINX, SHELL, CURL), 33)

    def second(number: int) -> Window:
        client = Connection("in", "tcp", f"203.{number // 250}.{number % 250}.1", 443)
        return window(number, executions={job: 1}, connections={client: 1})

    old = WorkloadModel.fit([second(n) for n in range(1200)], ARCHITECTURE)
    model = inherit(minute, old, ARCHITECTURE)
    client = Connection("in", "tcp", "192.0.2.1", 443)
    other_program = Execution((NGINX, SHELL, NGINX), 33)
    assert not model.score_item(client).is_anomaly
    assert model.signals[Signal.CONNECTIONS_IN].bits(client) == pytest.approx(
        old.signals[Signal.CONNECTIONS_IN].bits(client), abs=1.5
    )
    bits = [m.signals[Signal.EXECUTIONS].bits(other_program) for m in (old, model)]
    assert 0.5 * bits[0] < bits[1] < bits[0]


def test_it_can_be_stored(model: WorkloadModel, minute: list[Window], tmp_path: Path) -> None:
    save_model(model, tmp_path / "new")
    again = load_model(tmp_path / "new")
    assert again.score(intruded(minute[5])) == model.score(intruded(minute[5]))
    assert again.provenance == model.provenance


def test_other_calls_and_other_windows_are_refused(
    minute: list[Window], predecessor: WorkloadModel, hour: list[Window]
) -> None:
    with pytest.raises(ModelError, match="aarch64 and x86_64"):
        inherit(minute, predecessor, "aarch64")
    tens = [Window(**{**vars(w), "end": w.start + 10**10, "observed": 10**10}) for w in hour[:100]]
    with pytest.raises(ModelError, match="same --interval"):
        inherit(minute, WorkloadModel.fit(tens, ARCHITECTURE), ARCHITECTURE)
    with pytest.raises(ModelError, match="no windows to learn from"):
        inherit([], predecessor, ARCHITECTURE)


trainings = st.lists(small_windows, min_size=1, max_size=4).filter(
    lambda windows: any(w.observed for w in windows)
)


@settings(max_examples=25, deadline=None)
@given(old=trainings, new=trainings, discount=st.floats(0.01, 1))
def test_any_inherited_model_holds_together(
    old: list[Window], new: list[Window], discount: float
) -> None:
    try:
        model = inherit(new, WorkloadModel.fit(old, ARCHITECTURE), ARCHITECTURE, discount=discount)
    except ModelError:
        return
    assert {m.windows for m in model.signals.values()} == {len(new)} == {len(model.held_out)}
    for seen in (*old, *new):
        assert all(map(model.knows, [*seen.executions, *seen.connections]))
        assert all(map(model.knows, seen.ngrams.ngrams.tolist()))
    for signal_model in model.signals.values():
        tables = signal_model.tables()
        if all(w.start <= w.end for w in (*old, *new)):  # a clock set back is another matter
            again = type(signal_model).from_tables(tables, ARCHITECTURE)
            assert again.tables() == tables
