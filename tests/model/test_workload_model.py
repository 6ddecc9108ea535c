from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import small_windows
from synthetic_service import (
    ARCHITECTURE,
    CLIENT,
    CURL,
    ID,
    INTRUDER,
    NGINX,
    SECOND,
    SHELL,
    SHELL_CALLS,
    SHELL_STARTED,
    count_ngrams,
    intruded,
    serving,
    symbols,
    window,
)

from baseline.errors import ModelError
from baseline.model.score import LEAST_P_VALUE, MAX_EVIDENCE
from baseline.model.workload_model import WorkloadModel
from baseline.window import Connection, Execution, Ledger, NgramCounts, Signal, Tally, Window


@pytest.fixture(scope="module")
def day() -> list[Window]:
    """Twenty minutes of a service under steady load: ten to learn from, ten to watch."""
    return list(islice(serving(seed=5), 1200))


@pytest.fixture(scope="module")
def model(day: list[Window]) -> WorkloadModel:
    return WorkloadModel.fit(day[:600], ARCHITECTURE)


def test_ten_more_minutes_of_the_same_raise_no_alert(
    model: WorkloadModel, day: list[Window]
) -> None:
    assert not [w for w in day[600:] if model.score(w).is_anomaly]


def test_a_shell_is_flagged_by_every_signal(model: WorkloadModel, day: list[Window]) -> None:
    score = model.score(intruded(day[700]))
    assert score.is_anomaly
    assert score.p_value == LEAST_P_VALUE
    assert all(score.by_signal[signal] >= model.thresholds[signal] for signal in Signal)
    said = {e.description: e.nearest for e in score.evidence}
    assert said["/usr/bin/nginx > /usr/bin/dash (uid 33)"] == "/usr/bin/nginx starts nothing"
    assert said["tcp out to 203.0.113.9:4444"] == "no tcp connection out at all"
    assert any(description.startswith("execve > brk > mmap") for description in said)


def test_half_a_minute_of_learning_is_enough_for_a_shell(day: list[Window]) -> None:
    learned = WorkloadModel.fit(day[:30], ARCHITECTURE)
    assert not learned.score(day[29]).is_anomaly
    assert learned.score(intruded(day[29])).is_anomaly
    assert learned.score_item(SHELL_STARTED).is_anomaly
    assert learned.false_alarms_per_week > 1  # and it says what that costs


def test_fifty_calls_are_found_among_a_million(model: WorkloadModel, day: list[Window]) -> None:
    busy = NgramCounts(day[700].ngrams.ngrams, day[700].ngrams.counts * 1000)
    assert busy.total > 500_000
    shell = count_ngrams(symbols(SHELL_CALLS))
    assert shell.total < 50
    assert not model.score(window(0, busy)).is_anomaly
    assert model.score(window(0, busy + shell)).is_anomaly


def test_an_item_scores_as_in_a_window_of_its_own(model: WorkloadModel) -> None:
    ngram = int(count_ngrams(symbols("ptrace")).ngrams[0])
    ngrams = NgramCounts(np.array([ngram], np.uint64), np.array([1]))
    for item, alone in [
        (ngram, window(0, ngrams)),
        (SHELL_STARTED, window(0, executions={SHELL_STARTED: 1})),
        (INTRUDER, window(0, connections={INTRUDER: 1})),
        (CLIENT, window(0, connections={CLIENT: 1})),
    ]:
        assert model.score_item(item) == model.score(alone)
        assert model.knows(item) == (item == CLIENT)


def test_the_heavier_evidence_comes_first_and_no_signal_crowds_out_another(
    model: WorkloadModel,
) -> None:
    many = count_ngrams(list(np.random.default_rng(1).integers(1, 300, 5000)))
    score = model.score(window(0, many, {SHELL_STARTED: 3}, {INTRUDER: 1}))
    bits = [e.bits for e in score.evidence]
    assert bits == sorted(bits, reverse=True)
    by_signal = [e.signal for e in score.evidence]
    assert by_signal.count(Signal.NGRAMS) == MAX_EVIDENCE
    assert by_signal.count(Signal.EXECUTIONS) == by_signal.count(Signal.CONNECTIONS) == 1
    assert {e.count for e in score.evidence if e.item == SHELL_STARTED} == {3}


def started(*programs: Execution) -> dict[Execution, int]:
    return dict.fromkeys(programs, 1)


def test_novelty_of_programs_is_graded() -> None:
    cron = Execution((NGINX, SHELL), 33), Execution((NGINX, SHELL, ID), 33)
    learned = WorkloadModel.fit(
        [window(i, executions=started(*cron)) for i in range(300)], ARCHITECTURE
    )
    other_user, other_parent, other_program = (
        learned.score_item(item).bits
        for item in (
            Execution((NGINX, SHELL), 0),
            Execution((NGINX, SHELL, SHELL, ID), 33),
            Execution((NGINX, SHELL, SHELL, CURL), 33),
        )
    )
    assert 0 < other_user <= other_parent < other_program


