"""Text in so many columns: never longer, and never with a number that was not there."""

import os
import re
import termios
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from baseline.cli.streams import for_terminal
from baseline.fitting import WIDTH, page, shortened, wrapped

texts = st.text(st.sampled_from("ab 网服\x1b/>.,:0123456789"), max_size=400)
NUMBER = r"\d[\d.,:]*"
LONG = "  3 times  " + " > ".join(
    ["/root/.pyenv/versions/3.11.7/bin/python3.11", "/usr/bin/dash"] * 3
)


@given(texts, st.integers(1, 60), st.sampled_from([0, 0.5]))
def test_what_is_shortened_fits_and_has_no_other_numbers(
    text: str, width: int, tail: float
) -> None:
    short = shortened(text, width, tail=tail)
    assert cell_len(short) <= width
    assert short.isprintable()
    if "…" in short:
        # The numbers of a text with the escape written out, which has digits of its own.
        whole = re.findall(NUMBER, shortened(text, 10_000))
        assert set(re.findall(NUMBER, short)) <= set(whole)


def test_what_differs_at_its_end_differs_when_it_is_shortened() -> None:
    assert shortened(f"{LONG} > /usr/bin/id", 60) != shortened(f"{LONG} > /usr/bin/nc", 60)


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [
        ("started as uid 65534, never seen", 20, "started as uid …"),
        ("tcp in from 127.0.0.1:46355", 24, "tcp in from …"),
        ("a sentence of 12 words", 21, "a sentence of 12 wor…"),
    ],
)
def test_a_number_is_left_out_as_a_whole(text: str, width: int, short: str) -> None:
    assert shortened(text, width, tail=0) == short


@given(texts, st.integers(12, 100))
def test_wrapped_lines_fit(text: str, width: int) -> None:
    lines = list(wrapped(text, width))
    assert lines
    assert all(cell_len(line) <= width and line.isprintable() for line in lines)


@given(texts, st.integers(12, 100))
def test_nothing_is_left_out_of_what_is_not_folded(text: str, width: int) -> None:
    (whole,) = wrapped(text, 10_000)
    assert " ".join(wrapped(text, width, folds=False)).split() == whole.split()


def test_a_long_word_stays_where_it_is_to_be_copied() -> None:
    path = "/srv/" + "x" * 90
    assert list(wrapped(f"Error: {path} is damaged", 80, folds=False)) == [
        f"Error: {path}",
        "is damaged",
    ]


def test_talk_is_wrapped_on_a_terminal_alone(tmp_path: Path) -> None:
    said = "Learning was too short to vouch for it: thresholds are extrapolated."
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (24, 40))
    with open(slave, "w") as terminal, (tmp_path / "talk").open("w") as file:  # noqa: PTH123
        assert for_terminal(said, terminal).split("\n") == [
            "Learning was too short to vouch for it:",
            "thresholds are extrapolated.",
        ]
        assert for_terminal(said, file) == said
    os.close(master)


def test_a_line_goes_on_below_its_text() -> None:
    lines = page([LONG]).split("\n")
    assert len(lines) > 1
    assert all(line.startswith(" " * 11 + "/") or line[11] != " " for line in lines[1:])
    assert " ".join(page([LONG]).split()) == " ".join(LONG.split())
    assert max(map(len, lines)) <= WIDTH


def test_a_long_line_does_not_become_a_page() -> None:
    lines = list(wrapped("  1 times  " + " > ".join(["/" + "x" * 200] * 8) + " > /usr/bin/id"))
    assert len(lines) <= 8
    assert lines[-1].endswith("/usr/bin/id")
