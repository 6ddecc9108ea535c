import math
import re
from collections import Counter
from dataclasses import replace
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
    CURL_STARTED,
    ID,
    INTRUDER,
    NGINX,
    NUMBERS,
    REQUESTS,
    SECOND,
    SHELL,
    SHELL_CALLS,
    SHELL_STARTED,
    count_ngrams,
    counts_under_load,
    intruded,
    seconds_of,
    serving,
    symbols,
    window,
)

from baseline.errors import ModelError
from baseline.model.budget import DEFAULT_BUDGET, Budget
from baseline.model.calls import call_of
from baseline.model.score import MAX_EVIDENCE, NOVELTIES, Signal, Volume
from baseline.model.shift import shifts
from baseline.model.time_blocks import blocks_of_time, in_order
from baseline.model.workload_model import SHIFT_SHARE, WorkloadModel
from baseline.window import Connection, Execution, Ledger, NgramCounts, Tally, Window


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
    scores = [model.score(w) for w in day[600:]]
    assert not [score for score in scores if score.is_anomaly]
    shift = shifts(np.array([score.bits for score in scores]), np.zeros(600, np.int64))
    assert shift.max() < model.shift_threshold
    for p_value in (0.2, 0.05):
        assert np.mean([score.p_value <= p_value for score in scores]) < 2 * p_value


def test_a_shell_is_flagged_by_every_signal_and_explained(
    model: WorkloadModel, day: list[Window]
) -> None:
    score = model.score(intruded(day[700]))
    assert score.is_anomaly
    assert score.p_value < 1e-5
    assert score.wholly_new == (Signal.CALLS, Signal.EXECUTIONS, Signal.CONNECTIONS_OUT)
    assert score.by_signal[Signal.NGRAMS] > 0
    evidence = {e.description: e for e in score.evidence}
    shell = evidence["/usr/bin/nginx > /usr/bin/dash (uid 33)"]
    assert (shell.item, shell.count, shell.seen) == (SHELL_STARTED, 1, None)
    assert shell.nearest == "/usr/bin/nginx starts nothing"
    assert evidence["tcp out to 203.0.113.9:4444"].nearest == "no tcp connection out at all"
    assert re.match(r"\d\d other calls, most of all recvfrom \(", evidence["execve"].nearest)
    assert any(" > openat > fstat" in description for description in evidence)


def test_evidence_says_what_the_score_would_be_without_it(
    model: WorkloadModel, day: list[Window]
) -> None:
    window = intruded(day[700])
    for evidence in model.score(window).evidence:
        without = model.score(window, without={evidence.item})
        assert evidence.without == pytest.approx(without.bits)
        assert evidence.item not in {e.item for e in without.evidence}
    ngrams = window.ngrams.ngrams.tolist()
    items = [SHELL_STARTED, CURL_STARTED, INTRUDER, *ngrams, *map(call_of, ngrams)]
    assert not model.score(window, without=items).is_anomaly


def test_every_window_can_be_explained(model: WorkloadModel, day: list[Window]) -> None:
    quiet = [w for w in day[600:] if model.score(w).bits == 0]
    surprising = max(day[600:], key=lambda w: model.score(w).bits)
    assert not any(map(model.explain, quiet))
    assert not model.score(surprising).evidence
    explained = model.explain(surprising)
    assert {s for s, bits in model.score(surprising).by_signal.items() if bits} == {
        e.signal for e in explained
    }
    assert all(e.seen is not None for e in explained if e.signal == Signal.VOLUMES)


def test_half_a_minute_of_learning_is_enough_for_a_shell(day: list[Window]) -> None:
    learned = WorkloadModel.fit(day[:30], ARCHITECTURE)
    assert not learned.score(day[29]).is_anomaly
    assert learned.score(intruded(day[29])).is_anomaly
    assert learned.score_item(SHELL_STARTED).is_anomaly
    assert learned.false_alarms_per_week > 1  # and it says what that costs


def test_fifty_calls_are_found_among_a_million(day: list[Window]) -> None:
    million = [
        replace(its, ngrams=NgramCounts(its.ngrams.ngrams, its.ngrams.counts * 1000))
        for its in day[:601]
    ]
    model = WorkloadModel.fit(million[:600], ARCHITECTURE)
    normal = million[600]
    assert normal.ngrams.total > 500_000
    shell = count_ngrams(symbols(SHELL_CALLS))
    assert shell.total < 50
    assert not model.score(normal).is_anomaly
    assert model.score(replace(normal, ngrams=normal.ngrams + shell)).is_anomaly


def test_an_item_is_as_surprising_as_in_a_window_of_its_own(model: WorkloadModel) -> None:
    ngram = int(count_ngrams(symbols("ptrace")).ngrams[0])
    ngrams = NgramCounts(np.array([ngram], np.uint64), np.array([1]))
    for item, alone in [
        (ngram, window(0, ngrams)),
        (SHELL_STARTED, window(0, executions={SHELL_STARTED: 1})),
        (INTRUDER, window(0, connections={INTRUDER: 1})),
        (CLIENT, window(0, connections={CLIENT: 1})),
    ]:
        by_itself, in_a_window = model.score_item(item), model.score(alone)
        assert model.knows(item) == (item == CLIENT)
        assert by_itself.wholly_new == in_a_window.wholly_new
        for signal in NOVELTIES:
            assert by_itself.by_signal[signal] == pytest.approx(in_a_window.by_signal[signal])
    assert model.score_item(Volume(NUMBERS["read"] + 1)).bits == 0


