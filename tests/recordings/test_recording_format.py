import dataclasses
import json
import re
from pathlib import Path

import duckdb
import numpy as np
import pytest

from baseline.recordings import RecordingWriter
from baseline.recordings.format import (
    FORMAT_VERSION,
    HEADER_FILE,
    PARTS_FILE,
    SCHEMAS,
    FormatError,
    Header,
    OtherVersionError,
    Part,
    PartFile,
    part_path,
    utc_date,
)
from baseline.syscalls import KIND_FOLDED, KIND_IO_URING, KIND_SHIFT
from baseline.window import Connection, Ledger, NgramCounts, Tally, Window

PAGE = Path(__file__).parents[2] / "docs" / "recording-format.md"
HEADER = Header("x86_64", "6.1.0-13-amd64", "web/1 ü", 2.5, "2026-11-22T17:00:00+00:00")
END = 1_795_392_000_000_000_000  # 2026-11-23 00:00 UTC
PART = Part(
    7,
    {
        table: PartFile(part_path(table, END, "web1", 7), rows, 100 + rows, "ab" * 32)
        for rows, table in enumerate(SCHEMAS)
    },
)


def edited_header(**changes: object) -> bytes:
    return json.dumps(json.loads(HEADER.to_json()) | changes).encode()


def test_the_header_is_read_as_written() -> None:
    assert Header.from_json(HEADER.to_json()) == HEADER


def test_the_header_names_the_calls() -> None:
    content = json.loads(HEADER.to_json())
    assert content["syscalls"]["257"] == "openat"
    assert content["compat_syscalls"]["5"] == "open"
    assert content["io_uring_opcodes"]["18"] == "openat"
    assert (content["ngram_length"], content["symbol_bits"]) == (6, 10)


@pytest.mark.parametrize(
    "changes",
    [{"version": 2}, {"version": "new"}, {"ngram_length": 7}, {"architecture": "pdp11"}],
)
def test_other_versions_are_told_apart(changes: dict[str, object]) -> None:
    with pytest.raises(OtherVersionError):
        Header.from_json(edited_header(**changes))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"format": ' + b"9" * 5000 + b"}",
        edited_header(format="another"),
        edited_header(interval=0.0),
        edited_header(interval=float("nan")),
        edited_header(interval=1e999),
        edited_header(interval="1"),
        edited_header(node=None),
        edited_header(node="\udcff"),
        edited_header(architecture=["x86_64"]),
        HEADER.to_json().replace(b'"kernel"', b'"kernal"'),
    ],
)
def test_damaged_headers_are_refused(content: bytes) -> None:
    with pytest.raises(FormatError):
        Header.from_json(content)


def test_a_line_is_read_as_written() -> None:
    assert Part.from_line(PART.to_line(), 7, "web1") == PART


@pytest.mark.parametrize(
    ("written", "edited"),
    [
        ('"part": 7', '"part": 8'),
        ('"part": 7', '"part":  7'),
        ('"rows": 1,', '"rows": -1,'),
        ('"rows": 1,', '"rows": 99999999999,'),
        ('"rows": 1,', '"rows": "1",'),
        ('"rows": 1,', '"rows": 1, "rows": 1,'),
        ('"rows": 1,', '"lines": 1,'),
        ('"ngrams": {', '"ngramz": {'),
        ('"windows/', '"../windows/'),
        ('"windows/date=2026-11-23', '"windows/date=../../../etc'),
        ('"windows/date=2026-11-23', '"ngrams/date=2026-11-23'),
        ("node=web1", "node=web2"),
        ("part-00007", "part-00006"),
        ("{", "["),
    ],
)
def test_edited_lines_are_refused(written: str, edited: str) -> None:
    line = PART.to_line().decode()
    assert written in line
    with pytest.raises(FormatError, match="line 9"):
        Part.from_line(line.replace(written, edited, 1).encode(), 7, "web1")


def test_a_path_tells_table_date_node_and_number() -> None:
    path = "executions/date=2026-11-23/node=web1/part-00007.parquet"
    assert part_path("executions", END, "web1", 7) == path
    assert "/node=..%2Fa%3Db/" in part_path("executions", END, "../a=b", 7)


def test_dates_are_utc() -> None:
    assert utc_date(END - 1) == "2026-11-22"
    assert utc_date(END) == "2026-11-23"
    assert utc_date(-1) == "1969-12-31"
    assert utc_date(2**63 - 1) == "2262-04-11"


def test_the_ledger_has_a_column_for_every_field() -> None:
    names = [f"{line.name}_{n}" for line in dataclasses.fields(Ledger) for n in Tally._fields]
    assert SCHEMAS["windows"].names[-len(names) :] == names
    assert set(Connection._fields) <= set(SCHEMAS["connections"].names)


def test_every_table_and_column_is_described_and_documented() -> None:
    text = PAGE.read_text()
    assert f"version {FORMAT_VERSION}" in text
    assert HEADER_FILE in text
    assert PARTS_FILE in text
    sections = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL))
    for name, schema in SCHEMAS.items():
        for field in schema:
            description = field.metadata[b"description"].decode()
            row = f"| `{field.name}` | {str(field.type).split('<')[0]} | {description} |"
            assert row in sections[name], f"docs/recording-format.md, {name}: {row}"
    for key in json.loads(HEADER.to_json()):
        assert f"`{key}`" in text


def test_the_query_of_the_page_tells_requests_from_calls(tmp_path: Path) -> None:
    """Opcode 18 is openat, and so is not call 18, which is pwrite64."""
    kinds = [0, KIND_FOLDED, KIND_IO_URING]
    ngrams = np.array([kind << KIND_SHIFT | 19 for kind in kinds], np.uint64)
    counts = NgramCounts.collect(ngrams, np.array([5, 3, 2]))
    with RecordingWriter(tmp_path / "r", interval=1) as writer:
        writer.write(Window("web", "a", END, END + 10**9, 10**9, counts))
    (query,) = re.findall(r"^    SELECT .*?;$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    found = duckdb.execute(query.replace("'RECORDING", f"'{tmp_path}/r")).fetchall()
    assert found == [("web", False, 18, 8), ("web", True, 18, 2)]
