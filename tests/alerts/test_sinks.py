import io
import json
import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from secret_forms import TOKENS, WITH_A_WORD, WITH_ANYTHING

from baseline.alerts.alert import Alert, RaisedBy
from baseline.alerts.flood import Flood
from baseline.alerts.incident import Event, Incident, Report
from baseline.alerts.json_lines import JsonLinesSink
from baseline.alerts.text import TextSink
from baseline.alerts.watched import Folded
from baseline.container import Container
from baseline.model.score import Evidence, Score, Seen, Signal, Volume
from baseline.printable import printable
from baseline.sighting import Process
from baseline.window import Connection, Execution, Image

NGINX, DASH = Image("/usr/sbin/nginx"), Image("/usr/bin/dash")
SHELL = Execution((NGINX, DASH), 33)
PEER = Connection("out", "tcp", "203.0.113.9", 4444)
NGRAMS = range(1, 11)
words = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~", min_size=6)
DAY = 86_400 * 10**9
TIME = 1_795_392_000_481_000_000
SEEN = Seen(TIME - DAY, TIME - DAY + 600 * 10**9)


def evidence() -> tuple[Evidence, ...]:
    peer = str(PEER)
    return (
        Evidence(Signal.EXECUTIONS, SHELL, str(SHELL), 1, 31.2, "nothing", None, 24.25),
        Evidence(Signal.CONNECTIONS_OUT, PEER, peer, 1200, 22.2, "to 10.0.0.5:5432", None, 21.0),
        *(Evidence(Signal.NGRAMS, n, "read write " * 8, 3, 10.0, "", None, 29.5) for n in NGRAMS),
        Evidence(Signal.VOLUMES, Volume(60), "execve", 7, 5.0, "usually 0 to 1", SEEN, 29.0),
    )


def alert(
    replica: str = "demo/web", comm: str = "sh", already_reported: int = 0, folded: int = 0
) -> Alert:
    bits = dict(zip(Signal, (100.0, 0.0, 31.2, 0.0, 22.2, 5.0), strict=True))
    return Alert(
        workload="web",
        replica=replica,
        architecture="x86_64",
        time=TIME,
        start=TIME - 10**9,
        end=TIME,
        test=RaisedBy.WINDOW,
        score=Score(
            bits=29.56,
            threshold=21.7,
            p_value=2**-29.56,
            by_signal=bits,
            wholly_new=(),
            evidence=evidence(),
        ),
        once_in=8.4e6,
        unseen=frozenset({SHELL, PEER, *NGRAMS}),
        process=Process(4123, 4123, comm, (NGINX, DASH)),
        already_reported=already_reported,
        folded=folded,
    )


def opening(alert: Alert) -> Report:
    return Incident.opened_by(alert, Folded(), TIME).report(Event.OPENED, TIME, alert)


def as_text(shown: Alert | Report) -> str:
    stream = io.StringIO()
    TextSink(stream.write).write(shown if isinstance(shown, Report) else opening(shown))
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
        "evidence  29.6 bits, threshold 21.7: about once in 97 days of normal time",
        "process   sh, pid 4123",
        "lineage   /usr/sbin/nginx > /usr/bin/dash",
        "replica   demo/web",
        "repeated  2 items reported before, left out of the score",
        "folded    17 windows that held nothing but reported items",
        "surprise  count  of what",
        "    31.2      1  /usr/sbin/nginx > /usr/bin/dash",
        "normal: nothing",
        "never in learning; without it 24.2 bits",
        "    22.2  1,200  tcp out to 203.0.113.9:4444",
        "     5.0      7  execve",
        "normal: usually 0 to 1",
        "in learning 2026-11-22 00:00-00:10; without it 29.0 bits",
        "    80.0         8 more",
    ):
        assert f" {expected}\n" in shown
    assert lines[-1] == ""


