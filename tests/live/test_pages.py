import io
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text
from shown import (
    CLIENT,
    INTRUDER,
    SHELL_STARTED,
    learned,
    row,
    snapshot,
    snapshot_of,
    window,
)
from strategies import texts

from baseline.alerts.incident import Event, Incident
from baseline.alerts.text import TextSink
from baseline.alerts.watched import Folded
from baseline.live.keys import Key
from baseline.live.overview import Snapshot
from baseline.live.pages import Pages
from baseline.live.table import fit, short
from baseline.live.view import Order, View, in_order
from baseline.model.score import Signal
from baseline.window import Image, Ledger, Tally

HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\nname\t\u202e"
NORMAL = {1: 100, 2: 10, 3: 1}
NEW = {
    Signal.NGRAMS: 1234,
    Signal.EXECUTIONS: 12,
    Signal.CONNECTIONS_IN: 1,
    Signal.CONNECTIONS_OUT: 2,
}
FORTY = snapshot(
    *(
        row(
            f"shop/service-{n:02}",
            10.0 ** (n % 13),
            new=NEW,
            bits=float(n),
            threshold=20.0,
            state="partial",
            alerts=n,
        )
        for n in range(40)
    )
)


def pages(width: int, height: int = 24, encoding: str = "utf-8") -> Pages:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    return Pages(Console(file=stream, width=width, height=height, markup=False, emoji=False))


def plain(lines: Sequence[Text]) -> list[str]:
    return [line.plain for line in lines]


def of_alerts(name: str = "web") -> Snapshot:
    """Two alerts of an intruder who chose his program's name."""
    program = SHELL_STARTED._replace(
        lineage=(*SHELL_STARTED.lineage, Image(f"/tmp/{HOSTILE}"))  # noqa: S108
    )
    return snapshot_of(
        [
            window(1, NORMAL, connections=[CLIENT], workload=name),
            window(2, NORMAL, [program], [CLIENT, INTRUDER], workload=name),
            window(3, {1: 100, 30: 1, 31: 1, 32: 1}, connections=[CLIENT], workload=name),
        ],
        learned(name),
    )


def all_pages(shown: Snapshot) -> list[View]:
    table = View(Order.SCORE)
    alerts = table.after(Key.RIGHT, shown, 1)
    return [table, alerts, alerts.after(Key.RIGHT, shown, 1)]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 50), (200, 60), (40, 10)])
@pytest.mark.parametrize("shown", [FORTY, of_alerts(), of_alerts(HOSTILE), snapshot()])
def test_every_page_is_as_large_as_the_terminal(
    width: int, height: int, encoding: str, shown: Snapshot
) -> None:
    for view in all_pages(shown):
        lines = plain(pages(width, height, encoding).screen(view, shown, HOSTILE).lines)
        assert len(lines) == height
        assert max(map(cell_len, lines)) <= max(width, 80)
        if width >= 80:
            assert max(map(cell_len, lines)) <= width
        assert all(line.isprintable() for line in lines)
        if encoding == "ascii" and view.page != "alert":
            assert all(line.isascii() for line in lines)


def test_a_long_note_is_there_as_a_whole() -> None:
    words = [f"word-{n}" for n in range(25)]
    for view in all_pages(FORTY):
        lines = plain(pages(80).screen(view, FORTY, " ".join(words)).lines)
        assert len(lines) == 24
        assert " ".join(line.strip() for line in lines[-4:-1]).split() == words


@given(st.integers(80, 250), st.integers(6, 60), st.integers(0, 39))
@example(80, 24, 39)
def test_the_selected_workload_is_on_the_screen(width: int, height: int, place: int) -> None:
    name = in_order(FORTY, Order.CALLS)[place].workload
    lines = plain(pages(width, height).screen(View(Order.CALLS, workload=name), FORTY).lines)
    (selected,) = [line for line in lines if line.startswith("> ")]
    assert selected.split()[1] == name[: len(selected.split()[1])]
    assert sum("shop/service-" in line for line in lines) == min(height - 5, 40)


@pytest.mark.parametrize("width", [80, 120])
def test_columns_stand_below_their_titles(width: int) -> None:
    shown = snapshot(
        row(
            "web",
            12_345.4,
            new=NEW,
            bits=15.04,
            threshold=20.0,
            state="partial",
            ledger=Ledger(Tally(30, 10, lost=20)),
            alerts=7,
        )
    )
    _, _, head, line, *_ = plain(pages(width).screen(View(Order.SCORE), shown).lines)
    for title, cell in (
        ("calls/s", "12,345"),
        ("n-grams", "1,234"),
        ("progs" if width == 80 else "programs", "12"),
        ("peers", "3"),
        ("bits", "15.0"),
        ("lost", "20"),
        ("alerts", "7"),
    ):
        end = head.index(title) + len(title)
        assert line[:end].endswith(f" {cell}"), title
    assert line[head.index("learned") :].startswith("partial")
    assert ("████··" if width == 80 else "███████···") in line
    assert ("20.0" in line) == (width == 120)


