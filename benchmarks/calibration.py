"""Promised against observed: alerts for each alert of the budget, and new items an hour.

    sudo .venv/bin/python benchmarks/calibration.py [--minutes 40] [--shil DIR] [--json FILE]
    .venv/bin/python benchmarks/calibration.py --recording DIR ... [--shil DIR] [--json FILE]

All of it is normal time, so every alert is a false one.

- services: nginx, redis and PostgreSQL under changing load (benchmarks/changing_load.py), recorded
  here or given. The first half is learned, the second watched.
- shil: for each CVE the normal runs are learned, and of each attacked run watched what comes before
  the attack. "replica" is the same for a container that learning never saw: all but the last one
  are learned, and that one is watched.
- sighted: services again, with each window's new items sighted before it, one by one in any order,
  as `baseline watch` sees them live.  All of them: the kernel sends a first sight only once.

Alerts come from the same Detector that `baseline watch` uses, with budgets that promise 5, 10, 20
and 40 of them in the time watched. New items: the first 20, 40 and 60 % of all normal time are
learned, and the 20 % that follow predicted.
"""

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import NamedTuple

import changing_load
import numpy as np
from labelled_rows import Case, shil_cases
from labelled_traces import call_numbers
from ours import row_windows, symbols_of

from baseline.alerts.detector import Detector
from baseline.durable import new_file
from baseline.errors import BaselineError
from baseline.model.budget import Budget
from baseline.model.completeness_accumulator import completeness_of
from baseline.model.score import Item
from baseline.model.workload_model import WorkloadModel
from baseline.recordings.reader import Recording
from baseline.recordings.replay import replay
from baseline.sighting import Observation, Sighting
from baseline.window import Histogram, Window

PROMISES = (5, 10, 20, 40)
"""Alerts that the budgets promise for the time watched."""

LEARNED_SHARES = (0.2, 0.4, 0.6)
PREDICTED_SHARE = 0.2

LEAST_RATIO, MOST_RATIO = 0.3, 2
"""Within these a promise is taken as kept."""

SUM = "all"
HOUR = 3600


Runs = Sequence[Sequence[Window]]


class Split(NamedTuple):
    """Normal windows of one workload, one replica at a time, in order of time.

    Attributes:
        data: the data set.
        workload: its name there.
        learned: windows to learn from.
        watched: windows to judge.
    """

    data: str
    workload: str
    learned: Sequence[Window]
    watched: Sequence[Window]

    @classmethod
    def of(cls, data: str, workload: str, learned: Runs, watched: Runs) -> "Split":
        """Both parts put together from runs."""
        return cls(data, workload, in_order(*learned), in_order(*watched))


class Alerts(NamedTuple):
    """What a budget promised for the time watched, and what came."""

    data: str
    workload: str
    promised: int
    observed: int

    @property
    def ratio(self) -> float:
        """Alerts observed for each that was promised."""
        return self.observed / self.promised


class Prediction(NamedTuple):
    """New items an hour: the interval that was predicted, and what came.

    Attributes:
        data, workload, signal: of what.
        learned: share of the recording that was learned.
        low, high: the interval.
        observed: in the time that followed.
    """

    data: str
    workload: str
    signal: str
    learned: float
    low: float
    high: float
    observed: float

    @property
    def inside(self) -> bool:
        """Whether the prediction holds."""
        return self.low <= self.observed <= self.high


def service_splits(recordings: Iterable[Path]) -> Iterator[Split]:
    """The first and the second half of each workload that was recorded.

    Raises:
        RecordingError: a recording cannot be read.
    """
    recorded = defaultdict(list)
    for window in replay([Recording(path) for path in recordings]):
        recorded[window.workload].append(window)
    for workload, windows in sorted(recorded.items()):
        half = len(windows) // 2
        yield Split("services", workload, windows[:half], windows[half:])


