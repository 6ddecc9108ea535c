"""Learning from and exporting a large recording, against DuckDB on the same files.

    sudo PYTHONPATH=.:benchmarks .venv/bin/python -m costs.analysis [--short]

The recording is `data/nginx/normal` again and again with counts drawn anew, ten million rows,
written by the writer that `record` uses. Each figure is that of a whole process, from its start to
its end, by the clock: `baseline learn --from`, `baseline export`, and DuckDB with as many threads
as there are processors (`benchmarks/costs/aggregation.py` says what it aggregates). Rounds are
interleaved.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from costs.needed import require_duckdb
from costs.recording import write_enlarged
from costs.rounds import ENOUGH
from costs.running import run_alone
from costs.targets import FIT_RATIO, fit_over

SOURCE = Path(__file__).parents[2] / "data" / "nginx" / "normal"

_AGGREGATION = Path(__file__).with_name("aggregation.py")


def measure(*, short: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """The part of the result on analysis.

    Args:
        short: a hundred thousand rows in one round.
        say: told how far it has come.
    """
    require_duckdb()
    rows = 100_000 if short else 10_000_000
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        recording = folder / "recording"
        write_enlarged(SOURCE, rows, recording)
        say(f"{rows:,} rows are written")
        ours = [sys.executable, "-m", "baseline"]
        duckdb = [sys.executable, str(_AGGREGATION), str(recording)]
        for number in range(1 if short else ENOUGH):
            commands = {
                "fit": [*ours, "learn", "--from", recording, "--out", folder / f"models-{number}"],
                "duckdb_plain": [*duckdb, "plain"],
                "export": [*ours, "export", recording, "--out", folder / f"export-{number}"],
                "duckdb_incidence": [*duckdb, "incidence"],
            }
            for name, command in commands.items():
                began = time.perf_counter()
                subprocess.run(list(map(str, command)), check=True, capture_output=True)
                times.setdefault(name, []).append(time.perf_counter() - began)
            say(f"round {number + 1}: done")
    medians = {f"{name}_s": statistics.median(took) for name, took in times.items()}
    return {
        "rows": rows,
        "rounds": times,
        "processors": os.cpu_count(),
        **medians,
    }


def report(result: dict[str, Any]) -> list[str]:
    """The result in lines of 80 columns."""
    plain, incidence = (
        fit_over(result["rounds"], other).median for other in ("duckdb_plain", "duckdb_incidence")
    )
    return [
        f"{result['rows']:,} rows of n-grams; seconds of whole processes",
        f"baseline learn --from              {result['fit_s']:8.2f}",
        f"baseline export                    {result['export_s']:8.2f}",
        f"DuckDB, sums by n-gram             {result['duckdb_plain_s']:8.2f}",
        f"DuckDB, what a fit counts          {result['duckdb_incidence_s']:8.2f}",
        f"Learning takes {plain:.1f} times as long as sums by n-gram (target {FIT_RATIO:g}),",
        f"and {incidence:.2f} times as long as counting what a fit counts",
    ]


if __name__ == "__main__":
    run_alone("analysis", measure, report)
