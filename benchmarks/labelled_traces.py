"""Data sets of labelled traces: one sequence of system calls a file, normal or of an attack."""

import lzma
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import numpy as np
import numpy.typing as npt

from baseline.errors import BaselineError
from baseline.syscalls import ARCHITECTURE, syscall_names

ARCHIVE = "traces.tar.xz"

ADFA_LD_FOLDERS = ("Training_Data_Master", "Validation_Data_Master", "Attack_Data_Master")
TRACES_FOLDERS = ("train", "normal", "attack")

Words = dict[str, list[str]]
"""What is written in each file of a folder, by its path in there."""


class DataError(BaselineError):
    """The data set is missing, incomplete, or not in the layout that was asked for."""


@dataclass(frozen=True)
class Trace:
    """The system calls of one process, in their order.

    Attributes:
        name: its file.
        calls: system-call numbers, shape (n,).
    """

    name: str
    calls: npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelledTraces:
    """A data set: normal traces to learn from, and normal ones and attacks to judge."""

    train: Sequence[Trace]
    normal: Sequence[Trace]
    attack: Sequence[Trace]


def read_adfa_ld(directory: Path) -> LabelledTraces:
    """Read ADFA-LD (Creech and Hu, 2013) in its original layout, which holds i386 numbers.

    Args:
        directory: folder of the three ``*_Data_Master`` folders, any folder above it, or the folder
            of ``traces.tar.xz`` with them inside.

    Raises:
        DataError: it is not there or not such data.
    """
    with data_folder(directory, ADFA_LD_FOLDERS[0]) as folder:
        parts = [_words(_only(folder, name)) for name in ADFA_LD_FOLDERS]
    for words in parts:
        for name, trace in words.items():
            if odd := [word for word in trace if not _is_number(word)]:
                raise DataError(
                    f"{name} holds {odd[0][:20]!r}, and ADFA-LD has system-call numbers alone",
                    "Use --dataset traces for traces with names",
                )
    return _labelled(parts)


def read_traces(directory: Path) -> LabelledTraces:
    """Read DIR/{train,normal,attack}/**/*.txt: names or numbers of calls, separated by blanks.

    Raises:
        DataError: it is not there or not such data.
    """
    return _labelled([_words(directory / name) for name in TRACES_FOLDERS])


@contextmanager
def data_folder(directory: Path, marker: str) -> Iterator[Path]:
    """The folder to search for a data set, unpacked for the time of the context where needed.

    Args:
        directory: what the user named.
        marker: glob of a name that is somewhere below it, or else in its ``traces.tar.xz``.

    Raises:
        DataError: it is in neither.
    """
    archive = directory / ARCHIVE
    if any(directory.rglob(marker)):
        yield directory
    elif not archive.is_file():
        raise DataError(
            f"{directory} holds neither {marker} nor {ARCHIVE}",
            "Give --data the folder with the data set in its original layout",
        )
    else:
        with tempfile.TemporaryDirectory() as unpacked:
            try:
                with tarfile.open(archive, "r:xz") as tar:
                    _unpack(tar, Path(unpacked).resolve())
            except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as cause:
                raise DataError(
                    f"{archive} cannot be unpacked: {cause}", "Fetch it again, or free some space"
                ) from cause
            if not any(Path(unpacked).rglob(marker)):
                raise DataError(f"{archive} holds no {marker}", "Give --data another folder")
            yield Path(unpacked)


def call_numbers(words: Iterable[str]) -> dict[str, int]:
    """System-call numbers of names on this machine; numbers are themselves.

    A name that this machine does not know gets a number of its own.
    """
    known = {name: number for number, name in syscall_names(ARCHITECTURE, compat=False).items()}
    distinct = set(words)
    numbers = {word: int(word) for word in distinct if _is_number(word)}
    numbers |= {word: known[word] for word in distinct if word in known}
    taken = {*known.values(), *numbers.values()}
    free = (number for number in count() if number not in taken)
    return numbers | dict(zip(sorted(distinct - numbers.keys()), free, strict=False))


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) < 10


def _only(folder: Path, name: str) -> Path:
    found = [path for path in folder.rglob(name) if path.is_dir()]
    if len(found) != 1:
        raise DataError(
            f"There are {len(found)} folders {name} and not one", "Give --data one whole data set"
        )
    return found[0]


def _words(folder: Path) -> Words:
    files = sorted(folder.rglob("*.txt"))
    words = {}
    for file in files:
        try:
            words[str(file.relative_to(folder.parent))] = file.read_text("utf-8").split()
        except (OSError, UnicodeDecodeError) as cause:
            raise DataError(
                f"{file} cannot be read as text: {cause}", "Mend or remove it"
            ) from cause
    if not any(words.values()):
        raise DataError(
            f"There are no traces (*.txt) in {folder}",
            "Give --data a folder in the layout that the benchmark describes",
        )
    return words


def _labelled(parts: Sequence[Words]) -> LabelledTraces:
    traces = chain.from_iterable(words.values() for words in parts)
    numbers = call_numbers(chain.from_iterable(traces))
    return LabelledTraces(
        *(
            [
                Trace(name, np.array([numbers[word] for word in trace], np.int64))
                for name, trace in words.items()
            ]
            for words in parts
        )
    )


def _unpack(tar: tarfile.TarFile, folder: Path) -> None:
    """Unpack the files that belong into the folder.

    Python has a filter for that from 3.11.4 on; Debian 12 has 3.11.2.
    """
    for member in tar:
        target = (folder / member.name).resolve()
        content = tar.extractfile(member) if member.isfile() else None
        if content and target.is_relative_to(folder):
            target.parent.mkdir(parents=True, exist_ok=True)
            with content, target.open("wb") as file:
                shutil.copyfileobj(content, file)
