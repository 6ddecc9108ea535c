import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from alert_page import documented, names, rows

from baseline.alerts.alert import Alert, RaisedBy, leading_evidence
from baseline.alerts.detector import Folded
from baseline.alerts.flood import Flood
from baseline.alerts.incident import Event, Incident, Report
from baseline.alerts.json_lines import JsonLinesSink
from baseline.container import Container
from baseline.interference import Interference
from baseline.model.score import Call, Evidence, Item, Score, Seen, Signal, Volume, signal_of
from baseline.sighting import Process
from baseline.syscalls import pack
from baseline.window import Connection, Execution, Image

NOON = 1_795_392_000_000_000_000
PHP, DASH = Image("/usr/sbin/php-fpm8.2"), Image("/usr/bin/dash")
SHELL = Execution((Image("/usr/sbin/nginx"), PHP, DASH), 33)
MEMFD = Execution((PHP, Image("memfd:x", unlinked=True)), 0)
ORPHAN = Execution((Image("/usr/bin/python3", "backup.py"),), 0)
PEER = Connection("out", "tcp", "2001:db8::9", 4444)
CLIENT = Connection("in", "tcp", "192.0.2.1", 80)
# socket connect dup2 dup2 dup2 execve
NGRAM = int(pack(np.array([[42, 43, 34, 34, 34, 60]]))[0])
FSYNC = Volume(75)
PTRACE = Call(102)
SH = Process(4123, 4124, "sh", (PHP, DASH), ("sh", "-c", "mysql -phunter2"))


def evidence(item: Item, bits: float, seen: Seen | None = None) -> Evidence:
    return Evidence(
        signal_of(item), item, "what it was", 3, bits, "what is normal", seen, without=6.789
    )


def alert(
    *found: Evidence, unseen: frozenset[Item] | None = None, process: Process | None = SH
) -> Alert:
    by_signal = {s: sum(e.bits for e in found if e.signal == s) for s in Signal}
    score = Score(
        bits=32.1054,
        threshold=21.987,
        p_value=2.1645e-10,
        by_signal=by_signal,
        wholly_new=(),
        evidence=found,
    )
    return Alert(
        workload="web",
        replica="demo/web",
        architecture="x86_64",
        time=NOON,
        start=NOON - 10**9,
        end=NOON,
        test=RaisedBy.WINDOW,
        score=score,
        once_in=1_234_567.0,
        unseen=frozenset(e.item for e in found) if unseen is None else unseen,
        process=process,
        load=1009,
        node="web1",
    )


@pytest.mark.parametrize(
    ("item", "seen", "headline"),
    [
        (SHELL, False, "php-fpm8.2 started /usr/bin/dash as uid 33, never seen in learning"),
        (SHELL, True, "php-fpm8.2 started /usr/bin/dash as uid 33, rare in learning"),
        (MEMFD, False, "php-fpm8.2 started memfd:x (no file) as uid 0, never seen in learning"),
        (
            ORPHAN,
            False,
            "something started /usr/bin/python3[backup.py] as uid 0, never seen in learning",
        ),
        (PEER, False, "new peer: tcp out to [2001:db8::9]:4444, by sh"),
        (CLIENT, False, "new client: tcp in from 192.0.2.1 on port 80, by sh"),
        (CLIENT, True, "rare client: tcp in from 192.0.2.1 on port 80, by sh"),
        (PTRACE, False, "never made what it was before, by sh"),
        (NGRAM, False, "unseen system-call sequence: what it was"),
        (NGRAM, True, "unusual system calls, most of all: what it was"),
        (FSYNC, True, "unusual number of system calls: 3 what it was; what is normal"),
    ],
)
def test_the_headline_names_what_happened(item: Item, seen: bool, headline: str) -> None:
    unseen = frozenset() if seen else frozenset({item})
    assert alert(evidence(item, 30.0), unseen=unseen).headline == headline


def test_the_headline_counts_what_else_was_unseen() -> None:
    ngrams = [evidence(n, 50.0) for n in (NGRAM, 7)]
    assert alert(*ngrams).headline == "2 unseen system-call sequences, most of all: what it was"
    assert alert(
        *ngrams,
        evidence(SHELL, 30.0),
        unseen=frozenset({NGRAM, 7, 8, SHELL, MEMFD, ORPHAN, PEER, CLIENT, PTRACE}),
    ).headline == (
        "php-fpm8.2 started /usr/bin/dash as uid 33, never seen in learning; "
        "also 2 more programs, 1 new peer, 1 new system call, 1 new client, "
        "3 new system-call sequences"
    )


