from pathlib import Path

import numpy as np
import pytest
from strategies import MIDNIGHT

from baseline.errors import OutputError, UsageError
from baseline.model.budget import Budget
from baseline.model.workload_model import WorkloadModel
from baseline.report.picture import draw_model
from baseline.window import Connection, Execution, Image, NgramCounts, Window

pytest.importorskip("matplotlib")

SECOND = 10**9
SHELL = Execution((Image("/usr/sbin/cron"), Image("/bin/$HOME_$x")), 33)
CLIENT = Connection("in", "tcp", "10.0.0.7", 80)


def second(number: int) -> Window:
    start = MIDNIGHT + number * SECOND
    calls = NgramCounts(np.array([1, 2 << 10 | 1], np.uint64), np.array([100, 1 + number % 7]))
    programs = {SHELL: 3} if number % 9 == 0 else {}
    return Window("web", "", start, start + SECOND, SECOND, calls, programs, {CLIENT: 1})


BUSY = WorkloadModel.fit([second(number) for number in range(100)], "x86_64")
IDLE = WorkloadModel.fit([Window("idle", "", MIDNIGHT, MIDNIGHT + SECOND, SECOND)], "x86_64")


@pytest.mark.parametrize("model", [BUSY, IDLE, BUSY.with_budget(Budget(60, "minute"))])
def test_every_model_can_be_drawn(model: WorkloadModel, tmp_path: Path) -> None:
    draw_model(model, tmp_path / "model.png")
    assert (tmp_path / "model.png").read_bytes().startswith(b"\x89PNG")


def test_the_picture_says_what_the_threshold_is(tmp_path: Path) -> None:
    draw_model(BUSY, tmp_path / "model.svg")
    text = (tmp_path / "model.svg").read_text()
    for said in (
        "What web normally does",
        "held-out time",
        f"alert, at 1/week: {BUSY.threshold:.1f} bits when calibrated",
    ):
        assert f"<!-- {said} -->" in text  # where matplotlib draws text as paths


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no name of a picture"):
        draw_model(BUSY, tmp_path / "model.txt")
    with pytest.raises(OutputError, match="cannot be written"):
        draw_model(BUSY, tmp_path / "missing" / "model.png")
    assert list(tmp_path.iterdir()) == []