@pytest.mark.parametrize(("more", "shown"), [(-1e-14, ""), (0.049, ""), (0.051, "0.1")])
def test_text_of_more_that_weighs_nothing(more: float, shown: str) -> None:
    (first, *_) = found = evidence()[:1]
    bits = {Signal.EXECUTIONS: first.bits + more}
    score = replace(alert().score, evidence=found, by_signal=bits)
    text = as_text(replace(alert(), score=score, unseen=frozenset({SHELL, PEER})))
    (line,) = (line for line in text.splitlines() if line.endswith("1 more"))
    assert line.split() == [*shown.split(), "1", "more"]


def of_process(*arguments: str, is_cut: bool = False, comm: str = "sh", tid: int = 4123) -> Alert:
    process = Process(4123, tid, comm, (NGINX, DASH), arguments, is_cut)
    return replace(alert(), process=process)


def test_text_of_a_command() -> None:
    shown = as_text(of_process("curl", "-s", "", "a b", "it's", "http://203.0.113.9/x"))
    assert (
        "  command   curl -s '' 'a b' 'it'\"'\"'s' http://203.0.113.9/x  (from its own\n" in shown
    )
    assert "            memory)\n" in shown
    assert "command" not in as_text(alert())


def test_text_of_a_title_has_no_empty_words_behind_it() -> None:
    shown = as_text(of_process("nginx: worker process", "", "", ""))
    assert "  command   'nginx: worker process'  (from its own memory)\n" in shown


def test_text_of_a_long_command_is_cut() -> None:
    shown = as_text(of_process("x" * 100, "\x1b[2J", "y" * 100))
    assert max(map(len, shown.splitlines())) <= 80
    words = "".join(shown.split())
    assert "x" * 100 + r"\x1b[2J" + "y" * 51 + "...(fromitsownmemory)" in words
    assert "echo hello ...  (from its own memory)\n" in as_text(
        of_process("echo", "hello", is_cut=True)
    )


def test_text_names_the_thread_where_it_is_not_the_first() -> None:
    assert "process   sh, pid 4123, thread 4125\n" in as_text(of_process(tid=4125))
    assert "process   sh, pid 4123\n" in as_text(of_process())


def test_text_of_a_container() -> None:
    known = replace(alert(), container=Container("3f0d" * 16, "shop/web/nginx"))
    assert "  container  3f0d3f0d3f0d  shop/web/nginx\n" in as_text(known)
    unknown = replace(alert(), container=Container("3f0d" * 16))
    assert "  container  3f0d3f0d3f0d\n" in as_text(unknown)


PLACES = ["arguments", "comm", "path", "script", "memfd", "unseen", "ancestor"]


@given(form=st.sampled_from(WITH_ANYTHING + WITH_A_WORD), secret=words)
def test_no_secret_on_a_command_line_is_written(form: list[str], secret: str) -> None:
    arguments = [argument.replace("<...>", f"{secret}~{secret}") for argument in form]
    assert_unwritten(of_process(*arguments), f"{secret}~{secret}")


@pytest.mark.parametrize("place", PLACES)
@given(form=st.sampled_from(WITH_A_WORD), secret=words)
def test_no_secret_in_any_name_is_written(place: str, form: list[str], secret: str) -> None:
    text = next(a for a in form if "<...>" in a).replace("<...>", f"{secret}~{secret}")
    assert_unwritten(named(place, text), f"{secret}~{secret}")


@pytest.mark.parametrize("place", PLACES)
@given(prefix=st.sampled_from(list(TOKENS)), data=st.data())
def test_no_token_in_any_name_is_written(place: str, prefix: str, data: st.DataObject) -> None:
    alphabet, length = TOKENS[prefix]
    token = prefix + data.draw(st.text(alphabet, min_size=length, max_size=length))
    if place == "comm":
        token = token[:15]  # what the kernel keeps of a thread's name
        assume(len(token) > len(prefix))
    assert_unwritten(named(place, token), token)


