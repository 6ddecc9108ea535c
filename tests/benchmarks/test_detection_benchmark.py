import csv
import json
import math
import subprocess
import sys
import tarfile
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import detection
import numpy as np
import ours
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_rows import Attack, Case, Run, shil_cases
from labelled_traces import ADFA_LD_FOLDERS, Trace, call_numbers, read_adfa_ld, read_traces
from peers import (
    POSSIBLE_CALLS,
    ROW_PEERS,
    TRACE_PEERS,
    WITTEN_BELL_ORDER,
    VectorDetector,
    cross_fitted_alarms,
    isolation_forest,
    nearest_neighbours,
    one_class_svm,
    pca,
    stide,
    witten_bell,
)

from baseline.syscalls import ARCHITECTURE, OUT_OF_RANGE, ngram_names, syscall_names

PROGRAM = Path(detection.__file__)
RUNS, ROWS, START, SUCCESS = 4, 40, 30, 33
CALLS = ("read", "write", "close", "execve", "switch")

USUAL = "3 4 5 3 4 5 6 3 4 5"
STRANGE = "3 11 200 201 11 200 3 11"


def write_traces(folder: Path, words: str, number: int) -> None:
    folder.mkdir(parents=True)
    for i in range(number):
        (folder / f"trace-{i}.txt").write_text(f"{words} {' '.join(words.split()[: i % 4])}\n")


def write_adfa_ld(directory: Path) -> None:
    train, normal, attack = (directory / "ADFA-LD" / name for name in ADFA_LD_FOLDERS)
    write_traces(train, USUAL, 12)
    write_traces(normal, USUAL, 6)
    write_traces(attack / "Adduser_1", STRANGE, 3)
    write_traces(attack / "Web_Shell_1", STRANGE, 2)


def write_named_traces(directory: Path) -> None:
    write_traces(directory / "train", "openat read read close", 12)
    write_traces(directory / "normal" / "monday", "openat read read close", 6)
    write_traces(directory / "attack", "execve my_own_call 59 openat", 5)


def write_run(path: Path, rows: np.ndarray) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["timestamp", *(f"{name}[node1]:{i}" for i, name in enumerate(CALLS, 1))])
        writer.writerows([1000 + 100 * i, *row.tolist()] for i, row in enumerate(rows))


def write_shil(directory: Path) -> None:
    """Two CVEs: calls vary between 1 and 9; in the third row of an attack a new one is made."""
    random = np.random.default_rng(0)
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "timing.csv").open("w", newline="") as file:
        timing = csv.writer(file)
        timing.writerow("cve container attack_start_row attack_success_row attack_end_row".split())
        for cve in ("CVE-2020-1", "CVE-2021-22"):
            folder = directory / cve
            folder.mkdir()
            for run in range(1, RUNS + 1):
                rows = np.zeros((ROWS, len(CALLS)), int)
                rows[:, :3] = random.integers(1, 10, (ROWS, 3))
                write_run(folder / f"{cve}-{run}_freqvector.csv", rows)
            for container in (1, 2):
                rows[START + 2, 3] = 1000
                write_run(folder / f"{cve}-{container}_freqvector_test.csv", rows)
                timing.writerow([cve, container, START, SUCCESS, SUCCESS + 1])


