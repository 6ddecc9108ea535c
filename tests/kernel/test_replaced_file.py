"""A file that is replaced again and again begins with what was written last."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from full_disk import largest_file

from baseline.kernel.replaced_file import ReplacedFile

TEXTS = [b"first", b"the second is longer", b"third", b"", b"5" * 99_991, b"sixth", b"seventh"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.position"


def test_it_begins_with_what_was_written_last(path: Path) -> None:
    file = ReplacedFile(path)
    for text in TEXTS:
        file.write(text)
        assert path.read_bytes().startswith(text)
    assert len(list(path.parent.iterdir())) == 2
    file.remove()
    assert list(path.parent.iterdir()) == []


def test_whoever_has_it_open_reads_on_in_what_was_there(path: Path) -> None:
    file = ReplacedFile(path)
    for earlier, later in itertools.pairwise(TEXTS):
        file.write(earlier)
        with path.open("rb") as reader:
            file.write(later)
            assert reader.read().startswith(earlier)


@pytest.mark.parametrize("gone", ["file.position", "file.tmp"])
def test_it_is_there_again_when_somebody_has_removed_one(path: Path, gone: str) -> None:
    file = ReplacedFile(path)
    for text in TEXTS:
        file.write(text)
        path.with_name(gone).unlink()
        file.write(text + b", again")
        assert path.read_bytes().startswith(text + b", again")


def test_what_cannot_be_written_leaves_what_was_there(path: Path) -> None:
    file = ReplacedFile(path)
    for text in TEXTS:
        file.write(text)
        with largest_file(200_000), pytest.raises(OSError, match="large"):
            file.write(b"x" * 300_000)
        assert path.read_bytes().startswith(text)
    file.write(b"the disk has room again")
    assert path.read_bytes().startswith(b"the disk has room again")


def test_one_that_is_killed_leaves_all_of_what_it_wrote_last(path: Path) -> None:
    """Each text is of one byte, over many pages, and the byte says which it is."""
    script = """
import itertools, sys
from pathlib import Path
from baseline.kernel.replaced_file import ReplacedFile
file = ReplacedFile(Path(sys.argv[1]))
for number in itertools.count():
    file.write(bytes([number % 251]) * 300_007)
    print(flush=True)
"""
    for wait_for in range(1, 12):
        writer = subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE)
        assert writer.stdout
        for _ in range(wait_for):
            writer.stdout.readline()
        writer.kill()
        writer.communicate()
        assert len(set(path.read_bytes())) == 1