def named(place: str, text: str) -> Alert:
    """An alert in which this text is the name of something."""
    image = {
        "path": Image(f"/tmp/{text}"),  # noqa: S108 - as intruders do
        "script": Image("/usr/bin/dash", text),
        "memfd": Image(f"memfd:{text}", unlinked=True),
    }.get(place, DASH)
    lineage = (Image(text), DASH) if place == "ancestor" else (NGINX, image)
    shell = Execution(lineage, 33)
    found = replace(evidence()[0], item=shell, description=f"{shell} (uid 33)")
    other = Execution((NGINX, Image(text)), 33)
    return replace(
        alert(),
        score=replace(alert().score, evidence=(found, *evidence()[1:])),
        unseen=frozenset({shell, PEER, *NGRAMS} | ({other} if place == "unseen" else set())),
        process=Process(
            4123,
            4123,
            text if place == "comm" else "sh",
            lineage,
            ("sh", "-c", text) if place == "arguments" else (),
        ),
    )


def assert_unwritten(shown: Alert, secret: str) -> None:
    """Neither as it is nor with the line breaks of a terminal."""
    stream = io.StringIO()
    JsonLinesSink(stream.write).write(shown)
    written = json.loads(stream.getvalue())
    texts = [shown.headline, json.dumps(written, ensure_ascii=False), as_text(shown), repr(shown)]
    for text in texts:
        assert printable(secret) not in text
        assert "".join(printable(secret).split()) not in "".join(text.split())


def test_an_alert_says_what_was_redacted() -> None:
    assert "mysql -p[redacted] shop" in as_text(of_process("mysql", "-phunter2", "shop"))


def test_text_of_a_first_sight() -> None:
    one = replace(alert().score, evidence=evidence()[:1], by_signal={Signal.EXECUTIONS: 31.2})
    shown = as_text(
        replace(alert(), score=one, test=RaisedBy.FIRST_SIGHT, unseen=frozenset({SHELL}))
    )
    assert "never in learning\n" in shown  # without it there is nothing
    assert "more" not in shown


def test_text_of_what_is_new_in_every_way() -> None:
    low = replace(alert().score, bits=17.8, p_value=2**-17.8, wholly_new=(Signal.EXECUTIONS,))
    shown = as_text(replace(alert(), score=low, once_in=2.2e5))
    assert (
        "  evidence  17.8 bits, threshold 21.7: new in every way that the model can tell,\n"
        "            which is always an alert\n"
    ) in shown
    assert "normal time" not in shown  # as often as that it would be no alert


def test_text_of_a_lasting_shift() -> None:
    found = tuple(replace(e, without=math.nan) for e in evidence())
    low = replace(alert().score, evidence=found, by_signal=dict.fromkeys(Signal, 0.0))
    shown = as_text(replace(alert(), score=low, test=RaisedBy.SHIFT, start=TIME - 60 * 10**9))
    assert "  lasting   too little in a window, together since 2026-11-22T23:59:00.481Z\n" in shown
    assert "without" not in shown
    assert "80.0         8 more\n" in shown  # of all its windows


@pytest.mark.parametrize(
    ("seconds", "p_value", "said"),
    [
        (1e9, 1e-9, "about once in 32 years of normal time"),
        (1e9, 1e-300, "less than once in 32 years of normal time"),
        (60 * 86_400.0, 1e-6, "about once in 60 days of normal time"),
        (3 * 3600.0, 1e-4, "about once in 3 hours of normal time"),
        (150.0, 0.01, "about once in 2 minutes of normal time"),
        (5.0, 0.2, "about once in 5 seconds of normal time"),
        (1.0, 1.0, "common in normal time"),
    ],
)
def test_rarity_in_words(seconds: float, p_value: float, said: str) -> None:
    score = replace(alert().score, p_value=p_value)
    assert f"threshold 21.7: {said}\n" in as_text(replace(alert(), score=score, once_in=seconds))


