import io
import json
import os
from pathlib import Path

import pytest

from baseline.alerts.alert import Alert
from baseline.alerts.json_lines import JsonLinesSink
from baseline.alerts.text import TextSink
from baseline.model.score import Evidence, Score
from baseline.printable import printable
from baseline.sighting import Process
from baseline.window import Connection, Execution, Image, Signal

NGINX, DASH = Image("/usr/sbin/nginx"), Image("/usr/bin/dash")
SHELL = Execution((NGINX, DASH), 33)
PEER = Connection("out", "tcp", "203.0.113.9", 4444)
NGRAMS = range(1, 11)


def alert(
    replica: str = "demo/web",
    comm: str = "sh",
    already_reported: int = 0,
    folded: int = 0,
) -> Alert:
    evidence = (
        Evidence(Signal.EXECUTIONS, SHELL, str(SHELL), 1, 31.2, "/usr/sbin/nginx"),
        Evidence(Signal.CONNECTIONS, PEER, str(PEER), 1200, 22.2, "tcp out to 10.0.0.5:5432"),
        *(Evidence(Signal.NGRAMS, n, "read write " * 8, 3, 10.0, "") for n in NGRAMS),
    )
    bits = {Signal.NGRAMS: 100.0, Signal.EXECUTIONS: 31.2, Signal.CONNECTIONS: 22.2}
    return Alert(
        workload="web",
        replica=replica,
        architecture="x86_64",
        time=1_795_392_000_481_000_000,
        start=1_795_391_999_481_000_000,
        end=1_795_392_000_481_000_000,
        score=Score(
            signal=Signal.NGRAMS,
            bits=100.0,
            threshold=21.7,
            by_signal=bits,
            p_value=0.00131,
            evidence=evidence,
        ),
        unseen=frozenset({SHELL, PEER, *NGRAMS}),
        process=Process(4123, 4123, comm, (NGINX, DASH)),
        already_reported=already_reported,
        folded=folded,
    )


def as_text(shown: Alert) -> str:
    stream = io.StringIO()
    TextSink(stream).write(shown)
    return stream.getvalue()


def test_text_as_people_see_it() -> None:
    shown = as_text(alert(already_reported=2, folded=17))
    lines = shown.splitlines()
    assert lines[0].startswith("web  2026-11-23T00:00:00.481Z  alert ")
    assert " ".join(lines[1:3]) == (
        "nginx started /usr/bin/dash as uid 33, never seen in learning; also 1 new peer, "
        "10 new system-call sequences"
    )
    for expected in (
        "surprise  100.0 bits in ngrams, threshold 21.7, p = 0.0013",
        "          31.2 bits in executions, 22.2 bits in connections",
        "process   sh, pid 4123",
        "lineage   /usr/sbin/nginx > /usr/bin/dash",
        "replica   demo/web",
        "repeated  2 items reported before, left out of the score",
        "folded    17 windows that held nothing but reported items",
        "31.2      1  /usr/sbin/nginx > /usr/bin/dash",
        "normal: /usr/sbin/nginx",
        "22.2  1,200  tcp out to 203.0.113.9:4444",
        "70.0         in 7 more",
    ):
        assert f" {expected}\n" in shown
    assert lines[-1] == ""


def test_text_fits_80_columns_whatever_is_in_it() -> None:
    shown = as_text(alert(replica="kubepods.slice/" + "x" * 200, comm="c" * 100))
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.replace("\n", "").replace(" ", "").count("x" * 200) == 1
    assert not any(line != line.rstrip() for line in shown.splitlines())


def test_no_colour_where_there_is_no_terminal() -> None:
    assert "\x1b" not in as_text(alert())


def test_colour_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal:
        TextSink(terminal).write(alert())
        assert b"\x1b[" in os.read(ours, 1 << 16)
    os.close(ours)


def test_a_workload_cannot_write_to_the_terminal() -> None:
    shown = as_text(alert(comm="\x1b[2J[red]:smile:\n\u202esh\udcff", replica="a\r\x07b"))
    assert set("\x1b\r\x07\u202e\udcff").isdisjoint(shown)
    assert r"\x1b[2J[red]:smile:\n\u202esh\udcff, pid 4123" in shown
    assert r"a\r\x07b" in shown


def test_printable_text_stays_as_it_is() -> None:
    assert printable("/usr/bin/größe 日本 [x]") == "/usr/bin/größe 日本 [x]"


def test_json_is_one_ascii_line_for_each_alert_at_once(tmp_path: Path) -> None:
    with (tmp_path / "alerts").open("w", encoding="ascii") as stream:
        sink = JsonLinesSink(stream)
        sink.write(alert(comm="\x1b\n\udcff"))
        sink.write(alert())
        lines = (tmp_path / "alerts").read_text().splitlines()  # before the stream is closed
    assert [json.loads(line)["process"]["comm"] for line in lines] == ["\x1b\n\udcff", "sh"]


@pytest.mark.parametrize("sink", [TextSink, JsonLinesSink])
def test_a_stream_that_fails_is_told(sink: type[TextSink] | type[JsonLinesSink]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    stream = os.fdopen(theirs, "w")
    with pytest.raises(BrokenPipeError):
        sink(stream).write(alert())
    with pytest.raises(BrokenPipeError):
        stream.close()