def pack_archive(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w:xz") as tar:
        for path in folder.iterdir():
            tar.add(path, path.name)


def traces(*calls: list[int]) -> list[Trace]:
    return [Trace(str(i), np.array(c, np.int64)) for i, c in enumerate(calls)]


# --- figures -------------------------------------------------------------------------------------


def test_figures_of_traces_by_hand() -> None:
    figures = detection.trace_figures(np.arange(10.0), np.array([9, 8.5, 10, 3]))
    # 9 beats 9 and ties with 1; 8.5 beats 9; 10 beats 10; 3 beats 3 and ties with 1: 32 of 40
    assert figures["auc"] == pytest.approx(0.8)
    assert figures["tpr"] == {"0.01": 0.25, "0.05": 0.25, "0.1": 0.75, "0.2": 0.75}


def test_equal_scores_are_alarms_together() -> None:
    figures = detection.trace_figures(np.array([0.0] * 8 + [1.0] * 2), np.array([1.0, 1.0, 2.0]))
    assert figures["tpr"] == {"0.01": 1 / 3, "0.05": 1 / 3, "0.1": 1 / 3, "0.2": 1.0}


def test_outcome_and_figures_of_rows_by_hand() -> None:
    alarms = np.zeros(40, bool)
    alarms[[3, 22, 24, 26]] = True
    early = detection.Outcome.of(alarms, Attack(start=20, success=25))
    assert early == detection.Outcome(1 / 20, 6, pytest.approx(0.3))
    at_success = detection.Outcome.of(alarms, Attack(start=25, success=26))
    assert at_success == detection.Outcome(3 / 25, 2, 0.0)
    missed = detection.Outcome.of(alarms, Attack(start=30, success=39))
    assert missed == detection.Outcome(4 / 30, 10, None)

    figures = detection.row_figures(
        [detection.Outcome(0.2, 2, 0.3), detection.Outcome(0.0, 1, None)]
    )
    assert figures == {
        "fpr": pytest.approx(0.1),
        "detected": 0.5,
        "detected_by_chance": pytest.approx((0.19 + 0.1) / 2),
        "lead_s": pytest.approx(0.15),
        "false_alarms_per_hour": pytest.approx(3600),
    }


# --- peers ---------------------------------------------------------------------------------------

some_calls = st.lists(st.integers(0, 3), max_size=12)
some_traces = st.lists(some_calls, min_size=1, max_size=4)


@given(some_traces.filter(any), some_traces, st.integers(2, 5))
def test_stide_is_the_share_of_unknown_ngrams(
    train: list[list[int]], judged: list[list[int]], length: int
) -> None:
    def ngrams(calls: list[int]) -> list[tuple[int, ...]]:
        return [tuple(calls[i : i + length]) for i in range(len(calls) - length + 1)]

    known = {ngram for calls in train for ngram in ngrams(calls)}
    expected = [
        sum(n not in known for n in ngrams(calls)) / max(len(ngrams(calls)), 1) for calls in judged
    ]
    assert stide(traces(*train), traces(*judged), length).tolist() == pytest.approx(expected)


@given(some_traces.filter(any), some_traces)
def test_witten_bell_is_its_recursion(train: list[list[int]], judged: list[list[int]]) -> None:
    followers: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)

    def contexts(calls: list[int], position: int) -> list[tuple[int, ...]]:
        before = [-1] * WITTEN_BELL_ORDER + calls[:position]
        return [tuple(before[len(before) - order :]) for order in range(WITTEN_BELL_ORDER + 1)]

    for calls in train:
        for i, call in enumerate(calls):
            for context in contexts(calls, i):
                followers[context][call] += 1

    def bits(calls: list[int], position: int) -> float:
        probability = 1 / POSSIBLE_CALLS
        for context in contexts(calls, position):
            seen = followers[context]
            if seen:
                weighed = seen[calls[position]] + len(seen) * probability
                probability = weighed / (seen.total() + len(seen))
        return -math.log2(probability)

    expected = [
        math.fsum(bits(calls, i) for i in range(len(calls))) / max(len(calls), 1)
        for calls in judged
    ]
    assert witten_bell(traces(*train), traces(*judged)).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    "detector",
    [isolation_forest, one_class_svm, partial(nearest_neighbours, neighbours=1), pca],
    ids=["isolation-forest", "one-class-svm", "nearest-neighbour", "pca"],
)
def test_what_lies_outside_scores_higher(detector: VectorDetector) -> None:
    random = np.random.default_rng(0)
    # a line through three dimensions, with some noise
    known = np.linspace(0, 1, 300)[:, None] + random.normal(0, 0.02, (300, 3))
    inside, outside = detector(known, np.array([[0.5, 0.5, 0.5], [1, 0, 1.0]]))
    assert outside > inside


def test_unseen_calls_are_counted_once_each() -> None:
    known = np.array([[1, 0, 0, 2], [0, 0, 0, 1.0]])
    judged = np.array([[5, 0, 0, 0], [1, 3, 9, 0], [0, 0, 1, 1.0]])
    assert ROW_PEERS["unseen-calls"](known, judged).tolist() == [0, 2, 1]


def largest_count(train: np.ndarray, judged: np.ndarray) -> np.ndarray:
    return judged.max(axis=1)


@pytest.mark.parametrize(("rate", "highest_normal"), [(0.1, 90), (0.03, 97), (0.001, 99)])
def test_the_threshold_keeps_the_promised_rate(rate: float, highest_normal: int) -> None:
    """At 3 %, two of 99 normal scores may be as high as an alarm: (1 + 2) / (1 + 99)."""
    counts = np.arange(1, 100)[:, None]
    halves = [Run(str(i), np.arange(len(c)), c) for i, c in enumerate(np.split(counts, [50]))]
    judged = Run("attacked", np.arange(102), np.arange(102)[:, None])
    case = Case("CVE", ["read"], halves, [(judged, Attack(5, 99)), (judged, Attack(5, 101))])
    first, second = cross_fitted_alarms(case, largest_count, rate)
    assert np.flatnonzero(second).tolist() == list(range(highest_normal + 1, 102))
    assert first.tolist() == second[:100].tolist()


