"""One service, learned once from the real kernel; each test attacks an instance of its own."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from requirements import require_kernel
from victim import WORKLOAD, Service, Site, Victim
from watching import Cgroup, Watch

from baseline.kernel.program import Settings
from baseline.kernel.unloading import unload
from baseline.model.budget import Budget
from baseline.model.workload_model import WorkloadModel
from baseline.window import Window

STARTS = 17
WINDOWS = 23
"""Of each instance that was learned from."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, programs: dict[str, Path]) -> Site:
    """The files of the service."""
    folder = tmp_path_factory.mktemp("site")
    helper = Path(shutil.copy(programs["calls"], folder / "helper"))
    file = folder / "settings"
    file.write_text("colour = green")
    return Site(programs["service"], file, helper)


@pytest.fixture(scope="session")
def model(site: Site, programs: dict[str, Path]) -> WorkloadModel:
    """What the service normally does, from its start to its end."""
    require_kernel()
    cgroup = Cgroup(f"baseline-test-{os.getpid()}-learned", programs)
    cgroup.folder.mkdir()
    windows: list[Window] = []
    try:
        watch = Watch(f"{WORKLOAD}={cgroup.path}", settings=Settings(), interval=1.0)
        with watch.source:
            for _ in range(STARTS):
                service = Service(cgroup, site)
                for number in range(WINDOWS):
                    service.serve(3 + number % 5)
                    windows += watch.read()
                service.end()
                windows += watch.read()
    finally:
        cgroup.remove()
        unload()
    model = WorkloadModel.fit(windows)
    # The windows are of a millisecond, to learn in seconds.  As strict as one false alarm a week is
    # of windows of a second:
    return model.with_budget(Budget(model.training.windows_per_second, "week"))


@pytest.fixture
def victim(cgroup: Cgroup, site: Site, watch: Callable[..., Watch], model: WorkloadModel) -> Victim:
    """An instance that has served some requests, of which none raised an alert."""
    victim = Victim(cgroup, site, watch(f"{WORKLOAD}={cgroup.path}"), model)
    for _ in range(7):
        victim.serve()
        assert victim.alerts() == []
    return victim
