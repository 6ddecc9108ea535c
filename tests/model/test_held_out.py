import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline.model.held_out import SCHEMA, HeldOut
from baseline.model.score import NOVELTIES, Signal


def held_out(rows: list[tuple[list[float], list[int], int]]) -> HeldOut:
    return HeldOut(
        {s: np.array([bits[i] for bits, _, _ in rows]) for i, s in enumerate(Signal)},
        {s: np.array([counts[i] for _, counts, _ in rows]) for i, s in enumerate(NOVELTIES)},
        np.array([replica for _, _, replica in rows]),
    )


windows = st.lists(
    st.tuples(
        st.lists(st.floats(0, 1e6), min_size=len(Signal), max_size=len(Signal)),
        st.lists(st.integers(0, 2**62), min_size=len(NOVELTIES), max_size=len(NOVELTIES)),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=8,
).map(held_out)


def rows_of(table: HeldOut) -> list[tuple[float, ...]]:
    """Each window, without its replica."""
    columns = [*table.bits.values(), *table.counts.values()]
    return list(zip(*(column.tolist() for column in columns), strict=True))


@given(windows)
def test_a_table_holds_all_of_it(some: HeldOut) -> None:
    table = some.table()
    assert table.schema == SCHEMA
    again = HeldOut.from_table(table)
    assert len(again) == len(some)
    assert rows_of(again) == rows_of(some)
    assert again.replica.tolist() == some.replica.tolist()


@given(windows, windows, windows)
def test_merging_is_associative(a: HeldOut, b: HeldOut, c: HeldOut) -> None:
    left, right, at_once = (
        HeldOut.merged(parts)
        for parts in ([HeldOut.merged([a, b]), c], [a, HeldOut.merged([b, c])], [a, b, c])
    )
    assert left.table() == right.table() == at_once.table()


@given(st.lists(windows, min_size=1, max_size=3))
def test_merged_models_share_no_replica(parts: list[HeldOut]) -> None:
    merged = HeldOut.merged(parts)
    assert rows_of(merged) == [row for part in parts for row in rows_of(part)]
    replicas = iter(merged.replica.tolist())
    known = [{(next(replicas), own) for own in part.replica.tolist()} for part in parts]
    everywhere = [replica for pairs in known for replica, _ in pairs]
    assert len(everywhere) == len(set(everywhere))
    assert all(len(pairs) == len({own for _, own in pairs}) for pairs in known)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("ngrams", -0.5, "surprise"),
        ("calls", float("nan"), "surprise"),
        ("executions", float("inf"), "surprise"),
        ("ngrams_count", -1, "count nothing"),
        ("replica", -1, "count nothing"),
    ],
)
def test_what_no_window_can_have_is_refused(column: str, value: float, said: str) -> None:
    table = held_out([([0.0] * len(Signal), [0] * len(NOVELTIES), 0)] * 2).table()
    where, field = table.schema.get_field_index(column), SCHEMA.field(column)
    changed = table.set_column(where, field, pa.array([0, value], field.type))
    with pytest.raises(ValueError, match=said):
        HeldOut.from_table(changed)


def test_no_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="no held-out windows"):
        HeldOut.from_table(SCHEMA.empty_table())
