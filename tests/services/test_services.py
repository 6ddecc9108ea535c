"""The main job on real services: learn them under load, be quiet, name an intruder's shell."""

import json
import threading
import time
from pathlib import Path

import pytest
from processes import Process, Start
from restricted import baseline

from baseline.demo.services import SERVICES, running

LEARN_SECONDS = 30
QUIET_SECONDS = 10

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_learned_and_its_intruder_named(
    name: str, start: Start, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    alerts: list[tuple[float, dict]] = []

    def follow(watch: Process) -> None:
        alerts.extend((time.time(), json.loads(line)) for line in watch.stdout or ())

    with running(name, "baseline-test") as service, service.under_load():
        selector = f"--cgroup={name}={service.cgroup.path}"
        learn = start(
            baseline("learn", selector, f"--duration={LEARN_SECONDS}s", f"--out={models}")
        )
        _, told = learn.communicate()
        assert learn.returncode == 0, told
        watch = start(
            baseline("watch", selector, f"--models={models}", "--format=json", "--fail-on=anomaly")
        )
        # A daemon, so that a test that fails is not waited for until its watch is killed.
        reader = threading.Thread(target=follow, args=(watch,), daemon=True)
        reader.start()
        time.sleep(QUIET_SECONDS)
        assert alerts == []
        began = {}
        with service.intrusion() as steps:
            for step in steps:
                began[step.title] = time.time()
                step.take()
                time.sleep(2)
        watch.terminate()
        reader.join()
        told = watch.stderr.read() if watch.stderr else ""
        assert watch.wait() == 3
    assert "nothing lost" in told

    asked = next(when for title, when in began.items() if "shell" in title)
    seen, shell = next((w, a) for w, a in alerts if "dash" in a["headline"])
    assert seen - asked < 1
    assert shell["process"]["comm"] == "sh"
    assert shell["signal"] in {"executions", "ngrams"}
    everything = json.dumps([alert for _, alert in alerts])
    assert "/usr/bin/curl" in everything
    assert "127.0.0.66" in everything
    assert "memfd:stage" in everything