def shil_splits(folder: Path) -> Iterator[Split]:
    """Two splits of each CVE: later times of the same containers, and another container.

    Raises:
        DataError: there is no such data.
    """
    with shil_cases(folder) as cases:
        for files in cases:
            yield from splits_of_case(files.read())


def splits_of_case(case: Case) -> Iterator[Split]:
    """The same of one CVE, whose containers have equal shares of the normal runs, in order."""
    numbers = call_numbers(case.calls)
    symbols = symbols_of(np.array([numbers[name] for name in case.calls]))
    normal = [row_windows(run, symbols) for run in case.normal]
    before = [row_windows(run, symbols)[: attack.start] for run, attack in case.attacked]
    yield Split.of("shil", case.cve, normal, before)
    last = len(normal) - len(normal) // len(before)
    yield Split.of("replica", case.cve, normal[:last], [*normal[last:], before[-1]])


def sighted(split: Split) -> list[Observation]:
    """What is watched, with first sights before each window."""
    known = items_of(split.learned)
    chance = np.random.default_rng(1)
    observed: list[Observation] = []
    for window in split.watched:
        items = [i for h, those in items_of([window]).items() for i in those if i not in known[h]]
        moments = window.start + chance.random(len(items)) * (window.end - window.start)
        observed += [
            Sighting(window.workload, window.replica, int(moment), item, None)
            for moment, item in sorted(zip(moments, items, strict=True), key=itemgetter(0))
        ]
        observed.append(window)
    return observed


def alerts(split: Split, observed: Sequence[Observation] | None = None) -> list[Alerts]:
    """Learn, and watch with each of the budgets; ``observed`` instead of the windows alone."""
    learned = WorkloadModel.fit(split.learned)
    rows = []
    for promised in PROMISES:
        model = learned.with_budget(Budget.of_rate(promised / seconds(split.watched)))
        detector = Detector({model.workload: model})
        for observation in observed or split.watched:
            detector.observe(observation)
        rows.append(Alerts(split.data, split.workload, promised, detector.alerts))
    return rows


def predictions(split: Split) -> list[Prediction]:
    """Learn more and more, and each time predict what follows, for each signal that there is."""
    windows = in_order(split.learned, split.watched)
    occurring = [histogram for histogram, items in items_of(windows).items() if items]
    rows = []
    for share in LEARNED_SHARES:
        now, then = (round(len(windows) * part) for part in (share, share + PREDICTED_SHARE))
        learned, ahead = windows[:now], windows[now:then]
        completeness = completeness_of(learned)
        known, met = items_of(learned), items_of(ahead)
        hours = seconds(ahead) / HOUR
        for histogram in occurring:
            new = completeness.signals[histogram].new_items(hours * HOUR)
            rates = (n / hours for n in (new.low, new.high, len(met[histogram] - known[histogram])))
            rows.append(Prediction(split.data, split.workload, histogram.value, share, *rates))
    return sorted(rows, key=attrgetter("signal", "learned"))


def items_of(windows: Iterable[Window]) -> dict[Histogram, set[Item]]:
    """The distinct items of each histogram."""
    items: dict[Histogram, set[Item]] = {histogram: set() for histogram in Histogram}
    for window in windows:
        items[Histogram.NGRAMS].update(window.ngrams.ngrams.tolist())
        items[Histogram.EXECUTIONS].update(window.executions)
        items[Histogram.CONNECTIONS].update(window.connections)
    return items


def in_order(*parts: Iterable[Window]) -> list[Window]:
    """All of them in order of time."""
    return sorted(chain(*parts), key=attrgetter("end"))


def seconds(windows: Iterable[Window]) -> float:
    """Time in which windows of one replica were observed."""
    return sum(window.observed for window in windows) / 1e9