def test_heavier_evidence_comes_first_and_no_signal_crowds_out_another(
    model: WorkloadModel,
) -> None:
    known = symbols(" ".join(calls for _, calls in REQUESTS))
    many = count_ngrams(
        np.random.default_rng(1).choice([*known, *symbols("ptrace")], 5000).tolist()
    )
    score = model.score(window(0, many, {SHELL_STARTED: 3}, {INTRUDER: 1}))
    weights = [(e.without, -e.bits) for e in score.evidence]
    assert weights == sorted(weights)
    by_signal = [e.signal for e in score.evidence]
    assert by_signal.count(Signal.NGRAMS) == MAX_EVIDENCE
    assert by_signal.count(Signal.CALLS) == 1
    assert by_signal.count(Signal.EXECUTIONS) == by_signal.count(Signal.CONNECTIONS_OUT) == 1
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
    assert not learned.score(second(601)).is_anomaly


def test_an_address_that_was_folded_away_is_not_held_against_anybody(model: WorkloadModel) -> None:
    assert model.score_item(Connection("in", "tcp", "", 80)).bits == 0
    assert model.score_item(Connection("in", "tcp", "", 23)).is_anomaly


def test_a_peer_that_is_no_address_is_a_peer_all_the_same(model: WorkloadModel) -> None:
    odd = Connection("out", "1", "no address", 0)
    learned = WorkloadModel.fit([window(0, connections={odd: 1})], ARCHITECTURE)
    assert learned.knows(odd)
    assert model.score_item(odd).is_anomaly


def test_lossy_windows_are_learned_and_judged(model: WorkloadModel, day: list[Window]) -> None:
    """By what is new in them; how much there is of anything they cannot tell."""
    ledger = Ledger(ngrams=Tally(900, 300, 100, 400))
    silent = window(0, connections=day[0].connections)
    assert model.score(silent).by_signal[Signal.VOLUMES] > 0
    assert model.score(replace(silent, ledger=ledger)).by_signal[Signal.VOLUMES] == 0
    shell = intruded(day[0])
    with_losses = model.score(replace(shell, ledger=ledger)).by_signal
    assert with_losses == model.score(shell).by_signal | {Signal.VOLUMES: 0.0}
    assert (
        WorkloadModel.fit([replace(day[0], ledger=ledger)], ARCHITECTURE).training.ledger.lost
        == 400
    )


def test_what_little_is_learned_of_one_window_is_judged_by(day: list[Window]) -> None:
    learned = WorkloadModel.fit(day[:1], ARCHITECTURE)
    assert not learned.score(day[0]).is_anomaly
    assert learned.score(intruded(day[0])).is_anomaly
    assert learned.false_alarms_per_week > 1000
    assert learned.supported_budget.per_second == pytest.approx(1 / 10)


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
    assert learned.threshold > 0
    assert learned.score(quiet[0]).bits == 0
    assert learned.score_item(SHELL_STARTED).is_anomaly


def test_the_budget_is_that_of_the_workload_with_all_its_replicas() -> None:
    one = [window(i, replica="a") for i in range(60)]
    three = [window(i, replica=r) for i in range(60) for r in "abc"]
    alone, together = (WorkloadModel.fit(w, ARCHITECTURE) for w in (one, three))
    assert together.threshold == pytest.approx(alone.threshold + math.log2(3))
    assert together.shift_threshold >= alone.shift_threshold
    assert together.once_in(1e-3) == pytest.approx(1000 / 3)


def test_a_budget_is_shared_by_windows_and_lasting_shifts(model: WorkloadModel) -> None:
    daily = model.with_budget(Budget.parse("1/day"))
    assert daily.once_in(2**-daily.threshold) == pytest.approx(24 * 3600 / (1 - SHIFT_SHARE))
    assert daily.once_in(2**-daily.shift_threshold) >= 24 * 3600 / SHIFT_SHARE * (1 - 1e-9)
    assert daily.false_alarms_per_week >= 7
    assert daily.false_alarms_per_week - 7 == pytest.approx(model.false_alarms_per_week - 1)
    assert model.budget == DEFAULT_BUDGET
    assert model.score(window(0)).threshold == model.threshold


def test_a_recording_supports_one_alarm_in_ten_times_its_length(model: WorkloadModel) -> None:
    assert 1 / model.supported_budget.per_second == pytest.approx(10 * 600)


def test_a_larger_budget_never_raises_a_threshold(model: WorkloadModel) -> None:
    models = [model.with_budget(Budget(n, "week")) for n in (0.01, 0.1, 1, 10, 1000, 1e9)]
    for thresholds in ([m.threshold for m in models], [m.shift_threshold for m in models]):
        assert thresholds == sorted(thresholds, reverse=True)
        assert min(thresholds) > 0


