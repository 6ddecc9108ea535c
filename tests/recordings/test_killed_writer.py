"""A writer that is killed at any moment leaves what it had committed, and nothing else."""

import os
import random
import sys
import time
from itertools import count
from pathlib import Path

import pytest
from processes import Start
from strategies import numbered_window

from baseline.recordings import Recording, RecordingWriter


def write_until_killed(path: Path) -> None:
    with RecordingWriter(path, interval=1, flush_rows=100, flush_seconds=0.001) as writer:
        for number in count():
            writer.write(numbered_window(number))
            if writer.commit():
                print(number + 1, flush=True)


@pytest.mark.parametrize("commits", range(5))
def test_a_killed_writer_leaves_a_beginning_of_what_it_wrote(
    start: Start, tmp_path: Path, commits: int
) -> None:
    """All that it said was committed, and what it committed meanwhile."""
    path = tmp_path / "r"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    writer = start([sys.executable, __file__, path], env=environment)
    while not path.exists():
        assert writer.poll() is None
        time.sleep(0.01)
    assert writer.stdout
    said = ["0\n", *(writer.stdout.readline() for _ in range(commits))]
    time.sleep(random.Random(commits).uniform(0, 0.3))  # noqa: S311 - no secret
    writer.kill()
    said += writer.stdout
    committed = [int(line) for line in said if line.endswith("\n")]
    assert len(committed) > commits
    recording = Recording(path)
    assert recording.window_count >= committed[-1] >= commits
    windows = list(recording.windows())
    assert windows == [numbered_window(number) for number in range(recording.window_count)]


if __name__ == "__main__":
    write_until_killed(Path(sys.argv[1]))
