from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import ngram_counts, small_windows
from synthetic_service import ARCHITECTURE, SECOND, intruded, serving, window

from baseline.errors import ModelError
from baseline.model.merging import merge
from baseline.model.score import Signal
from baseline.model.storage import load_model, save_model
from baseline.model.workload_model import WorkloadModel
from baseline.window import Window

few = settings(max_examples=15, deadline=None)

seconds = st.builds(window, number=st.integers(0, 99), ngrams=ngram_counts(st.integers(1, 99)))
trainings = st.one_of(
    st.lists(small_windows, min_size=1, max_size=5), st.lists(seconds, min_size=2, max_size=5)
).filter(lambda windows: any(w.observed for w in windows))


def fit(windows: list[Window]) -> WorkloadModel:
    return WorkloadModel.fit(windows, ARCHITECTURE)


def stored(model: WorkloadModel) -> object:
    """All that a model on disk holds."""
    return (
        {name: table for s in model.signals.values() for name, table in s.tables().items()},
        model.held_out.table(),
        model.training,
        model.provenance,
    )


def mergeable(*models: WorkloadModel) -> bool:
    try:
        merge(models)
    except ModelError:
        return False
    return True


@few
@given(a=trainings, b=trainings, c=trainings)
def test_neither_order_nor_brackets_matter(
    a: list[Window], b: list[Window], c: list[Window]
) -> None:
    one, two, three = map(fit, (a, b, c))
    assume(mergeable(one, two, three))
    together = stored(merge([one, two, three]))
    assert stored(merge([three, one, two])) == together
    assert stored(merge([merge([one, two]), three])) == together
    assert stored(merge([one, merge([two, three])])) == together


@pytest.fixture(scope="module")
def minutes() -> list[Window]:
    """Three minutes of a service, the last seconds of which show an intruder."""
    quiet = list(islice(serving(seed=7), 180))
    return quiet[:170] + [intruded(w) for w in quiet[170:]]


@pytest.mark.parametrize("start", [0, 1])
def test_two_halves_know_what_the_whole_knows_with_the_same_counts(
    minutes: list[Window], start: int
) -> None:
    whole = fit(minutes)
    halves = (
        [fit(minutes[:90]), fit(minutes[90:])]
        if start == 0
        else [fit(minutes[0::2]), fit(minutes[1::2])]
    )
    merged = merge(halves)
    for signal in Signal:
        ours, theirs = merged.signals[signal].tables(), whole.signals[signal].tables()
        for name, table in theirs.items():
            # What a call usually carries is measured, not counted.
            columns = [c for c in table.column_names if c != "usual_bits"]
            assert ours[name].select(columns).equals(table.select(columns)), name
    assert merged.training.windows == whole.training.windows == len(merged.held_out)
    assert merged.training.covered == whole.training.covered
    assert merged.training.ledger == whole.training.ledger


def test_replicas_stay_apart_in_the_test_for_lasting_shifts(minutes: list[Window]) -> None:
    one, two = fit(minutes[:60]), fit(minutes[60:100])
    merged = merge([one, two])
    assert sorted(np.bincount(merged.held_out.replica).tolist()) == [40, 60]
    bits = [m.held_out.bits[Signal.NGRAMS] for m in (one, two)]
    rows = [merged.held_out.replica == n for n in (0, 1)]
    parts = [merged.held_out.bits[Signal.NGRAMS][r].tolist() for r in rows]
    assert sorted(parts) == sorted(b.tolist() for b in bits)  # each in its order of time


def test_a_merged_model_can_be_stored_and_judges(minutes: list[Window], tmp_path: Path) -> None:
    merged = merge([fit(minutes[:80]), fit(minutes[80:160])])
    save_model(merged, tmp_path / "merged")
    again = load_model(tmp_path / "merged")
    assert stored(again) == stored(merged)
    assert not again.score(minutes[165]).is_anomaly
    assert again.score(minutes[175]).is_anomaly


def test_a_replica_that_did_nothing_keeps_volumes_judged(minutes: list[Window]) -> None:
    idle = [window(n, replica="shop/web-2") for n in range(50)]
    merged = merge([fit(minutes[:100]), fit(idle)]).signals[Signal.VOLUMES].tables()
    together = fit([*minutes[:100], *idle]).signals[Signal.VOLUMES].tables()
    assert len(together["volume_pairs"])
    for name in ("volume_pairs", "volume_windows"):
        assert merged[name].equals(together[name])


def test_windows_of_other_lengths_and_calls_of_other_numbers_are_refused(
    minutes: list[Window],
) -> None:
    model = fit(minutes[:60])
    slow = [
        Window(**{**vars(w), "start": w.start, "end": w.end + 9 * SECOND, "observed": 10 * SECOND})
        for w in minutes[60:90]
    ]
    with pytest.raises(ModelError, match=r"windows of 1 s and 10 s.*same --interval"):
        merge([model, fit(slow)])
    mixed = fit(minutes[90:120] + slow)
    with pytest.raises(ModelError, match=r"no single length and 1 s.*caught up on after a kill"):
        merge([model, mixed])
    arm = WorkloadModel.fit(minutes[60:90], "aarch64")
    with pytest.raises(ModelError, match=r"aarch64 and x86_64.*folder of their own"):
        merge([model, arm])


def test_what_was_done_to_them_is_kept(minutes: list[Window]) -> None:
    one = fit(minutes[:60]).with_provenance(notes=("Accepted b.",), quarantined=("x",))
    two = fit(minutes[60:90]).with_provenance(notes=("Accepted a.", "Accepted b."))
    provenance = merge([one, two]).provenance
    assert provenance.notes == ("Accepted a.", "Accepted b.")
    assert provenance.quarantined == ("x",)
    assert provenance.completeness is None


def test_what_was_done_to_a_model_stays_in_its_order(minutes: list[Window]) -> None:
    one, two, three = (
        fit(part).with_provenance(notes=notes)
        for part, notes in (
            (minutes[:60], ("Inherits.", "Accepted c.", "Accepted a.")),
            (minutes[60:90], ("Accepted d.", "Accepted b.")),
            (minutes[90:120], ("Accepted e.",)),
        )
    )
    orders = [[one, two, three], [three, two, one], [merge([one, two]), three]]
    (notes,) = {merge(models).provenance.notes for models in orders}
    for model in (one, two, three):
        assert tuple(note for note in notes if note in model.provenance.notes) == (
            model.provenance.notes
        )