# --- data ----------------------------------------------------------------------------------------


def test_names_are_those_of_this_machine_and_unknown_ones_keep_apart() -> None:
    numbers = call_numbers(["read", "switch", "0", "498", "signaldeliver", "execve"])
    known = {name: number for number, name in syscall_names(ARCHITECTURE, compat=False).items()}
    assert numbers["read"] == known["read"]
    assert numbers["execve"] == known["execve"]
    assert (numbers["0"], numbers["498"]) == (0, 498)
    others = {numbers["switch"], numbers["signaldeliver"]}
    assert len(others) == 2
    assert not others & {*known.values(), 0, 498}


def test_a_trace_becomes_the_ngrams_of_a_thread() -> None:
    known = {name: number for number, name in syscall_names(ARCHITECTURE, compat=False).items()}
    trace = Trace("t", np.array([known["read"], known["write"], 5000, known["read"]]))
    (window,) = ours.trace_windows([trace])
    assert {ngram_names(n) for n in window.ngrams.ngrams.tolist()} == {
        ("read",),
        ("read", "write"),
        ("read", "write", "out_of_range"),
        ("read", "write", "out_of_range", "read"),
    }
    assert window.ngrams.total == window.ledger.ngrams.counted == 4
    assert window.end - window.start == window.observed


def test_traces_come_one_after_the_other() -> None:
    first, second = ours.trace_windows(traces([1, 2, 3], [4] * 50))
    assert (first.replica, second.replica) == ("0", "1")
    assert first.end == second.start
    assert second.observed == 50 * ours.CALL_NANOSECONDS


def test_a_row_becomes_single_calls() -> None:
    run = Run("run", np.array([1000, 1100]), np.array([[2, 0], [1, 7]]))
    first, second = ours.row_windows(run, ours.symbols_of(np.array([0, 600])))
    assert first.ngrams.ngrams.tolist() == [1]
    assert first.ngrams.counts.tolist() == [2]
    assert second.ngrams.ngrams.tolist() == [1, OUT_OF_RANGE]
    assert second.ngrams.counts.tolist() == [1, 7]
    assert first.end == second.start == 1_100_000_000
    assert {first.replica, second.replica} == {"run"}


def test_all_traces_are_read(tmp_path: Path) -> None:
    write_adfa_ld(tmp_path)
    data = read_adfa_ld(tmp_path)
    assert [len(part) for part in (data.train, data.normal, data.attack)] == [12, 6, 5]
    assert data.train[0].calls.tolist() == [3, 4, 5, 3, 4, 5, 6, 3, 4, 5]
    assert data.attack[0].name == "Attack_Data_Master/Adduser_1/trace-0.txt"


def test_only_calls_that_were_made_have_columns(tmp_path: Path) -> None:
    write_shil(tmp_path)
    with shil_cases(tmp_path) as files:
        case = files[0].read()
    assert case.cve == "CVE-2020-1"
    assert case.calls == ["read", "write", "close", "execve"]
    assert [len(case.normal), len(case.attacked)] == [RUNS, 2]
    run, attack = case.attacked[1]
    assert run.name == "CVE-2020-1-2_freqvector_test.csv"
    assert (attack.start, attack.success) == (START, SUCCESS)
    assert run.counts.shape == (ROWS, 4)
    assert run.times[:2].tolist() == [1000, 1100]


# --- the program ---------------------------------------------------------------------------------


def judge(dataset: str, data: Path, capsys: pytest.CaptureFixture[str]) -> dict:
    file = data.parent / "figures.json"
    detection.main(["--dataset", dataset, "--data", str(data), "--json", str(file)])
    table = capsys.readouterr().out
    result = json.loads(file.read_text())
    assert set(result) == {"dataset", "methods"}
    assert result["dataset"] == dataset
    assert all(len(line) <= 80 for line in table.splitlines())
    assert all(name in table for name in result["methods"])
    return result["methods"]


