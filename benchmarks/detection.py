"""How well attacks are told from normal time, by baseline and by its peers, on data of others.

    .venv/bin/python benchmarks/detection.py --dataset adfa-ld|shil|traces --data DIR [--json FILE]

adfa-ld   Training_Data_Master, Validation_Data_Master and Attack_Data_Master of ADFA-LD
shil      CVE-*/CVE-N_freqvector[_test].csv of the SHIL data, and timing.csv
traces    DIR/{train,normal,attack}/**/*.txt, names or numbers of system calls, one trace a file

DIR is the folder of these, for the first two also one above it, or one with them in traces.tar.xz.

Every method learns from normal data alone, the same for all.  Traces get a score each: the area
under the ROC curve, and the share of attacks above a threshold that at most 1, 5, 10 and 20 % of
the normal traces exceed.  Rows of shil get an alarm or none, by a threshold that each method takes
from training alone (PROMISED_RATE); so does baseline, and beside it stand the alerts that it tells,
which are fewer: it tells of one thing once in ten minutes.  Following the authors, the rows before
an attack give the false-positive rate, an attack is detected if there is an alarm between its start
and its success, and the lead time is what remains until success from the first of these: 0 where
there is none.
Beside that stands how many attacks alarms at that rate would have hit by chance, if each came
independently of the others.

Needs the packages of the extra ``benchmarks`` (pip install -e '.[benchmarks]').
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import ours
from labelled_rows import ROW_SECONDS, Attack, Case, shil_cases
from labelled_traces import LabelledTraces, read_adfa_ld, read_traces
from peers import ROW_PEERS, TRACE_PEERS, Floats, TraceDetector, cross_fitted_alarms
from sklearn.metrics import roc_auc_score, roc_curve

from baseline.durable import new_file
from baseline.errors import BaselineError, OutputError

FALSE_POSITIVE_RATES = (0.01, 0.05, 0.1, 0.2)

PROMISED_RATE = 0.001
"""False alarms a row that the peers' thresholds promise: 36 an hour."""

OURS = "baseline"
OUR_ALERTS = "baseline alerts"
"""Told, and not rows above the threshold as those of all others: see ``ours.RowAlarms``."""

Alarms = Sequence[npt.NDArray[np.bool_]]
Figures = dict[str, Any]
"""What the JSON holds of one method."""

TRACE_METHODS: dict[str, TraceDetector] = {OURS: ours.trace_scores, **TRACE_PEERS}


def row_alarms(case: Case) -> dict[str, Alarms]:
    """Alarms of every method, ours first."""
    alarms = ours.row_alarms(case, PROMISED_RATE)
    peers = {
        name: cross_fitted_alarms(case, detector, PROMISED_RATE)
        for name, detector in ROW_PEERS.items()
    }
    return {OURS: alarms.rows, OUR_ALERTS: alarms.alerts, **peers}


@dataclass(frozen=True)
class Outcome:
    """What the alarms of one method were worth on one attacked run.

    Attributes:
        false_positive_rate: share of the rows before the attack that are alarms.
        rows: rows from its start to its success, both included.
        lead: seconds from the first alarm among these to the success; ``None`` without any.
    """

    false_positive_rate: float
    rows: int
    lead: float | None

    @classmethod
    def of(cls, alarms: npt.NDArray[np.bool_], attack: Attack) -> "Outcome":
        """Judge alarms of the rows of a run, at least up to the success of its attack."""
        hits = np.flatnonzero(alarms[attack.start : attack.success + 1])
        rows = attack.success + 1 - attack.start
        return cls(
            false_positive_rate=float(alarms[: attack.start].mean()),
            rows=rows,
            lead=(rows - 1 - int(hits[0])) * ROW_SECONDS if len(hits) else None,
        )


def trace_figures(normal: Floats, attack: Floats) -> Figures:
    """Area under the ROC curve, and true-positive rates at false-positive rates of at most ...

    A score above a threshold is an alarm, so that equal scores are alarms together or not at all.
    """
    is_attack = np.repeat([0, 1], [len(normal), len(attack)])
    scores = np.concatenate([normal, attack])
    false, true, _ = roc_curve(is_attack, scores, drop_intermediate=False)
    return {
        "auc": float(roc_auc_score(is_attack, scores)),
        "tpr": {str(rate): float(true[false <= rate].max()) for rate in FALSE_POSITIVE_RATES},
    }