# --- load ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loads() -> list[float]:
    """Requests a second for an hour: from 40 to 160."""
    return (40 * 4 ** np.random.default_rng(7).random(3600)).tolist()


@pytest.fixture(scope="module")
def busy(loads: list[float]) -> WorkloadModel:
    """A model of that hour."""
    return WorkloadModel.fit(seconds_of(counts_under_load(1, loads)), ARCHITECTURE)


@pytest.mark.parametrize("factor", [1, 2, 4, 16])
def test_load_alone_is_no_anomaly(busy: WorkloadModel, loads: list[float], factor: int) -> None:
    usual = np.array(counts_under_load(2, loads[:300]))
    assert not [w for w in seconds_of((usual * factor).tolist()) if busy.score(w).is_anomaly]


def test_neither_is_load_that_lasts(busy: WorkloadModel) -> None:
    doubled = [60] * 300 + [120] * 300
    bits = [busy.score(w).bits for w in seconds_of(counts_under_load(2, doubled))]
    assert max(bits) < busy.threshold
    assert shifts(np.array(bits), np.zeros(600, np.int64)).max() < busy.shift_threshold


def test_a_window_is_compared_with_those_of_its_load(busy: WorkloadModel) -> None:
    rarer = []
    for load in (40, 80, 150):
        (row,) = counts_under_load(3, [load])
        row[4] *= 16
        (odd,) = seconds_of([row])
        score = busy.score(odd)
        p_value = busy.combination.p_value
        assert score.p_value == p_value(score.by_signal, odd.ngrams.total)
        for evidence in busy.explain(odd):
            without = busy.score(odd, without={evidence.item})
            assert evidence.without == pytest.approx(without.bits)
        rarer.append(score.bits + math.log2(p_value(score.by_signal)))  # than at any load
    assert -1e-9 < min(rarer) < max(rarer) - 1


@pytest.mark.parametrize("call", [0, 1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("factor", [0, 16])
def test_a_call_out_of_proportion_or_absent_is_one(
    busy: WorkloadModel, call: int, factor: int
) -> None:
    (row,) = counts_under_load(3, [80])
    (usual,) = seconds_of([row])
    assert not busy.score(usual).is_anomaly
    row[call] *= factor
    (odd,) = seconds_of([row])
    score = busy.score(odd)
    assert score.is_anomaly
    assert {s for s, bits in score.by_signal.items() if bits} == {Signal.VOLUMES}
    if call or not factor:  # too much of the call that stands for the load is too little of others
        assert Volume(call + 1) in {e.item for e in score.evidence}
    # In a window of another length nothing can be said about it.
    assert busy.score(odd + usual + usual + usual).by_signal[Signal.VOLUMES] == 0
    assert busy.score(replace(odd, observed=SECOND // 3)).by_signal[Signal.VOLUMES] == 0


def test_a_call_that_was_never_made_and_silence_are_one(busy: WorkloadModel) -> None:
    (row,) = counts_under_load(3, [80])
    unseen, silence = (busy.score(w) for w in seconds_of([[*row, 1], [0] * len(row)]))
    assert unseen.wholly_new == (Signal.CALLS,)
    assert silence.is_anomaly


# --- blocks of time ------------------------------------------------------------------------------


def blocks_of(*starts: int) -> list[int]:
    return blocks_of_time(in_order([window(start) for start in starts]))


@given(st.lists(st.integers(0, 500), min_size=1, max_size=60, unique=True))
def test_blocks_are_contiguous_and_several_if_they_can_be(starts: list[int]) -> None:
    blocks = blocks_of(*starts)
    assert blocks == sorted(blocks)
    assert 0 <= blocks[0] <= blocks[-1] < 10
    assert len(set(blocks)) >= min(5, len(starts))


def test_blocks_are_about_equally_long() -> None:
    assert Counter(blocks_of(*range(100))) == dict.fromkeys(range(10), 10)
    assert blocks_of(*range(7)) == list(range(7))


def test_no_block_is_torn_out_of_a_run_of_many() -> None:
    starts = [100 * run + second for run in range(8) for second in range(13)]
    blocks = blocks_of(*starts)
    runs = [set(blocks[i : i + 13]) for i in range(0, len(blocks), 13)]
    assert all(len(run) == 1 for run in runs)
    assert len(set(blocks)) == 8


def test_a_long_run_after_some_attempts_is_torn() -> None:
    """Left in one piece it would be judged by nothing, and nothing would be a surprise to it."""
    attempts, run = (0, 100, 200, 300), range(400, 1000)
    assert len(set(blocks_of(*attempts, *run))) == 10


# --- what does not matter ------------------------------------------------------------------------

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
        by_signal = learned.score(other).by_signal
        assert not any(by_signal[signal] for signal in NOVELTIES)
    assert score == learned.score(new) == again.score(new)
    assert learned.threshold == again.threshold
    assert learned.shift_threshold == again.shift_threshold
