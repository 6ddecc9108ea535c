"""A small service as two recordings, one with an intruder; commands, and a cgroup for them."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from processes import Process, Start
from running import BASELINE, ENVIRONMENT, run
from small_service import OTHER_PEER, intrude, windows, write_recording

from baseline.window import Ledger, NgramCounts
from baseline.workloads.cgroups import cgroup2_mount


@pytest.fixture
def command(start: Start) -> Start:
    """Starts ``baseline`` with arguments and variables, until the end of the test at the latest."""

    def begin(*arguments: object, **environment: str) -> Process:
        return start([BASELINE, *arguments], env=ENVIRONMENT | environment)

    return begin


@pytest.fixture(scope="module")
def group() -> Iterator[str]:
    """Path of an empty cgroup."""
    path = f"baseline-cli-test-{os.getpid()}"
    folder = cgroup2_mount() / path
    folder.mkdir()
    yield path
    folder.rmdir()


@pytest.fixture(scope="session")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recording of two workloads, four minutes each."""
    content = [
        w for pair in zip(windows("web", 240, 1), windows("api", 240, 2), strict=True) for w in pair
    ]
    return write_recording(tmp_path_factory.mktemp("recordings") / "normal", content)


@pytest.fixture(scope="session")
def intruded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recording of one workload, in which a shell is started after ten of thirty seconds."""
    content = list(windows("web", 30, 3))
    content[10:] = map(intrude, content[10:])
    return write_recording(tmp_path_factory.mktemp("recordings") / "intruded", content)


@pytest.fixture(scope="session")
def attacked_twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thousand seconds with a shell in one of them, and five minutes later another peer."""
    content = list(windows("web", 1000, 4))
    content[0] = intrude(content[0])
    later = content[300]
    content[300] = later + replace(
        later, ngrams=NgramCounts.empty(), connections={OTHER_PEER: 1}, observed=0, ledger=Ledger()
    )
    return write_recording(tmp_path_factory.mktemp("recordings") / "twice", content)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, normal: Path) -> Path:
    """Models of both workloads, as ``learn`` makes them."""
    path = tmp_path_factory.mktemp("models") / "models"
    done = run("learn", "--from", normal, "--out", path)
    assert done.returncode == 0, done.stderr
    return path