@pytest.mark.parametrize(
    ("dataset", "write"), [("adfa-ld", write_adfa_ld), ("traces", write_named_traces)]
)
def test_figures_of_traces(
    dataset: str, write: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "data")
    methods = judge(dataset, tmp_path / "data", capsys)
    assert list(methods) == ["baseline", *TRACE_PEERS]
    for figures in methods.values():
        assert set(figures) == {"auc", "tpr"}
        assert list(figures["tpr"]) == ["0.01", "0.05", "0.1", "0.2"]
    for name in ("baseline", "stide-3", "witten-bell", "nearest-neighbours"):
        assert methods[name] == {"auc": 1.0, "tpr": dict.fromkeys(methods[name]["tpr"], 1.0)}


def test_figures_of_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_shil(tmp_path / "data")
    methods = judge("shil", tmp_path / "data", capsys)
    assert list(methods) == ["baseline", "baseline alerts", *ROW_PEERS]
    keys = ["fpr", "detected", "detected_by_chance", "lead_s", "false_alarms_per_hour"]
    for figures in methods.values():
        assert list(figures) == keys
        assert all(isinstance(figures[key], float) for key in keys)
    for name in ("unseen-calls", "nearest-neighbour", "one-class-svm"):
        assert methods[name]["detected"] == 1.0
    assert methods["unseen-calls"]["fpr"] == 0.0
    assert methods["unseen-calls"]["lead_s"] == pytest.approx(0.1)


def test_false_positives_are_rows_of_ours_as_of_the_peers(tmp_path: Path) -> None:
    """A row of a new call is above the threshold each time; it is told once."""
    write_shil(tmp_path)
    with shil_cases(tmp_path) as files:
        case = files[0].read()
    run, _ = case.attacked[0]
    strange = run.counts.copy()
    strange[5:25:5] = [0, 0, 0, 1000]
    attack = Attack(30, 31)
    alarms = ours.row_alarms(
        replace(case, attacked=[(Run("strange", run.times, strange), attack)]), 0.001
    )
    assert np.flatnonzero(alarms.rows[0][:30]).tolist() == [5, 10, 15, 20]
    assert np.flatnonzero(alarms.alerts[0][:30]).tolist() == [5]


@pytest.mark.parametrize(("dataset", "write"), [("adfa-ld", write_adfa_ld), ("shil", write_shil)])
def test_an_archive_is_as_good_as_its_content(
    dataset: str, write: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "data")
    expected = judge(dataset, tmp_path / "data", capsys)
    (tmp_path / "packed").mkdir()
    if dataset == "shil":
        (tmp_path / "data" / "timing.csv").rename(tmp_path / "packed" / "timing.csv")
    pack_archive(tmp_path / "data", tmp_path / "packed" / "traces.tar.xz")
    assert judge(dataset, tmp_path / "packed", capsys) == expected


def no_folder(data: Path) -> None:
    pass


def empty_folder(data: Path) -> None:
    data.mkdir()


def broken_archive(data: Path) -> None:
    data.mkdir()
    (data / "traces.tar.xz").write_bytes(b"\xfd7zXZ\x00 and no more")


def archive_of_something_else(data: Path) -> None:
    data.mkdir()
    pack_archive(Path(__file__).parent, data / "traces.tar.xz")


def adfa_ld_without_attacks(data: Path) -> None:
    write_adfa_ld(data)
    (data / "ADFA-LD" / "Attack_Data_Master").rename(data / "elsewhere")


def adfa_ld_with_names(data: Path) -> None:
    write_adfa_ld(data)
    (data / "ADFA-LD" / "Training_Data_Master" / "trace-3.txt").write_text("3 4 openat")


def traces_without_normal_ones(data: Path) -> None:
    write_traces(data / "train", USUAL, 3)
    write_traces(data / "attack", STRANGE, 3)


def traces_that_are_empty(data: Path) -> None:
    write_named_traces(data)
    for file in (data / "train").iterdir():
        file.write_text("\n")


def traces_that_are_no_text(data: Path) -> None:
    write_named_traces(data)
    (data / "train" / "trace-1.txt").write_bytes(b"\xff\xfe\x00")


def shil_without_timing(data: Path) -> None:
    write_shil(data)
    (data / "timing.csv").unlink()


def shil_with_another_timing(data: Path) -> None:
    write_shil(data)
    (data / "timing.csv").write_text("cve,container,start,end\nCVE-2020-1,1,5,6\n")


def shil_with_an_attack_that_has_no_time(data: Path) -> None:
    write_shil(data)
    lines = (data / "timing.csv").read_text().splitlines()
    (data / "timing.csv").write_text("\n".join(lines[:-1]) + "\n")