def test_ever_new_clients_are_normal_and_a_new_database_is_not() -> None:
    def second(number: int) -> Window:
        client = Connection("in", "tcp", f"198.51.{number // 250}.{number % 250}", 443)
        database = Connection("out", "tcp", f"10.0.0.{5 + number % 2}", 5432)
        return window(number, connections={client: 1, database: 8})

    learned = WorkloadModel.fit([second(i) for i in range(600)], ARCHITECTURE)
    new_client = learned.score_item(Connection("in", "tcp", "198.51.0.251", 443))
    new_database = learned.score_item(Connection("out", "tcp", "10.0.0.9", 5432))
    assert not new_client.is_anomaly
    assert new_client.bits < 3
    assert new_database.is_anomaly
    assert learned.score(second(601)).bits < learned.thresholds[Signal.CONNECTIONS]


def test_an_address_that_was_folded_away_is_not_held_against_anybody(model: WorkloadModel) -> None:
    assert model.score_item(Connection("in", "tcp", "", 80)).bits == 0
    assert model.score_item(Connection("in", "tcp", "", 23)).is_anomaly


def test_a_peer_that_is_no_address_is_a_peer_all_the_same(model: WorkloadModel) -> None:
    odd = Connection("out", "1", "no address", 0)
    learned = WorkloadModel.fit([window(0, connections={odd: 1})], ARCHITECTURE)
    assert learned.knows(odd)
    assert model.score_item(odd).is_anomaly


def test_lossy_windows_are_learned_and_judged(model: WorkloadModel, day: list[Window]) -> None:
    lossy = Window(**{**vars(day[0]), "ledger": Ledger(ngrams=Tally(900, 300, 100, 400))})
    assert model.score(lossy) == model.score(day[0])
    assert WorkloadModel.fit([lossy], ARCHITECTURE).training.ledger.lost == 400


def test_what_little_is_learned_of_one_window_is_judged_by(day: list[Window]) -> None:
    learned = WorkloadModel.fit(day[:1], ARCHITECTURE)
    assert not learned.score(day[0]).is_anomaly
    assert min(learned.thresholds.values()) > 0
    assert learned.false_alarms_per_week > 1000


def test_nothing_to_learn_from() -> None:
    never_watched = Window("web", "", 0, 0, 0)
    for nothing in ([], [never_watched]):
        with pytest.raises(ModelError, match="no windows to learn from"):
            WorkloadModel.fit(nothing, ARCHITECTURE)
    with pytest.raises(ValueError, match="do not add"):
        WorkloadModel.fit([window(0), Window("db", "", 0, 1, 1)], ARCHITECTURE)


@pytest.mark.parametrize("seconds", [1, 10, 3600])
def test_a_quiet_service_is_never_anomalous_however_long_it_was_learned(seconds: int) -> None:
    quiet = [
        Window("web", "", i * seconds * SECOND, (i + 1) * seconds * SECOND, seconds * SECOND)
        for i in range(3000)
    ]
    learned = WorkloadModel.fit(quiet, ARCHITECTURE)
    assert min(learned.thresholds.values()) > 0
    assert not learned.score(quiet[0]).is_anomaly


def test_the_budget_is_that_of_the_workload_with_all_its_replicas() -> None:
    one = [window(i, replica="a") for i in range(60)]
    three = [window(i, replica=r) for i in range(60) for r in "abc"]
    alone, together = (WorkloadModel.fit(w, ARCHITECTURE).training for w in (one, three))
    assert together.windows_per_week == 3 * alone.windows_per_week == 3 * 7 * 24 * 3600
    assert (together.replicas, together.observed) == (3, 3 * alone.observed)


def test_a_gap_between_recordings_does_not_count_as_watched() -> None:
    two_days = [window(i) for i in (*range(60), *range(86400, 86460))]
    assert WorkloadModel.fit(two_days, ARCHITECTURE).training.covered == 120 * SECOND


def test_a_larger_budget_never_raises_a_threshold(model: WorkloadModel) -> None:
    budgets = [0.01, 0.1, 1, 10, 1000, 1e9]
    for signal in Signal:
        thresholds = [model.thresholds_for(budget)[signal] for budget in budgets]
        assert thresholds == sorted(thresholds, reverse=True)
        assert min(thresholds) > 0


distinct_windows = st.lists(
    small_windows, min_size=1, max_size=6, unique_by=lambda w: (w.end, w.replica)
).filter(lambda windows: any(w.observed for w in windows))


@given(windows=distinct_windows, new=small_windows, data=st.data())
@settings(max_examples=40, deadline=None)
def test_neither_order_nor_company_matters(
    windows: list[Window], new: Window, data: st.DataObject
) -> None:
    learned = WorkloadModel.fit(windows, ARCHITECTURE)
    again = WorkloadModel.fit(data.draw(st.permutations(windows)), ARCHITECTURE)
    score = learned.score(new)
    for other in windows:
        assert learned.score(other).by_signal == dict.fromkeys(Signal, 0.0)
    assert score == learned.score(new) == again.score(new)
    assert learned.thresholds == again.thresholds
