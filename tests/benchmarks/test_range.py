"""The range judges right, and a short run of it on real services finds who came in."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ranges.container import ContainerTarget
from ranges.intruder import intruding
from ranges.java import JavaTarget
from ranges.judging import (
    Kind,
    Line,
    Scene,
    Verdict,
    named,
    new_items,
    of_scene,
    outside,
    own_items,
    told_as,
    uncredited,
    verdict,
)
from ranges.nginx import NginxTarget
from ranges.operating import Operations, Performed, blamed
from ranges.playing import _play
from ranges.postgres import PostgresTarget
from ranges.redis import RedisTarget
from ranges.reporting import Benign, Result, from_json, lines, to_json
from ranges.ssh import SshTarget
from ranges.target import NoEffectError, Scenario, Target, require_success
from ranges.watching import Told
from requirements import require_tools

from baseline.demo.cgroup import OwnCgroup
from baseline.demo.service import Step
from baseline.errors import BaselineError
from baseline.model.score import Call, Item
from baseline.syscalls import pack
from baseline.window import Connection, Execution, Image, NgramCounts, Window
from baseline.workloads.cgroups import cgroup2_mount

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "range.py"
SCENE = Scene("a shell", "web", began=100.0, until=106.0)
SHELL = Execution((Image("/bin/sh"),), 0)
PEER = Connection("out", "tcp", "127.0.0.66", 80)


def evidence(item: Item) -> dict[str, Any]:
    """As docs/alert-format.md has it."""
    if isinstance(item, Execution):
        lineage = [image._asdict() for image in item.lineage]
        return {"signal": "executions", "item": {"lineage": lineage, "uid": item.uid}}
    if isinstance(item, Connection):
        return {"signal": "connections_out", "item": item._asdict()}
    if isinstance(item, Call):
        return {"signal": "calls", "item": {"syscall": "x", "symbol": item.symbol}}
    assert isinstance(item, int)
    return {"signal": "ngrams", "item": {"syscalls": [], "packed": f"{item:#018x}"}}


def told(read: float, workload: str = "web", item: Item = SHELL, **more: Any) -> Told:
    time = f"1970-01-01T00:01:{read - 60:06.3f}Z"
    alert = {"workload": workload, "time": time, "bits": 12.5, "headline": f"told at {read:g}"}
    because = evidence(item)
    return Told(read, alert | {"signal": because["signal"], "evidence": [because]} | more)


def of_incident(read: float, event: str, alerts: int, incident: str = "a", **more: Any) -> Told:
    return told(read, event=event, incident=incident, counts={"alerts": alerts}, **more)


VOLUMES = {"signal": "volumes", "evidence": [{"signal": "volumes", "item": {"syscall": "read"}}]}


def test_the_first_line_about_a_scenario_is_its_detection() -> None:
    found = verdict(SCENE, [told(103.0), told(101.5), told(99.0)], {SHELL: 0.0})
    expected = Verdict("a shell", "web", True, True, "executions", 1.5, 12.5, "told at 101.5")
    assert found == expected._replace(watched=6.0)


@pytest.mark.parametrize(
    "line",
    [
        told(99.9),
        told(106.1),
        told(101.0, "another"),
        told(101.0, event="closed"),
        told(101.0, time="1970-01-01T00:01:39.500Z"),
    ],
    ids=["before", "too late", "another workload", "an end", "judged a time before"],
)
def test_other_lines_are_none(line: Told) -> None:
    assert of_scene(SCENE, [line]) == []
    assert not verdict(SCENE, [line], {SHELL: 0.0}).detected


def test_more_of_an_incident_is_a_detection_and_more_false_alerts_in_one_incident() -> None:
    opened, updated = of_incident(101.0, "opened", 1), of_incident(102.0, "updated", 4)
    other, closed = of_incident(103.0, "opened", 1, "b"), of_incident(104.0, "closed", 6)
    assert of_scene(SCENE, [updated]) == [updated]
    told_ = [opened, updated, other, closed]
    found = benign(*uncredited(told_, told_))
    assert [line.alerts for line in found.lines] == [1, 3, 1, 2]  # two were held back to the end
    assert found.alerts == 7
    assert found.incidents == 2
    text = "\n".join(lines(result([], found)))
    assert "7 alerts in 2 incidents" in text
    assert "web, under load alone, of the same incident (3 alerts): 12.5 bits" in text
    assert to_json(result([], found))["benign"]["alerts"] == 7


def test_the_end_of_an_incident_of_which_all_was_told_is_no_alert() -> None:
    told_ = [of_incident(101.0, "opened", 1), of_incident(104.0, "closed", 1)]
    assert [line.explanation for line in uncredited(told_, told_)] == ["told at 101"]


def test_a_line_is_credited_for_what_is_new_in_the_scenario_alone() -> None:
    chance = told(101.0, item=PEER)
    found = verdict(SCENE, [chance], {SHELL: 0.0, 3: 0.5})
    assert not found.detected
    assert found.others == (Line("web", 12.5, "told at 101"),)
    assert "another alert: 12.5 bits: told at 101" in "\n".join(lines(result([found])))
    later = verdict(SCENE, [chance, told(102.0, item=3), told(103.0)], {SHELL: 0.0, 3: 0.5})
    assert later.explanation == "told at 102"
    assert later.seconds == pytest.approx(2.0)
    assert [line.explanation for line in later.others] == ["told at 101"]


@pytest.mark.parametrize(
    "more",
    [
        {"unlisted_ngrams": ["0x0000000000000003"]},
        {"unlisted_calls": [{"syscall": "x", "symbol": 3}]},
    ],
)
def test_what_evidence_has_no_room_for_is_named_too(more: dict[str, Any]) -> None:
    assert verdict(SCENE, [told(101.0, item=PEER, **more)], {3: 0.0}).detected


def test_a_call_that_was_never_made_is_named_by_the_sequences_that_end_in_it() -> None:
    ngram = int(pack(np.array([[7, 7, 7, 7, 7, 293]]))[0])
    assert verdict(SCENE, [told(101.0, item=Call(293))], {ngram: 0.0}).detected
    assert not verdict(SCENE, [told(101.0, item=Call(7))], {ngram: 0.0}).detected


def test_what_is_new_is_compared_as_alerts_name_it_without_secrets() -> None:
    lineage = (Image("/srv/--password=hunter2"),)
    (named_,) = told_as([Execution(lineage, 0)])
    assert "hunter2" not in str(named_)


def test_an_alert_before_the_first_new_behaviour_is_not_of_it() -> None:
    found = verdict(SCENE, [told(100.4)], {SHELL: 0.5})
    assert not found.detected
    assert [line.explanation for line in found.others] == ["told at 100.4"]


def test_volumes_count_where_nothing_is_new_or_nothing_else_is_played() -> None:
    line = told(101.0, **VOLUMES)
    beside = Scene("another", "db", began=99.0, until=100.5)
    before = beside._replace(until=99.9)
    assert verdict(SCENE, [line], {SHELL: 0.0}, [SCENE]).detected
    assert verdict(SCENE, [line], {SHELL: 0.0}, [SCENE, before]).detected
    assert not verdict(SCENE, [line], {SHELL: 0.0}, [SCENE, beside]).detected
    assert verdict(SCENE, [line], {}, [SCENE, beside]).detected
    assert not verdict(SCENE, [told(101.0)], {}, [SCENE]).detected


def test_alerts_read_back_are_those_that_watch_writes() -> None:
    text = (PROGRAM.parents[1] / "docs" / "alert-format.md").read_text()
    example = re.search(r"```json\n(.*?)```", text, re.S)
    assert example
    items = named(json.loads(example[1]))
    assert Connection("out", "tcp", "127.0.0.66", 35799) in items
    assert {0x0038080B90241C11, 0x00040100401010CB} <= items
    lineage = tuple(map(Image, ("/usr/sbin/nginx", "/usr/bin/dash", "/usr/bin/curl")))
    assert Execution(lineage, 65534) in items


def test_lines_outside_of_scenarios_are_told_apart() -> None:
    before, within, after = told(99.0), told(101.0), told(107.0)
    elsewhere = told(101.0, "db")
    found = outside([SCENE], [before, within, after, elsewhere])
    assert [line.explanation for line in found] == ["told at 99", "told at 107", "told at 101"]
    text = "\n".join(lines(result([], outside=found)))
    assert "Outside of scenarios, while these were played: 3 alerts" in text
    assert "db: 12.5 bits: told at 101" in text


def test_a_scenario_without_effect_is_neither_detected_nor_missed() -> None:
    failed = verdict(SCENE._replace(failure="nothing answered"), [told(101.0)], {SHELL: 0.0})
    assert not failed.detected
    assert "nothing answered" in "\n".join(lines(result([failed])))
    stored = to_json(result([failed]))
    assert stored["scenarios"] == []
    assert stored["not_judged"][0]["failure"] == "nothing answered"


def test_novelty_that_is_not_known_counts_as_novel() -> None:
    unknown = verdict(SCENE, [told(101.0)], None)
    assert unknown.novel
    assert not unknown.detected
    text = list(lines(result([unknown])))
    assert any(line.endswith("no alert, novelty unknown") for line in text)
    assert "Detected 0% (0 of 1) of all, 0% (0 of 1) of what does anything new" in text


@pytest.mark.parametrize(
    "error",
    [
        subprocess.TimeoutExpired("ssh", 30),
        http.client.BadStatusLine("?"),
        BaselineError("It failed", "Try"),
        KeyError("x"),
    ],
)
def test_a_scenario_that_ends_in_any_error_is_told_as_failed(error: Exception) -> None:
    def fail() -> None:
        raise error

    target: Any = SimpleNamespace(name="web")
    (scene,) = _play([(target, Scenario("a shell", fail, Kind.HELPER))], 0)
    assert scene.failure == str(error)
    assert (scene.name, scene.kind) == ("a shell", "helper")


def window(start: float, *items: Item) -> Window:
    ngrams = [item for item in items if isinstance(item, int)]
    return Window(
        "web",
        "web/1",
        int(start * 1e9),
        int((start + 1) * 1e9),
        10**9,
        NgramCounts.collect(np.array(ngrams, np.uint64), np.ones(len(ngrams), np.int64)),
        {item: 1 for item in items if isinstance(item, Execution)},
        {item: 1 for item in items if isinstance(item, Connection)},
    )


def test_new_is_what_neither_learning_nor_time_without_scenarios_has() -> None:
    other = SCENE._replace(name="a call", began=110.0, until=111.0)
    windows = [
        window(98, 1, 2),  # 2 is what a service does when it idles
        window(99.5, 1, 2, 3, SHELL),
        window(100.5, 1, 3, 5),
        window(108, 1, 2),
        window(110, 1, 4, PEER),
    ]

    def novelties(scene: Scene, known: Sequence[Item]) -> dict[Item, float]:
        return new_items(scene, windows, [SCENE, other], lambda item: item in known)

    assert novelties(SCENE, [1]) == {3: 0, SHELL: 0, 5: pytest.approx(0.5)}
    assert novelties(other, [1]) == {4: 0, PEER: 0}
    assert novelties(SCENE, [1, 3, 5, SHELL]) == {}


def test_what_one_of_two_plays_shows_is_chance() -> None:
    assert own_items([{3: 0.4, SHELL: 0.2}, {3: 0.6, 9: 0.0}]) == {3: 0.4}
    assert own_items([{3: 0.4}, {}]) == {}


def test_what_was_played_less_than_twice_is_not_known() -> None:
    assert own_items([{3: 0.4}]) is None
    assert own_items([]) is None


def test_seconds_are_counted_from_the_first_new_thing() -> None:
    lead_in = verdict(SCENE, [told(102.0)], {3: 1.8, SHELL: 1.6})
    assert lead_in.seconds == pytest.approx(0.4)
    assert lead_in.novel
    volumes = verdict(SCENE, [told(102.0, **VOLUMES)], {})
    assert volumes == lead_in._replace(novel=False, seconds=2.0, signal="volumes")


def test_an_alert_is_put_down_to_the_latest_operation_of_its_service() -> None:
    performed = [
        Performed("reload", "web", 10, 10.1),
        Performed("restart", "web", 14, 15),
        Performed("backup", "db", 16, 17),
    ]
    assert blamed(performed, "web", 18.0) == "restart"
    assert blamed(performed, "web", 12.0) == "reload"
    assert blamed(performed, "web", 40.0) == ""
    assert blamed(performed, "web", 9.0) == ""


def operated(take: Callable[[], object]) -> Operations:
    """What was performed, once."""
    operations = Operations([], 1.0, 0)
    operations.perform("web", Step("backup", take))
    return operations


def test_operations_without_effect_are_told_apart() -> None:
    failing = partial(subprocess.Popen, ["/bin/false"])
    failed = operated(lambda: require_success(failing(), "gzip"))
    assert failed.counted() == {}
    assert failed.counted(failed=True) == {"web": {"backup": 1}}
    assert "exit status is 1" in failed.performed[0].failure
    worked = operated(lambda: require_success(subprocess.Popen(["/bin/true"]), "gzip"))
    assert (worked.counted(), worked.counted(failed=True)) == ({"web": {"backup": 1}}, {})
    text = "\n".join(lines(result([], benign()._replace(failed=failed.counted(failed=True)))))
    assert "web, without effect: 1 backup" in text


def test_an_operation_that_raises_ends_the_run() -> None:
    def fail() -> None:
        raise subprocess.CalledProcessError(1, "runc")

    failed = threading.Event()

    def restart() -> None:
        failed.set()
        fail()

    target: Any = SimpleNamespace(name="web", operations=lambda: [Step("restart", restart)])
    with (
        pytest.raises(BaselineError, match="did not survive its restart"),
        Operations([target], 0.01, 0).running(),
    ):
        assert failed.wait(30)


def test_what_lasts_is_blamed_as_long_as_it_does() -> None:
    operations = Operations([], 1.0, 0)
    with operations.lasting("web", "a new replica", nullcontext()):
        assert operations.performed == []
    (performed,) = operations.performed
    while_it_lasts = performed._replace(began=100.0, ended=500.0)
    assert performed.began <= performed.ended
    assert blamed([while_it_lasts], "web", 400.0) == "a new replica"


def benign(*told_: Line) -> Benign:
    operations = {"web": {"reload": 3}}
    return Benign(30, 2.5, "1/hour", 2.5, told_, operations, {}, ("a new replica",))


def result(
    verdicts: Sequence[Verdict], normal: Benign | None = None, outside: Sequence[Line] = ()
) -> Result:
    return Result("2026-11-30", 60, verdicts, normal or benign(), outside)


def test_the_report_counts_what_was_found_and_fits_80_columns() -> None:
    verdicts = [
        Verdict("a shell " * 8, "web", True, True, "executions", 0.5, 12.5, "sh started " * 12),
        Verdict("slow", "web", True, True, "ngrams", 2.5, 30.0, "sequences", watched=360.0),
        Verdict("missed", "web", True, False),
        Verdict("nothing of its own", "db", False, False),
        Verdict("a helper", "db", True, True, "calls", 0.5, 9.0, "call", kind=Kind.HELPER),
    ]
    alert = Line("web", 20.0, "something", during="reload")
    text = list(lines(result(verdicts, benign(alert))))
    assert max(map(len, text)) <= 80
    rows = [line.split() for line in text if re.match(r"(web|db|all) +\d", line)]
    assert rows == [
        ["web", "3", "2", "3", "2", "1"],
        ["db", "1", "0", "0", "0", "0"],
        ["all", "4", "2", "3", "2", "1"],
        ["db", "1", "1", "1", "1", "1"],
        ["all", "1", "1", "1", "1", "1"],
    ]
    assert "Detected 50% (2 of 4) of all, 67% (2 of 3) of what does anything new" in text
    assert "Detected 100% (1 of 1) of all, 100% (1 of 1) of what does anything new" in text
    assert "By chance: 0.0 alerts in the 6 minutes of these scenarios" in text  # 0.4 an hour
    assert "  web: 3 reload" in text
    assert any("during reload: 20.0 bits: something" in line for line in text)


def test_chance_is_what_normal_time_would_have_told_meanwhile() -> None:
    found = Verdict("a shell", "web", True, False, watched=1800.0)
    normal = benign(Line("web", 20.0, "something", alerts=5))  # two an hour
    assert "By chance: 1.0 alerts in the 30 minutes of these scenarios" in lines(
        result([found], normal)
    )


def test_the_json_is_what_the_requirement_says() -> None:
    judged = Verdict("a", "web", True, True, "ngrams", 0.51234, 30.0, "x", watched=6.0)
    there_before = Verdict("b", "web", True, False, kind=Kind.IMPLANT)
    found = to_json(result([judged, there_before]))
    assert [s["name"] for s in found["resident"]] == ["b"]
    scenario = {"name": "a", "service": "web", "novel": True, "detected": True, "signal": "ngrams"}
    scenario |= {"seconds": 0.512, "bits": 30.0, "explanation": "x", "kind": "way in"}
    scenario |= {"failure": "", "novelty_known": True, "watched": 6.0, "others": []}
    assert found["scenarios"] == [scenario]
    counted = {"hours": 2.5, "alerts": 0, "incidents": 0, "budgeted_alerts": 2.5}
    assert counted.items() <= found["benign"].items()
    assert json.loads(json.dumps(found)) == found


def test_the_report_of_what_is_stored_is_that_of_the_run(tmp_path: Path) -> None:
    other = Line("web", 9.0, "chance", alerts=2, opened=False)
    whole = result(
        [
            Verdict("a", "web", True, True, "ngrams", 0.5, 30.0, "x", watched=6.0, others=(other,)),
            Verdict("b", "db", True, False, kind=Kind.HELPER, novelty_known=False),
            Verdict("c", "db", True, False, kind=Kind.IMPLANT, failure="nothing answered"),
        ],
        benign(other._replace(during="reload"))._replace(failed={"web": {"backup": 1}}),
        (other,),
    )
    stored = json.loads(json.dumps(to_json(whole)))
    assert list(lines(from_json(stored))) == list(lines(whole))
    path = tmp_path / "range.json"
    path.write_text(json.dumps(stored))
    done = subprocess.run(
        [sys.executable, PROGRAM, "--report", path], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == list(lines(whole))


def test_the_page_shows_the_report_of_the_result_beside_it() -> None:
    docs = PROGRAM.parents[1] / "docs"
    stored = json.loads((docs / "range.json").read_text())
    report = "\n".join(lines(from_json(stored)))
    assert f"```\n{report}\n```" in (docs / "range.md").read_text()
    assert to_json(from_json(stored)) == stored


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"benign": 3}'])
def test_what_is_no_result_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "range.json"
    path.write_text(text)
    done = subprocess.run(
        [sys.executable, PROGRAM, "--report", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "holds no result of the range" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_normal_time_nothing_is_said_of_chance() -> None:
    found = Verdict("a shell", "web", True, False, watched=1800.0)
    text = "\n".join(lines(result([found], benign()._replace(hours=0.0))))
    assert "By chance" not in text


def test_without_a_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BaselineError, match="apt install gcc"), intruding():
        pass


def without_effect(tmp_path: Path) -> dict[str, Target[Any]]:
    """Services of which every client and every program fails, without a word."""
    stale = tmp_path / "elsewhere" / "authorized_keys"
    stale.parent.mkdir()
    stale.write_bytes(b"REDIS of another time")
    (tmp_path / "backup.sql").write_text("-- dump complete, yesterday")

    def failing(*_: Any, **__: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["/bin/false"])

    server: Any = SimpleNamespace(
        folder=tmp_path,
        exchange=tmp_path,
        address="127.0.0.1",
        port=1,
        process=SimpleNamespace(pid=2**30),
        client=lambda *_: b" 1\n",  # as where an extension is there already
        ask=lambda *_: b"refused: no file updates",
        write_elsewhere=lambda: None,
        enter=failing,
        cgroup=SimpleNamespace(start=failing),
    )
    kinds = (NginxTarget, RedisTarget, PostgresTarget, SshTarget, JavaTarget, ContainerTarget)
    return {kind.__name__: kind(server) for kind in kinds}


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        ("ContainerTarget", "somebody enters the container"),
        ("JavaTarget", "a deserialised object leaves a crontab from the JVM"),
        ("PostgresTarget", "a query computes inside PostgreSQL"),
        ("PostgresTarget", "dblink calls another machine"),
        ("RedisTarget", "redis writes a file elsewhere"),
    ],
)
def test_a_scenario_has_to_have_its_effect(tmp_path: Path, kind: str, title: str) -> None:
    intruder: Any = SimpleNamespace(tool="", stage="", listener=1, heard=[b"of another"])
    steps = {step.title: step for step in without_effect(tmp_path)[kind].ways_in(intruder)}
    with pytest.raises(NoEffectError):
        steps[title].take()


@pytest.mark.parametrize(
    ("kind", "titles"),
    [
        ("NginxTarget", ["cron job"]),
        ("RedisTarget", ["health check", "backup"]),
        ("PostgresTarget", ["reload", "vacuum", "logical backup", "physical backup"]),
        ("SshTarget", ["cron job"]),
        ("JavaTarget", ["health check", "backup"]),
        ("ContainerTarget", ["health check", "cron job"]),
    ],
)
def test_an_operation_has_to_have_its_effect(tmp_path: Path, kind: str, titles: list[str]) -> None:
    steps = {step.title: step for step in without_effect(tmp_path)[kind].operations()}
    for title in titles:
        with pytest.raises(NoEffectError):
            steps[title].take()


@pytest.mark.kernel
def test_a_helper_has_no_rights_but_those_of_the_account() -> None:
    with OwnCgroup(f"baseline-range-test-{os.getpid()}/web") as cgroup:
        target = NginxTarget(SimpleNamespace(cgroup=cgroup))  # type: ignore[arg-type]
        process = target._start_as_account(
            ["/bin/sh", "-c", "cat /proc/self/cgroup; id -u"], stdout=subprocess.PIPE
        )
        answer = process.communicate()[0].decode().splitlines()
    assert f"0::/{cgroup.path}" in answer
    assert answer[-1] == "65534"


@pytest.mark.kernel
def test_a_short_run_finds_who_came_in(tmp_path: Path) -> None:
    require_tools("nginx", "redis-server", "gcc", "curl")
    out = tmp_path / "range.json"
    options = "--services nginx redis --learn 0.3 --benign 0.1 --scenarios".split()
    wanted = "a web shell runs a command", "a helper starts a shell"
    done = subprocess.run(
        [sys.executable, PROGRAM, *options, *wanted, "--json", out],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    found = {s["name"]: s for s in result["scenarios"]}
    assert set(found) == set(wanted)
    assert all(s["novel"] and s["detected"] for s in found.values())
    told = found[wanted[0]]["explanation"]  # of the shell, or of the call that prepares its start
    assert "/usr/bin/dash" in told or told.startswith("never made ")
    assert result["benign"]["hours"] == pytest.approx(2 * 0.1 / 60, abs=1e-3)
    assert [s["kind"] for s in found.values()] == ["way in", "helper"]
    assert done.stdout.count("Detected 100% (1 of 1) of all") == 2


@pytest.mark.kernel
def test_what_is_terminated_takes_all_of_it_away() -> None:
    require_tools("redis-server", "gcc")
    command = [sys.executable, PROGRAM, "--services", "redis", "--learn", "5"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        assert any("Learning" in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 128 + signal.SIGTERM
    assert not list(cgroup2_mount().glob(f"baseline-range-{process.pid}"))
