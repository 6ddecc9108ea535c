"""Learning until there is nothing more to learn, and what is told on the way."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cgroup_service import running_in
from running import run
from small_service import SERVING, ngrams_of, windows, write_recording

from baseline.cli.learning import Learning, estimated
from baseline.cli.progress import ProgressBar
from baseline.model.completeness import percent
from baseline.model.completeness_accumulator import completeness_of
from baseline.model.storage import load_models
from baseline.window import Ledger, Tally, Window

ENOUGH = 297
"""Windows without anything new after which a workload is complete."""


def changing(workload: str, count: int) -> Iterator[Window]:
    """A service that does something new every other second."""
    for number, window in enumerate(windows(workload, count, 1)):
        calls = [*SERVING, number % 400] if number % 2 else SERVING
        ngrams = ngrams_of(calls, 9)
        yield replace(window, ngrams=ngrams, ledger=Ledger(Tally(ngrams.total, ngrams.total)))


def together(*workloads: Iterator[Window]) -> list[Window]:
    """Their windows, second by second."""
    return [window for second in zip(*workloads, strict=True) for window in second]


def rows(stderr: str) -> list[list[str]]:
    return [line.split() for line in stderr.splitlines()]


def learn(recording: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return run("learn", "--from", recording, "--until-stable", *options, "--out", out)


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recording of ten minutes of two workloads that never do anything new."""
    content = together(windows("web", 600, 1), windows("api", 600, 2))
    return write_recording(tmp_path_factory.mktemp("recordings") / "steady", content)


def test_it_ends_as_soon_as_every_workload_is_complete(steady: Path, tmp_path: Path) -> None:
    done = learn(steady, tmp_path / "models")
    assert (done.returncode, done.stdout) == (0, "")
    _, api, web, head, api_state, web_state, verdict, *_ = rows(done.stderr)
    for learned in (api, web):
        assert ENOUGH <= int(learned[1]) <= ENOUGH * 1.03
    assert head == "workload state new n-grams/h (90%) because".split()
    because = "at most 1.0% of windows show anything new".split()
    assert api_state == ["api", "complete", "0", "(0-24)", *because]
    assert web_state == ["web", "complete", "0", "(0-24)", *because]
    assert verdict == "Stable: every workload is complete.".split()
    assert sorted(load_models(tmp_path / "models")) == ["api", "web"]


def test_one_workload_that_is_not_keeps_it_going(tmp_path: Path) -> None:
    content = together(windows("web", 400, 1), changing("api", 400))
    recording = write_recording(tmp_path / "recording", content)
    done = learn(recording, tmp_path / "models")
    assert done.returncode == 0
    _, api, web, _, api_state, web_state, *_ = rows(done.stderr)
    assert (api[1], web[1]) == ("400", "400")
    assert (api_state[1], web_state[1]) == ("partial", "complete")
    assert " ".join(api_state).endswith(" of windows show new n-grams")
    assert (
        "Not stable: 1 of 2 workloads complete, for the reasons above. Learn longer.\n"
        in done.stderr
    )
    assert max(map(len, done.stderr.splitlines()[:-1])) <= 80


def test_the_duration_is_a_ceiling(steady: Path, tmp_path: Path) -> None:
    done = learn(steady, tmp_path / "models", "--duration", "2m")
    assert done.returncode == 0
    _, api, _, _, api_state, _, verdict, *_ = rows(done.stderr)
    assert api[1] == "120"
    assert " ".join(api_state) == (
        f"api partial 0 (0-58) 120 windows, {ENOUGH} without news are enough"
    )
    assert verdict[:6] == "Not stable: 0 of 2 workloads".split()


def test_who_asks_for_it_can_tell_by_the_exit_code(steady: Path, tmp_path: Path) -> None:
    failing = ("--fail-on", "incomplete")
    short = learn(steady, tmp_path / "short", "--duration", "2m", *failing)
    assert short.returncode == 3
    assert short.stderr.endswith("short: 2 models; nothing lost.\n")
    assert sorted(load_models(tmp_path / "short")) == ["api", "web"]
    assert learn(steady, tmp_path / "long", *failing).returncode == 0
    without = ("learn", "--from", steady, "--duration", "2m", "--out", tmp_path / "without")
    assert run(*without, *failing).returncode == 3