def with_sums(rows: Sequence[Alerts]) -> list[Alerts]:
    """The rows by data set, and after each set the sums over its workloads."""
    by_data: dict[str, list[Alerts]] = defaultdict(list)
    for row in rows:
        by_data[row.data].append(row)
    for data, its in by_data.items():
        by_promise = [[row for row in its if row.promised == promised] for promised in PROMISES]
        its += [
            Alerts(data, SUM, promised * len(those), sum(row.observed for row in those))
            for promised, those in zip(PROMISES, by_promise, strict=True)
        ]
    return list(chain.from_iterable(by_data.values()))


def print_alerts(rows: Sequence[Alerts]) -> None:
    print("Alerts observed, and how many for each that was promised to a workload")
    print(f"{'data':10}{'workload':17}" + "".join(f"{f'{n} promised':>13}" for n in PROMISES))
    for (data, workload), cells in groupby(rows, key=attrgetter("data", "workload")):
        figures = "".join(f"{cell.observed:8} {cell.ratio:4.2f}" for cell in cells)
        print(f"{data:10}{workload[:16]:17}{figures}")
    for name, ratios in (
        ("of the workloads", [row.ratio for row in rows if row.workload != SUM]),
        ("of the sums", [row.ratio for row in rows if row.workload == SUM]),
    ):
        kept = sum(LEAST_RATIO <= ratio <= MOST_RATIO for ratio in ratios)
        print(
            f"{kept} of {len(ratios)} {name} are {LEAST_RATIO} to {MOST_RATIO} times the promise, "
            f"at most {max(ratios):.2f}"
        )


def print_predictions(rows: Sequence[Prediction]) -> None:
    print("New items an hour: predicted, and observed (* outside)")
    heads = "".join(f"{f'{share:.0%} learned':>17}" for share in LEARNED_SHARES)
    print(f"{'workload':16}{'signal':12}{heads}")
    for (workload, signal), cells in groupby(rows, key=attrgetter("workload", "signal")):
        texts = [
            f"{short(row.low)}-{short(row.high)} {short(row.observed)}{' ' if row.inside else '*'}"
            for row in cells
        ]
        print(f"{workload[:15]:16}{signal:12}" + "".join(f"{text:>17}" for text in texts))
    for data, cells in groupby(rows, key=attrgetter("data")):
        kept = [row.inside for row in cells]
        print(f"{data}: {sum(kept)} of {len(kept)} are inside ({np.mean(kept):.0%})")


def short(number: float) -> str:
    """A number in at most five characters, up to millions."""
    return f"{number:.0f}" if number < 10_000 else f"{number / 1000:.0f}k"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=40, help="to record, at least 20")
    parser.add_argument("--recording", type=Path, nargs="+", metavar="DIR", help="use these")
    parser.add_argument("--shil", type=Path, metavar="DIR", help="that data set, too")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    try:
        run(arguments)
    except BaselineError as error:
        sys.exit(str(error))


def run(arguments: argparse.Namespace) -> None:
    if not arguments.recording:
        print(
            f"Recording nginx, redis and PostgreSQL here for {arguments.minutes:g} minutes; "
            "--recording takes what was recorded before",
            file=sys.stderr,
        )
    with tempfile.TemporaryDirectory() as folder:
        recordings = arguments.recording or changing_load.record(
            arguments.minutes, Path(folder) / "recording"
        )
        splits = service_splits(recordings)
        if arguments.shil:
            splits = chain(splits, shil_splits(arguments.shil))
        told: list[Alerts] = []
        came: list[Prediction] = []
        for split in splits:
            print(f"{split.data} {split.workload}", file=sys.stderr)
            told += alerts(split)
            if split.data == "services":
                told += alerts(split._replace(data="sighted"), sighted(split))
            if split.data != "replica":
                came += predictions(split)
    told = with_sums(told)
    print_alerts(told)
    print()
    print_predictions(came)
    if arguments.json:
        result = {
            "alerts": [row._asdict() | {"ratio": row.ratio} for row in told],
            "new_items_per_hour": [row._asdict() | {"inside": row.inside} for row in came],
        }
        with new_file(arguments.json) as file:
            file.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