def test_what_learning_saw_on_several_days() -> None:
    long = replace(evidence()[-1], seen=Seen(TIME - 9 * DAY, TIME - DAY))
    shown = as_text(replace(alert(), score=replace(alert().score, evidence=(long,))))
    assert "in learning 2026-11-14 to 2026-11-22; without it 29.0 bits\n" in shown


def test_text_of_an_update_and_of_an_end() -> None:
    incident = Incident.opened_by(alert(), Folded(1, 2, 3), TIME)
    second = replace(alert(), time=TIME + 10**9, end=TIME + 10**9)
    incident.take(second, TIME + 10**9)
    for _ in range(2):
        incident.take(replace(second, time=TIME + 2 * 10**9), TIME + 2 * 10**9)
    incident.folded = Folded(18, 1202, 6)
    updated = incident.told(TIME + 2 * 10**9)
    assert updated == second  # told a second after it was detected
    assert as_text(incident.report(Event.UPDATED, TIME + 2 * 10**9, updated)).splitlines() == [
        f"web  2026-11-23T00:00:01.481Z  alert {second.id}, more of {alert().id}",
        "  nginx started /usr/bin/dash as uid 33, never seen in learning; also 1 new",
        "  peer, 10 new system-call sequences",
        "  new peer: tcp out to 203.0.113.9:4444",
        "  29.6 bits, threshold 21.7; sh, pid 4123; 4 alerts of at most 29.6 bits, 2 not",
        "  told, 17 windows folded, 1,200 new items in them, 3 first sights left to their",
        "  window",
        "",
    ]
    assert as_text(incident.report(Event.CLOSED, TIME + 602 * 10**9)).splitlines() == [
        f"web  2026-11-23T00:10:02.481Z  closed: {alert().id}, quiet for 10 min",
        "  nginx started /usr/bin/dash as uid 33, never seen in learning; also 1 new",
        "  peer, 10 new system-call sequences",
        "  in 2 s 4 alerts of at most 29.6 bits, 2 not told, 17 windows folded, 1,200 new",
        "  items in them, 3 first sights left to their window",
        "",
    ]


def test_an_update_says_why_it_is_one_and_counts_one_thing_as_one() -> None:
    incident = Incident.opened_by(alert(), Folded(0, 0, 0), TIME)
    score = replace(alert().score, bits=9.5, wholly_new=(Signal.CALLS,))
    client = Connection("in", "tcp", "203.0.113.9", 80)
    second = replace(alert(), score=score, unseen=frozenset({client}))
    incident.take(second, TIME)
    incident.folded = Folded(1, 1, 1)
    shown = as_text(incident.report(Event.UPDATED, TIME, incident.told(TIME)))
    assert "  new client: tcp in from 203.0.113.9 on port 80\n" in shown
    assert " ".join(shown.split()).endswith(
        "9.5 bits, threshold 21.7; new in every way; sh, pid 4123; 2 alerts of at most 29.6 bits, "
        "1 window folded, 1 new item in them, 1 first sight left to its window"
    )


def test_an_update_is_printable_and_narrow() -> None:
    odd = alert(replica="a\r\x07b", comm="\x1b[2J[red]:smile:\n\u202esh\udcff" + "c" * 99)
    incident = Incident.opened_by(odd, Folded(), TIME)
    incident.take(odd, TIME)
    for report in (
        incident.report(Event.UPDATED, TIME, odd),
        incident.report(Event.CLOSED, TIME),
    ):
        shown = as_text(report)
        assert set("\x1b\r\x07\u202e\udcff").isdisjoint(shown)
        assert max(map(len, shown.splitlines())) <= 80
    assert "pid 4123" in as_text(incident.report(Event.UPDATED, TIME, odd)).replace("\n  ", " ")


