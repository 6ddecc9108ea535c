"""The same rows aggregated by DuckDB, in a process of its own.

    python aggregation.py RECORDING plain|incidence

`plain` is what the n-grams of a model are at least: how often each was made, in how many windows,
and when first and last. `incidence` is what a fit counts: in how many windows of each block of time
each suffix and each context of every length stands, and how often each call was made in each
window. It is held against `learn`, which checks, calibrates and estimates besides.

Results stay in tables of DuckDB, so that its own work is timed, and no making of Python objects.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import duckdb

BLOCKS = 10
LENGTHS = range(1, 7)
BITS = 10

Query = Callable[[str], int]
"""A query -> rows of its result."""


def plain(query: Query) -> int:
    """Rows of the result."""
    return query(
        'select workload, ngram, sum("count"), count(*), min(end_time), max(end_time) '
        "from rows group by all"
    )


def incidence(query: Query) -> int:
    """Rows of all results together."""
    rows = plain(query)
    block = f'"window" * {BLOCKS} // (select max("window") + 1 from rows)'  # noqa: S608
    for length in LENGTHS:
        suffix = f"ngram & {(1 << BITS * length) - 1}::ubigint"
        for key in (suffix, f"({suffix}) >> {BITS}"):
            rows += query(
                f"select workload, {key}, {block}, "  # noqa: S608 - all of it is ours
                'count(distinct "window") from rows group by all'
            )
    call = f"ngram & {(1 << BITS) - 1}::ubigint"
    made = f'select "window", {call}, sum("count") from rows group by all'  # noqa: S608
    return rows + query(made)


def main() -> None:
    recording, what = Path(sys.argv[1]), sys.argv[2]
    connection = duckdb.connect()
    files = f"{recording}/ngrams/**/*.parquet"
    connection.execute(f"create view rows as from read_parquet('{files}')")

    def query(text: str) -> int:
        # A table, and not a count of a subquery: of that the optimizer might leave out the sums.
        made = connection.execute(f"create or replace temporary table result as {text}").fetchone()
        return int(made[0]) if made else 0

    print({"plain": plain, "incidence": incidence}[what](query))


if __name__ == "__main__":
    main()
