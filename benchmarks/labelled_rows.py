"""Data sets of labelled rows: system calls of a container counted every 0.1 s, attacked at a time.

The layout is that of the traces of CDL (Lin et al., ACSAC 2020) and SHIL (Lin et al., ACSOS 2022):
for each CVE some normal runs ``CVE-N_freqvector.csv`` and some with an attack
``CVE-N_freqvector_test.csv``; a row is milliseconds since the epoch and a count for each call.
``timing.csv`` has the rows, counted from zero, at which an attack starts and has succeeded.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
from labelled_traces import DataError, data_folder

ROW_SECONDS = 0.1

_FILE = re.compile(r"(?P<cve>.+)-(?P<container>\d+)_freqvector(?P<test>_test)?\.csv")
_LEAST_RUNS = 2  # a threshold comes from runs that a detector did not learn from

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Attack:
    """When an attack happens, in rows of its run.

    Attributes:
        start: the first row of it; all before are normal.
        success: the row in which it has succeeded.
    """

    start: int
    success: int


@dataclass(frozen=True)
class Run:
    """One container, watched from beginning to end.

    Attributes:
        name: its file.
        times: starts of the rows in milliseconds since the epoch, shape (rows,).
        counts: calls in each row, shape (rows, calls).
    """

    name: str
    times: Integers
    counts: Integers


@dataclass(frozen=True)
class Case:
    """One CVE.

    Attributes:
        cve: its name.
        calls: names of the columns; calls that no run ever made have none.
        normal: the runs to learn from.
        attacked: the runs to judge, each with its attack.
    """

    cve: str
    calls: Sequence[str]
    normal: Sequence[Run]
    attacked: Sequence[tuple[Run, Attack]]


@dataclass
class CaseFiles:
    """The files of one CVE, which are too large to be read all at once."""

    cve: str
    normal: dict[int, Path] = field(default_factory=dict)
    attacked: dict[int, tuple[Path, Attack]] = field(default_factory=dict)

    def read(self) -> Case:
        """Read them.

        Raises:
            DataError: one is damaged, or they do not belong together.
        """
        files = [path for _, path in sorted(self.normal.items())]
        attacks = [attack for _, (_, attack) in sorted(self.attacked.items())]
        files += [path for _, (path, _) in sorted(self.attacked.items())]
        names, first = _read(files[0])
        tables = [first]
        for file in files[1:]:
            others, table = _read(file)
            if others != names:
                raise DataError(f"{file} has other columns than {files[0]}", "Fetch both again")
            tables.append(table)
        used = np.any([table[:, 1:].any(axis=0) for table in tables], axis=0)
        runs = [
            Run(file.name, table[:, 0], table[:, 1:][:, used])
            for file, table in zip(files, tables, strict=True)
        ]
        attacked = list(zip(runs[len(self.normal) :], attacks, strict=True))
        for run, attack in attacked:
            if not 0 < attack.start <= attack.success < len(run.times):
                raise DataError(
                    f"timing.csv has the attack on {run.name} in rows {attack.start} to "
                    f"{attack.success} of {len(run.times)}",
                    "Give --data a timing.csv that belongs to the runs",
                )
        calls = [name for name, is_used in zip(names, used, strict=True) if is_used]
        return Case(self.cve, calls, runs[: len(self.normal)], attacked)


@contextmanager
def shil_cases(directory: Path) -> Iterator[list[CaseFiles]]:
    """Find the CVEs of a data set, by name.

    Args:
        directory: folder of the CVEs' folders, any folder above it, or the folder of
            ``traces.tar.xz`` with them inside; ``timing.csv`` lies in it or beside the CVEs.

    Raises:
        DataError: it is not there or not such data.
    """
    with data_folder(directory, "*_freqvector*.csv") as folder:
        timings = [*folder.rglob("timing.csv"), *directory.rglob("timing.csv")]
        if not timings:
            raise DataError(f"{directory} holds no timing.csv", "Put it beside the runs")
        yield _grouped(sorted(folder.rglob("*_freqvector*.csv")), _read_timing(timings[0]))


def _grouped(files: Sequence[Path], attacks: Mapping[tuple[str, int], Attack]) -> list[CaseFiles]:
    cases: dict[str, CaseFiles] = {}
    for file in files:
        match = _FILE.fullmatch(file.name)
        if match is None:
            raise DataError(f"{file} is named like no run of a CVE", "Rename or remove it")
        cve, container = match["cve"], int(match["container"])
        case = cases.setdefault(cve, CaseFiles(cve))
        if container in (case.attacked if match["test"] else case.normal):
            raise DataError(f"{file.name} is there twice", "Give --data one data set")
        if not match["test"]:
            case.normal[container] = file
        elif (cve, container) in attacks:
            case.attacked[container] = file, attacks[cve, container]
        else:
            raise DataError(f"timing.csv has no row for {file.name}", "Add its attack")
    for case in cases.values():
        if len(case.normal) < _LEAST_RUNS or not case.attacked:
            raise DataError(
                f"{case.cve} has {len(case.normal)} normal runs and {len(case.attacked)} attacks",
                f"Give it at least {_LEAST_RUNS} normal runs and an attack, or remove it",
            )
    return [cases[cve] for cve in sorted(cases)]


def _read_timing(path: Path) -> dict[tuple[str, int], Attack]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return {
                (row["cve"], int(row["container"])): Attack(
                    int(row["attack_start_row"]), int(row["attack_success_row"])
                )
                for row in csv.DictReader(file)
            }
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as cause:
        raise DataError(
            f"{path} cannot be read: {cause!r}",
            "It needs the columns cve, container, attack_start_row and attack_success_row",
        ) from cause


def _read(path: Path) -> tuple[list[str], Integers]:
    """Names of the calls, and the rows with their time in front."""
    try:
        table = pyarrow.csv.read_csv(path)
        whole = table.cast(pa.schema([(name, pa.int64()) for name in table.column_names]))
    except (OSError, pa.ArrowException) as cause:
        raise DataError(f"{path} cannot be read: {cause}", "Fetch it again") from cause
    if not whole.num_rows or any(column.null_count for column in whole.columns):
        raise DataError(f"{path} has no rows, or gaps in them", "Fetch it again")
    rows = np.column_stack([column.to_numpy() for column in whole.columns])
    if (rows < 0).any():
        raise DataError(f"{path} has negative counts", "Fetch it again")
    return [name.split("[")[0] for name in table.column_names[1:]], rows