def test_text_of_a_flood() -> None:
    low = replace(alert().score, bits=3.0, wholly_new=())
    shown = as_text(
        replace(alert(), score=low, test=RaisedBy.FLOOD, flood=Flood(1.0, 12, 3400, 560))
    )
    assert "flood: 12 new items, 3,400 events folded, 560 first sights held back in 1 s;" in shown
    assert "evidence  3.0 bits, threshold 21.7: so much that is new at once is always" in shown
    assert "in every way" not in shown


def test_text_fits_80_columns_whatever_is_in_it() -> None:
    shown = as_text(alert(replica="kubepods.slice/" + "x" * 200, comm="c" * 100))
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.replace("\n", "").replace(" ", "").count("x" * 200) == 1
    assert not any(line != line.rstrip() for line in shown.splitlines())


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_no_name_is_too_long_for_an_id(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for length in range(1, 100):
        opened = opening(replace(alert(), workload="w" * length))
        for report in (opened, replace(opened, event=Event.UPDATED)):
            title = as_text(report).split("nginx started")[0]
            assert max(map(len, title.splitlines())) <= columns
            named = f"{'w' * length}2026-11-23T00:00:00.481Zalert{opened.id}"
            assert "".join(title.split()).rstrip("-").split(",")[0] == named


@pytest.mark.parametrize("columns", [0, 1, 8, 39])
def test_text_needs_some_width(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = as_text(alert())
    monkeypatch.setenv("COLUMNS", str(columns))
    assert as_text(alert()) == expected


def test_no_colour_where_there_is_no_terminal() -> None:
    assert "\x1b" not in as_text(alert())


def test_colour_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    parts: list[str] = []
    TextSink(parts.append, is_terminal=True).write(opening(alert()))
    assert "\x1b[" in parts[0]


def test_a_workload_cannot_write_to_the_terminal() -> None:
    shown = as_text(alert(comm="\x1b[2J[red]:smile:\n\u202esh\udcff", replica="a\r\x07b"))
    assert set("\x1b\r\x07\u202e\udcff").isdisjoint(shown)
    assert r"\x1b[2J[red]:smile:\n\u202esh\udcff, pid 4123" in shown
    assert r"a\r\x07b" in shown


@pytest.mark.parametrize("place", ["workload", "lineage", "headline", "evidence", "nearest"])
def test_no_name_of_a_program_can_write_to_the_terminal(place: str) -> None:
    odd = "/tmp/\x1b[2J[red]\r\x07\u202e\udcff"  # noqa: S108 - as intruders do
    shell = Execution((NGINX, Image(odd)), 33)
    of_shell, *others = evidence()
    changed = {
        "workload": lambda: replace(alert(), workload=odd),
        "lineage": lambda: replace(alert(), process=Process(1, 1, "sh", (NGINX, Image(odd)))),
        "headline": lambda: replace(
            with_evidence(replace(of_shell, item=shell), *others), unseen=frozenset({shell})
        ),
        "evidence": lambda: with_evidence(replace(of_shell, description=str(shell)), *others),
        "nearest": lambda: with_evidence(replace(of_shell, nearest=odd), *others),
    }[place]()
    shown = as_text(changed)
    assert set("\x1b\r\x07\u202e\udcff").isdisjoint(shown)
    assert printable(odd) in "".join(shown.split())


def with_evidence(*found: Evidence) -> Alert:
    return replace(alert(), score=replace(alert().score, evidence=found))


def test_printable_text_stays_as_it_is() -> None:
    assert printable("/usr/bin/größe 日本 [x]") == "/usr/bin/größe 日本 [x]"


def test_json_is_one_ascii_line_for_each_alert() -> None:
    lines: list[str] = []
    sink = JsonLinesSink(lines.append)
    sink.write(opening(alert(comm="\x1b\n\udcff")))
    sink.write(opening(alert()))
    assert [line.count("\n") for line in lines] == [1, 1]
    assert all(map(str.isascii, lines))
    assert [json.loads(line)["process"]["comm"] for line in lines] == ["\x1b\n\udcff", "sh"]