def test_an_unseen_program_leads_however_many_bits_its_calls_carry() -> None:
    known, heavy, light = evidence(CLIENT, 99.0), evidence(NGRAM, 80.0), evidence(SHELL, 25.0)
    found = (known, heavy, light, evidence(PEER, 40.0), evidence(PTRACE, 9.0))
    unseen = frozenset({NGRAM, SHELL, PEER, CLIENT, PTRACE})
    assert leading_evidence(found, unseen) is light
    assert leading_evidence(found, unseen - {SHELL}).item == PEER
    assert leading_evidence(found, unseen - {SHELL, PEER}).item == PTRACE
    assert leading_evidence(found, frozenset({NGRAM, CLIENT})) is known
    assert leading_evidence(found, frozenset({NGRAM})) is heavy
    assert leading_evidence(found, frozenset()) is known
    with pytest.raises(ValueError, match="no evidence"):
        leading_evidence((), unseen)


def test_the_id_tells_alerts_apart_and_stays() -> None:
    one = alert(evidence(SHELL, 30.0))
    assert one.id == alert(evidence(SHELL, 30.0)).id
    assert one.id != alert(evidence(MEMFD, 30.0)).id
    assert len(one.id) == 12
    assert int(one.id, 16) >= 0


def test_as_json() -> None:
    found = (
        evidence(SHELL, 30.123456),
        evidence(PEER, 20.0),
        evidence(PTRACE, 12.0),
        evidence(NGRAM, 10.0),
        evidence(FSYNC, 5.0, Seen(NOON - 10**11, NOON - 10**10)),
    )
    shown = alert(*found, unseen=frozenset({SHELL, PEER, PTRACE, NGRAM}))
    document = json.loads(json.dumps(shown.to_dict()))
    shell = [
        {"path": "/usr/sbin/nginx", "script": "", "unlinked": False},
        {"path": "/usr/sbin/php-fpm8.2", "script": "", "unlinked": False},
        {"path": "/usr/bin/dash", "script": "", "unlinked": False},
    ]
    assert document.pop("id") == shown.id
    assert document.pop("headline") == shown.headline
    pieces = document.pop("evidence")
    assert document == {
        "time": "2026-11-23T00:00:00.000000Z",
        "start": "2026-11-22T23:59:59.000000Z",
        "end": "2026-11-23T00:00:00.000000Z",
        "node": "web1",
        "workload": "web",
        "replica": "demo/web",
        "test": "window",
        "reason": "threshold",
        "signal": "executions",
        "bits": 32.11,
        "threshold": 21.99,
        "p_value": 2.16e-10,
        "once_in_seconds": None,
        "load": 1009,
        "by_signal": {
            "ngrams": 10.0,
            "calls": 12.0,
            "executions": 30.12,
            "connections_in": 0,
            "connections_out": 20.0,
            "volumes": 5.0,
        },
        "container": None,
        "process": {
            "pid": 4123,
            "tid": 4124,
            "comm": "sh",
            "executable": "/usr/bin/dash",
            "arguments": ["sh", "-c", "mysql -p[redacted]"],
            "arguments_cut": False,
            "arguments_source": "process memory",
            "lineage": shell[1:],
        },
        "unseen": {
            "ngrams": 1,
            "calls": 1,
            "executions": 1,
            "connections_in": 0,
            "connections_out": 1,
        },
        "unlisted_calls": [],
        "unlisted_ngrams": [],
        "already_reported": 0,
        "folded": 0,
        "flood": None,
    }
    assert pieces[0] == {
        "signal": "executions",
        "description": "what it was",
        "count": 3,
        "bits": 30.12,
        "unseen": True,
        "first_seen": None,
        "last_seen": None,
        "without": 6.79,
        "nearest": "what is normal",
        "item": {"lineage": shell, "uid": 33},
    }
    assert [p["item"] for p in pieces[1:]] == [
        {"direction": "out", "protocol": "tcp", "peer": "2001:db8::9", "port": 4444},
        {"syscall": "ptrace", "symbol": 102},
        {
            "syscalls": ["socket", "connect", "dup2", "dup2", "dup2", "execve"],
            "packed": f"{NGRAM:#018x}",
        },
        {"syscall": "fsync"},
    ]
    assert [pieces[4][key] for key in ("unseen", "first_seen", "last_seen")] == [
        False,
        "2026-11-22T23:58:20.000000Z",
        "2026-11-22T23:59:50.000000Z",
    ]


