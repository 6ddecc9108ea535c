"""What is given back, and that everything works on without it."""

import json
import subprocess
import sys

_SCRIPT = """
import io, json, re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from baseline.memory import give_back


def resident():
    text = Path("/proc/self/smaps_rollup").read_text()
    return int(re.search(r"Rss: +(\\d+)", text)[1])


def through_parquet(values):
    file = io.BytesIO()
    pq.write_table(pa.table({"values": values}), file)
    # Without threads, like all that we read: Arrow may end while one of them still begins.
    return pq.ParquetFile(file, pre_buffer=False).read(use_threads=False)["values"].to_pylist()


before = through_parquet([2, 3, 5]), resident()
give_back()
after = resident(), through_parquet([2, 3, 5])
print(json.dumps([*before, *after]))
"""


def test_code_that_ran_is_given_back_and_runs_again() -> None:
    """The library of Parquet alone takes more than ten MiB, none of which watching needs."""
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, check=True)
    first, before, after, second = json.loads(done.stdout)
    assert first == second == [2, 3, 5]
    assert after < before - 10 * 1024
