import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
from synthetic_service import ARCHITECTURE, serving

from baseline.model.storage import save_model
from baseline.model.workload_model import WorkloadModel

HEAVY = {"pandas", "sklearn", "scipy", "matplotlib", "pyarrow.dataset", "prometheus_client"}

WATCH = """
import sys

asked_for = set()


class Watcher:
    def find_spec(self, name, path=None, target=None):
        asked_for.add(name)


sys.meta_path.insert(0, Watcher())

from pathlib import Path

import baseline.cli.watch
from baseline.model.budget import Budget
from baseline.model.storage import load_model
from baseline.window import Execution, Image, Window

model = load_model(Path(sys.argv[1])).with_budget(Budget.parse("1/week"))
shell = Execution((Image("/usr/bin/nginx"), Image("/bin/sh")), 33)
assert model.score(Window("web", "", 0, 10**9, 10**9, executions={shell: 1})).is_anomaly
print(*asked_for)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "web"
    save_model(WorkloadModel.fit(list(islice(serving(seed=5), 60)), ARCHITECTURE), folder)
    return folder


def test_watching_imports_nothing_heavy(model: Path) -> None:
    """Not even where it is installed: what looks for an optional package would then find it."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH, model], capture_output=True, text=True, check=True
    )
    asked_for = set(done.stdout.split())
    assert "baseline.model.workload_model" in asked_for
    assert not asked_for & HEAVY