def test_every_key_of_the_json_is_documented_and_no_other() -> None:
    """Those of incidents are in the table of alerts, too: a line has both."""
    kinds = {"an n-gram": NGRAM, "a call": PTRACE, "an execution": SHELL, "a connection": PEER}
    items = [*kinds.values(), FSYNC]
    told = replace(
        alert(*(evidence(item, 10.0) for item in items)),
        container=Container("3f0d" * 16, "shop/web/nginx"),
        flood=Flood(1.0, 1200, 0, 0),
    )
    document = opened(told).to_dict()
    assert documented("Alerts") == document.keys()
    for part in ("process", "container", "flood", "counts"):
        assert documented(part) == document[part].keys(), part  # type: ignore[attr-defined]  # all objects
    pieces: list[dict[str, Any]] = document["evidence"]  # type: ignore[assignment]  # a list of them
    assert documented("evidence") == pieces[0].keys()
    found = {kind: piece["item"].keys() for kind, piece in zip(rows("item"), pieces, strict=True)}
    assert list(found) == [*kinds, "a volume"]
    assert {kind: names(keys) for kind, keys in rows("item").items()} == found


def test_every_key_of_the_end_of_an_incident_and_of_tampering_is_documented() -> None:
    closed = replace(opened(alert(evidence(SHELL, 30.0))), event=Event.CLOSED, alert=None)
    assert documented("The end of an incident") == closed.to_dict().keys()
    lines: list[str] = []
    JsonLinesSink(lines.append).write_interference(Interference(NOON, "Somebody did something"))
    assert documented("Tampering") == json.loads(lines[0]).keys()


def opened(told: Alert) -> Report:
    """The line with which an alert opens an incident."""
    return Incident.opened_by(told, Folded(), NOON).report(Event.OPENED, NOON, told)


def test_json_says_what_makes_too_little_evidence_an_alert() -> None:
    enough = alert(evidence(SHELL, 30.0))
    little = replace(enough.score, bits=9.2, wholly_new=(Signal.EXECUTIONS,))
    new = replace(enough, score=little)
    flood = replace(
        enough,
        score=replace(little, wholly_new=()),
        test=RaisedBy.FLOOD,
        flood=Flood(1.0, 1200, 0, 0),
    )
    assert [a.to_dict()["reason"] for a in (enough, new, flood)] == [
        "threshold",
        "wholly new",
        "flood",
    ]


def test_what_is_rarer_than_can_be_known_has_no_time() -> None:
    rare = alert(evidence(SHELL, 30.0))
    known = replace(rare, score=replace(rare.score, p_value=1e-9))
    assert rare.score.p_value < 1e-9
    assert rare.to_dict()["once_in_seconds"] is None
    assert known.to_dict()["once_in_seconds"] == 1_230_000.0


def test_what_the_evidence_leaves_out_is_named() -> None:
    told = alert(evidence(PTRACE, 12.0), evidence(NGRAM, 10.0))
    document = replace(told, unseen=frozenset({PTRACE, Call(60), Call(43), NGRAM, 7, 6})).to_dict()
    assert document["unlisted_calls"] == [
        {"syscall": "connect", "symbol": 43},
        {"syscall": "execve", "symbol": 60},
    ]
    assert document["unlisted_ngrams"] == ["0x0000000000000006", "0x0000000000000007"]


def test_what_cannot_be_told_apart_in_a_shift_is_null() -> None:
    piece = replace(evidence(FSYNC, 30.0), without=math.nan)
    document = json.loads(json.dumps(alert(piece, unseen=frozenset()).to_dict()))
    assert document["evidence"][0]["without"] is None


def test_a_process_of_which_little_is_known() -> None:
    process = alert(evidence(PEER, 30.0), process=Process(4123, 4124, "sh", ())).to_dict()[
        "process"
    ]
    assert process == {
        "pid": 4123,
        "tid": 4124,
        "comm": "sh",
        "executable": None,
        "arguments": [],
        "arguments_cut": False,
        "arguments_source": None,
        "lineage": [],
    }


@pytest.mark.parametrize(("name", "shown"), [("shop/web/nginx", "shop/web/nginx"), ("", None)])
def test_the_container(name: str, shown: str | None) -> None:
    found = replace(alert(evidence(PEER, 30.0)), container=Container("3f0d" * 16, name))
    assert found.to_dict()["container"] == {"id": "3f0d3f0d3f0d", "name": shown}


def test_without_a_process() -> None:
    nobody = alert(evidence(PEER, 30.0), process=None)
    assert nobody.to_dict()["process"] is None
    assert nobody.headline == "new peer: tcp out to [2001:db8::9]:4444"
