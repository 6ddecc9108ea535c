"""A writer that is killed at any moment leaves what it had committed, and nothing else."""

import os
import random
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest
from strategies import numbered_window

from baseline.recordings import Recording, RecordingWriter


def write_until_killed(path: Path) -> None:
    with RecordingWriter(path, interval=1, flush_rows=100, flush_seconds=0.001) as writer:
        for number in count():
            writer.write(numbered_window(number))


@pytest.mark.parametrize("seed", range(5))
def test_a_killed_writer_leaves_a_beginning_of_what_it_wrote(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "r"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, __file__, str(path)], env=environment) as writer:
        while not path.exists():
            assert writer.poll() is None
            time.sleep(0.01)
        time.sleep(random.Random(seed).uniform(0, 0.3))  # noqa: S311 - no secret
        writer.kill()
    recording = Recording(path)
    windows = list(recording.windows())
    assert windows == [numbered_window(number) for number in range(recording.window_count)]


if __name__ == "__main__":
    write_until_killed(Path(sys.argv[1]))