def test_what_was_lost_never_becomes_complete(tmp_path: Path) -> None:
    content = list(windows("web", 400, 1))
    total = content[3].ngrams.total
    content[3] = replace(content[3], ledger=Ledger(Tally(total + 7, total, 0, 7)))
    recording = write_recording(tmp_path / "recording", content)
    done = learn(recording, tmp_path / "models")
    assert done.returncode == 0
    warning, _, web, _, web_state, *_ = rows(done.stderr)
    assert warning[:2] == ["Warning:", "web:"]
    assert web[1] == "400"
    assert web_state[1] == "lossy"
    assert " ".join(web_state[4:]).startswith("7 of ")


def test_without_it_everything_is_learned_and_the_state_is_told(
    steady: Path, tmp_path: Path
) -> None:
    done = run("learn", "--from", steady, "--out", tmp_path / "models")
    assert [row[1] for row in rows(done.stderr)[1:3]] == ["600", "600"]
    assert [row[1] for row in rows(done.stderr)[4:6]] == ["complete", "complete"]
    assert "table:" not in done.stderr


def test_long_names_and_reasons_fit_on_a_narrow_terminal(tmp_path: Path) -> None:
    name = "kubernetes/production/payments-and-refunds/sidecar-proxy"
    recording = write_recording(tmp_path / "recording", list(changing(name, 60)))
    done = learn(recording, tmp_path / "models")
    assert done.returncode == 0
    *tables, _, _, _ = done.stderr.splitlines()
    assert max(map(len, tables)) <= 80
    assert "partial" in done.stderr


def test_the_status_is_that_of_the_least_complete() -> None:
    learning = Learning()
    for window in windows("web", 320, 1):
        learning.add(window)
    assert learning.is_stable
    assert learning.status == "complete, up to 0.9% unseen, 0 new items/h"
    for window in changing("api", 320):
        learning.add(window)
    assert not learning.is_stable
    assert learning.status.startswith("1 of 2 complete, up to ")
    learning.finish()
    worst = learning.completeness["api"]
    assert f"up to {percent(worst.unseen_mass_bound)} unseen" in learning.status


def test_a_model_takes_the_estimate_of_the_same_windows_in_order() -> None:
    seen = list(changing("api", 40))
    learning, backwards = Learning(), Learning()
    for window, last_first in zip(seen, reversed(seen), strict=True):
        learning.add(window)
        backwards.add(last_first)
    learning.finish()
    backwards.finish()
    assert learning.completeness_of(list(seen)) == completeness_of(seen)
    assert learning.completeness_of(seen[1:]) is None
    changed = [replace(seen[0], ngrams=ngrams_of(SERVING, 1)), *seen[1:]]
    assert learning.completeness_of(changed) is None
    assert backwards.completeness_of(backwards.windows["api"]) is None


def test_numbers_have_the_digits_that_mean_something() -> None:
    assert [estimated(n) for n in (0, 0.04, 0.26, 3, 9.96, 12.3, 4745, 36465)] == [
        *("0", "0", "0.3", "3", "10", "12", "4,700", "36,000")
    ]
    assert [percent(share) for share in (0.0099, 0.016, 0.163, 1)] == [
        "1.0%",
        "1.6%",
        "16%",
        "100%",
    ]


def test_on_a_pipe_it_tells_how_far_it_has_come(capsys: pytest.CaptureFixture[str]) -> None:
    status = "10 of 99 complete, up to 100% unseen, 1,200,000 new items/h"
    with ProgressBar("Learning", pause=0) as progress:
        progress.report(status)
    written = capsys.readouterr()
    assert written.err == f"Learning for 0 min: {status}\n"
    assert len(written.err) <= 80
    assert written.out == ""
    with ProgressBar("Learning", pause=60) as progress:
        progress.report(status)
    assert capsys.readouterr().err == ""


# Does the same over and over.
SERVICE = """
import time
join()
while True:
    os.getppid()
    time.sleep(0.0005)
"""


@pytest.mark.kernel
def test_a_service_that_repeats_itself_is_learned_in_seconds(group: str, tmp_path: Path) -> None:
    with running_in(f"{group}/service", SERVICE):
        done = run(
            *("learn", "--cgroup", f"svc={group}/*", "--interval", "10ms", "--until-stable"),
            *("--duration", "60s", "--out", tmp_path / "models"),
        )
    assert done.returncode == 0, done.stderr
    assert "Stable: every workload is complete.\n" in done.stderr
    assert load_models(tmp_path / "models")["svc"].training.windows >= ENOUGH