def test_a_wide_terminal_shows_what_the_latest_alert_says() -> None:
    shown = of_alerts()
    (web,) = shown.rows
    table = View(Order.SCORE)
    assert web.latest[0].headline[:20] not in "".join(plain(pages(120).screen(table, shown).lines))
    assert web.latest[0].headline[:20] in "".join(plain(pages(200).screen(table, shown).lines))


def test_without_models_there_is_nothing_of_scores_and_alerts() -> None:
    shown = snapshot_of([window(1, NORMAL)])
    lines = plain(pages(80).screen(View(Order.CALLS), shown).lines)
    assert not any("bits" in line or "learned" in line for line in lines[:-1])
    assert "programs" in lines[2]
    alerts = View(Order.CALLS).after(Key.RIGHT, shown, 1)
    assert any("there is no model" in line for line in plain(pages(80).screen(alerts, shown).lines))


def test_an_alert_reads_as_watch_writes_it() -> None:
    shown = of_alerts()
    view = all_pages(shown)[-1]
    stream = io.StringIO()
    (web,) = shown.rows
    alert = web.latest[0]
    opened = Incident.opened_by(alert, Folded(), alert.time)
    TextSink(stream.write).write(opened.report(Event.OPENED, alert.time, alert))
    written = stream.getvalue().splitlines()
    lines = plain(pages(80, 100).screen(view, shown).lines)
    assert [line.rstrip() for line in lines[1 : 1 + len(written)]] == written


def test_a_long_alert_scrolls_to_its_end_and_no_further() -> None:
    shown = of_alerts()
    whole = plain(pages(80, 100).screen(all_pages(shown)[-1], shown).lines)
    view = all_pages(shown)[-1].after(Key.END, shown, 1)
    low = pages(80, 12)
    screen = low.screen(view, shown)
    body = plain(screen.lines)[1:-2]
    text = [line.rstrip() for line in whole[1:-2]]
    while not text[-1]:
        text.pop()
    assert screen.furthest > 0
    assert text[-1] in [line.rstrip() for line in body]
    assert [line.rstrip() for line in body] == (text + [""] * 9)[
        screen.furthest : screen.furthest + len(body)
    ]


def test_names_that_a_terminal_could_obey_are_written_out() -> None:
    shown = of_alerts("\x1b[2J\x07")
    for view in all_pages(shown)[:2]:
        text = "\n".join(plain(pages(80).screen(view, shown).lines))
        assert r"\x1b[2J\x07" in text


def test_a_low_terminal_still_shows_alerts() -> None:
    shown = of_alerts()
    lines = plain(pages(80, 10).screen(all_pages(shown)[1], shown).lines)
    assert sum("bits" not in line and "shown" not in line for line in lines)
    assert sum(line[2:10].count(":") == 2 for line in lines) == 2


def test_all_rows_without_a_screen() -> None:
    lines = plain(pages(80).table(FORTY, Order.NAME))
    assert len(lines) == 42
    assert [line.split()[0] for line in lines[2:]] == [f"shop/service-{n:02}" for n in range(40)]


@given(texts, st.integers(1, 30))
@example("网络服务", 4)
@example("网络服务", 5)
def test_fitted_text_is_as_wide_as_it_should_be(text: str, width: int) -> None:
    fitted = fit(text, width)
    assert cell_len(fitted) == width
    assert fitted.isprintable()


@given(st.floats(0, 1e20), st.integers(4, 9))
def test_short_numbers(number: float, width: int) -> None:
    text = short(number, width)
    assert len(text) <= width
    unit = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}.get(text[-1], 1)
    shown = float(text.rstrip("kMGTPE").replace(",", "")) * unit
    assert abs(shown - number) <= max(0.5, 0.05 * unit if "." in text else 0.5 * unit) * 1.0001


@pytest.mark.parametrize(
    ("number", "width", "text"),
    [
        (0, 4, "0"),
        (9_999, 5, "9,999"),
        (9_999, 4, "10k"),
        (12_345, 7, "12,345"),
        (12_345, 4, "12k"),
        (1_234, 4, "1.2k"),
        (999_999, 4, "1.0M"),
        (999_499, 4, "999k"),
        (1_250_000_000, 7, "1,250M"),
    ],
)
def test_numbers_as_people_read_them(number: float, width: int, text: str) -> None:
    assert short(number, width) == text