def row_figures(outcomes: Sequence[Outcome]) -> Figures:
    """Means over attacked runs, of one CVE or of all."""
    rate = float(np.mean([o.false_positive_rate for o in outcomes]))
    by_chance = [1 - (1 - rate) ** outcome.rows for outcome in outcomes]
    return {
        "fpr": rate,
        "detected": float(np.mean([outcome.lead is not None for outcome in outcomes])),
        "detected_by_chance": float(np.mean(by_chance)),
        "lead_s": math.fsum(outcome.lead or 0 for outcome in outcomes) / len(outcomes),
        "false_alarms_per_hour": rate * 3600 / ROW_SECONDS,
    }


def compare_on_traces(data: LabelledTraces) -> dict[str, Figures]:
    """Figures of every method, ours first."""
    judged = [*data.normal, *data.attack]
    figures = {}
    for name, method in TRACE_METHODS.items():
        began = time.monotonic()
        normal, attack = np.split(method(data.train, judged), [len(data.normal)])
        figures[name] = trace_figures(normal, attack)
        say(f"{name}: {time.monotonic() - began:.1f} s")
    return figures


def compare_on_rows(directory: Path) -> dict[str, dict[str, list[Outcome]]]:
    """Outcomes of every method, ours first, by CVE."""
    outcomes: dict[str, dict[str, list[Outcome]]] = {}
    with shil_cases(directory) as cases:
        for number, files in enumerate(cases, 1):
            began = time.monotonic()
            case = files.read()
            for name, alarms in row_alarms(case).items():
                outcomes.setdefault(name, {})[case.cve] = [
                    Outcome.of(of_run, attack)
                    for of_run, (_, attack) in zip(alarms, case.attacked, strict=True)
                ]
            say(f"{case.cve} ({number} of {len(cases)}): {time.monotonic() - began:.1f} s")
    return outcomes


def say(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


def trace_table(data: LabelledTraces, methods: dict[str, Figures]) -> list[str]:
    rates = "".join(f"{rate:10.0%}" for rate in FALSE_POSITIVE_RATES)
    lines = [
        f"{len(data.train)} traces to learn from, {len(data.normal)} normal ones and "
        f"{len(data.attack)} attacks to judge",
        f"{'':33}attacks found at false positives of at most",
        f"{'':20}{'AUC':>10}{rates}",
    ]
    for name, figures in methods.items():
        found = "".join(f"{rate:10.1%}" for rate in figures["tpr"].values())
        lines.append(f"{name:20}{figures['auc']:10.3f}{found}")
    return lines


def row_table(
    outcomes: dict[str, dict[str, list[Outcome]]], methods: dict[str, Figures]
) -> list[str]:
    runs = sum(map(len, outcomes[OURS].values()))
    columns = f"{'false':>10}{'an hour':>10}{'detected':>12}{'by chance':>12}{'lead':>10}"
    return [
        f"{len(outcomes[OURS])} CVEs, {runs} attacked containers, means over these",
        f"{'':20}{columns}",
        *(f"{name:20}{_row_columns(figures)}" for name, figures in methods.items()),
        f"Counted are rows above the threshold, and of {OUR_ALERTS!r} what is told.",
        "",
        f"{OURS + ' by CVE':20}{columns}",
        *(f"{cve:20}{_row_columns(row_figures(runs))}" for cve, runs in outcomes[OURS].items()),
    ]


def _row_columns(figures: Figures) -> str:
    return (
        f"{figures['fpr']:10.3%}{figures['false_alarms_per_hour']:10.1f}"
        f"{figures['detected']:12.1%}{figures['detected_by_chance']:12.1%}"
        f"{figures['lead_s']:8.1f} s"
    )


def compare(dataset: str, directory: Path) -> tuple[dict[str, Figures], list[str]]:
    """Fit and judge all methods: their figures, ours first, and the table of these."""
    if dataset == "shil":
        outcomes = compare_on_rows(directory)
        methods = {
            name: row_figures([outcome for of_cve in by_cve.values() for outcome in of_cve])
            for name, by_cve in outcomes.items()
        }
        return methods, row_table(outcomes, methods)
    data = (read_adfa_ld if dataset == "adfa-ld" else read_traces)(directory)
    methods = compare_on_traces(data)
    return methods, trace_table(data, methods)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", required=True, choices=["adfa-ld", "shil", "traces"])
    parser.add_argument("--data", required=True, type=Path, metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    try:
        if options.json and not options.json.absolute().parent.is_dir():
            raise OutputError(f"{options.json} lies in no folder", "Create the folder first")
        methods, table = compare(options.dataset, options.data)
        try:
            if options.json:
                with new_file(options.json) as file:
                    result = {"dataset": options.dataset, "methods": methods}
                    file.write_text(json.dumps(result, indent=2) + "\n")
        finally:  # neither a full disk nor a closed pipe takes the other's figures
            print("\n".join(table))
    except BaselineError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