def shil_with_an_attack_after_the_end(data: Path) -> None:
    write_shil(data)
    timing = data / "timing.csv"
    timing.write_text(timing.read_text().replace(f",{SUCCESS},", f",{ROWS},"))


def shil_with_one_normal_run(data: Path) -> None:
    write_shil(data)
    for file in list((data / "CVE-2020-1").glob("*_freqvector.csv"))[1:]:
        file.unlink()


def shil_with_a_torn_run(data: Path) -> None:
    write_shil(data)
    run = data / "CVE-2020-1" / "CVE-2020-1-2_freqvector.csv"
    run.write_text(run.read_text()[:-5])


def shil_with_words_for_counts(data: Path) -> None:
    write_shil(data)
    run = data / "CVE-2020-1" / "CVE-2020-1-2_freqvector.csv"
    run.write_text(run.read_text().replace("1100,", "eleven,"))


def shil_with_other_columns(data: Path) -> None:
    write_shil(data)
    run = data / "CVE-2020-1" / "CVE-2020-1-2_freqvector.csv"
    run.write_text(run.read_text().replace("write", "writev"))


@pytest.mark.parametrize(
    ("dataset", "write", "said"),
    [
        ("adfa-ld", no_folder, "neither Training_Data_Master nor traces.tar.xz"),
        ("adfa-ld", empty_folder, "neither Training_Data_Master nor traces.tar.xz"),
        ("adfa-ld", broken_archive, "cannot be unpacked"),
        ("adfa-ld", archive_of_something_else, "holds no Training_Data_Master"),
        ("adfa-ld", adfa_ld_without_attacks, "There are 0 folders Attack_Data_Master"),
        ("adfa-ld", adfa_ld_with_names, "trace-3.txt holds 'openat'"),
        ("traces", no_folder, "There are no traces (*.txt)"),
        ("traces", traces_without_normal_ones, "There are no traces (*.txt)"),
        ("traces", traces_that_are_empty, "There are no traces (*.txt)"),
        ("traces", traces_that_are_no_text, "trace-1.txt cannot be read as text"),
        ("shil", no_folder, "neither *_freqvector*.csv nor traces.tar.xz"),
        ("shil", shil_without_timing, "holds no timing.csv"),
        ("shil", shil_with_another_timing, "timing.csv cannot be read"),
        ("shil", shil_with_an_attack_that_has_no_time, "no row for CVE-2021-22-2_freq"),
        ("shil", shil_with_an_attack_after_the_end, f"rows {START} to {ROWS} of {ROWS}"),
        ("shil", shil_with_one_normal_run, "CVE-2020-1 has 1 normal runs and 2 attacks"),
        ("shil", shil_with_a_torn_run, "CVE-2020-1-2_freqvector.csv cannot be read"),
        ("shil", shil_with_words_for_counts, "CVE-2020-1-2_freqvector.csv cannot be read"),
        ("shil", shil_with_other_columns, "other columns"),
    ],
)
def test_odd_data_is_one_sentence(
    dataset: str, write: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    write(tmp_path / "data")
    file = tmp_path / "figures.json"
    arguments = ["--dataset", dataset, "--data", str(tmp_path / "data"), "--json", str(file)]
    with pytest.raises(SystemExit) as ended:
        detection.main(arguments)
    message = str(ended.value.code)  # what sys.exit writes to stderr, with exit code 1
    assert said in message
    assert "\n" not in message
    assert not list(tmp_path.glob("*figures.json*"))


def test_the_program_ends_with_one_sentence(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, PROGRAM, "--dataset", "shil", "--data", tmp_path / "nowhere"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1


def test_the_figures_need_a_folder_before_minutes_are_spent(tmp_path: Path) -> None:
    write_named_traces(tmp_path / "data")
    file = tmp_path / "missing" / "figures.json"
    with pytest.raises(SystemExit, match="lies in no folder"):
        detection.main(
            ["--dataset", "traces", "--data", str(tmp_path / "data"), "--json", str(file)]
        )


def test_an_empty_trace_among_others_is_judged(tmp_path: Path) -> None:
    write_named_traces(tmp_path)
    (tmp_path / "normal" / "monday" / "trace-0.txt").write_text("")
    data = read_traces(tmp_path)
    for method in detection.TRACE_METHODS.values():
        scores = method(data.train, [*data.normal, *data.attack])
        assert scores.shape == (11,)
        assert np.isfinite(scores).all()
