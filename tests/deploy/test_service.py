"""The service works as the unit in deploy/ allows it to."""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest
from processes import Process, Start
from requirements import require_tools
from restricted import CHECKOUT, capability_sets
from unit import DEPLOY, DROP_INS, UNIT, Service

from baseline.kernel.agents import RUN_DIRECTORY
from baseline.kernel.capabilities import Capability
from baseline.kernel.collector import pinned_versions
from baseline.kernel.program import PIN_ROOT
from baseline.workloads.cgroups import cgroup2_mount


def options(group: Path) -> dict[str, str]:
    """What watch.env would say."""
    return {
        "BASELINE_WATCH_CGROUP": f"nginx={group.name}/*",
        "BASELINE_WATCH_MODELS": "/var/lib/baseline/models",
        "BASELINE_WATCH_FORMAT": "json",
    }


def watching(
    start: Start, group: Path, *drop_ins: Path, command: Sequence[str] = (), **more: str
) -> tuple[Process, str]:
    """The service as its unit starts it, once it counts; and what it said until then."""
    process = start(*command, drop_ins=drop_ins, **options(group), **more)
    assert process.stderr
    said = ""
    for line in process.stderr:
        said += line
        if line == f"Counting {group.name}/first as nginx\n":
            return process, said
    pytest.fail(said)


def enter_shell(group: Path, name: str, program: str = "/bin/true") -> None:
    """Something that nginx never did, in a cgroup of its own."""
    folder = group / name
    folder.mkdir(exist_ok=True)
    script = f'echo $$ > "{folder}/cgroup.procs"; exec {program}'
    subprocess.run(["sh", "-c", script], check=True, stdout=subprocess.DEVNULL)


def await_alert(process: Process, replica: str, signal: str) -> dict[str, Any]:
    """Read alerts up to the one of this cgroup that this signal leads."""
    assert process.stdout
    alerts: Iterator[dict[str, Any]] = map(json.loads, process.stdout)
    return next(a for a in alerts if (a["replica"], a["signal"]) == (replica, signal))


@pytest.mark.kernel
def test_the_service_watches_alerts_and_ends(start: Start, group: Path) -> None:
    script = f'echo $$ > "{group}/first/cgroup.procs"; echo; read line; /bin/true'
    shell = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert shell.stdout
    assert shell.stdout.readline()
    process, _ = watching(start, group)
    shell.communicate(b"\n")
    alert = await_alert(process, f"{group.name}/first", "executions")
    lineage = [image["path"] for image in alert["evidence"][0]["item"]["lineage"]]
    assert lineage == [os.path.realpath(program) for program in ("/bin/sh", "/bin/true")]
    enter_shell(group, "second")
    await_alert(process, f"{group.name}/second", "executions")
    sets = capability_sets(process.pid)[process.pid]
    assert (sets["CapPrm"], sets["CapEff"], sets["NoNewPrivs"]) == (0, 0, 1)
    owner = Path(f"/proc/{process.pid}").stat().st_uid
    assert owner != 0
    assert {path.stat().st_uid for path in (PIN_ROOT, RUN_DIRECTORY)} == {owner}
    process.send_signal(signal.SIGTERM)
    _, talk = process.communicate()
    assert process.returncode == 0, talk
    assert "; nothing lost.\n" in talk
    assert not pinned_versions()
    assert PIN_ROOT.exists(), "root made it for the service"


def rotate(state: Path) -> None:
    """Let logrotate do it as root, where the service's user and folder are as on a real machine."""
    script = f"""
        root=$(mktemp -d); mkdir $root/etc; cp /etc/passwd /etc/group $root/etc
        systemd-sysusers --root=$root {DEPLOY / "sysusers.conf"}
        mount --bind $root/etc/passwd /etc/passwd; mount --bind $root/etc/group /etc/group
        mount --bind {state} /var/lib
        install -m 644 {DEPLOY / "logrotate.conf"} /var/lib/logrotate.conf
        logrotate --force --state /var/lib/logrotate.state /var/lib/logrotate.conf
        umount /etc/passwd /etc/group; rm -r $root"""
    mounts = ["unshare", "--mount", "--propagation", "private"]
    done = subprocess.run(
        [*mounts, "sh", "-ec", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "error" in done.stderr) == (0, False), done.stderr


@pytest.mark.kernel
def test_alerts_are_rotated_as_the_page_says(start: Start, group: Path, state: Path) -> None:
    require_tools("logrotate")
    file = state / "baseline" / "alerts.jsonl"
    process, _ = watching(start, group, BASELINE_WATCH_ALERTS="/var/lib/baseline/alerts.jsonl")

    def told(name: str, program: str) -> None:
        enter_shell(group, name, program)
        await_alert(process, f"{group.name}/{name}", "executions")
        while not (file.exists() and f"{group.name}/{name}" in file.read_text()):
            assert process.poll() is None

    told("before", "/bin/true")
    rotate(state)
    assert not file.exists()
    assert f"{group.name}/before" in file.with_name("alerts.jsonl.1").read_text()
    process.send_signal(signal.SIGHUP)  # as others need it
    told("after", "/usr/bin/id")
    assert file.stat().st_mode & 0o777 == 0o600
    rotate(state)
    assert "before" in gzip.decompress(file.with_name("alerts.jsonl.2.gz").read_bytes()).decode()
    told("later", "/bin/date")
    process.send_signal(signal.SIGTERM)
    _, talk = process.communicate()
    assert process.returncode == 0, talk
    assert talk.count("SIGHUP is not needed") == 1


@pytest.mark.kernel
def test_a_killed_service_leaves_no_gap(start: Start, group: Path) -> None:
    killed, _ = watching(start, group)
    while not any((RUN_DIRECTORY / "positions").glob("*.position")):
        assert killed.poll() is None
    killed.kill()
    killed.wait()
    assert pinned_versions()
    enter_shell(group, "meanwhile")
    process, _ = watching(start, group)
    await_alert(process, f"{group.name}/meanwhile", "executions")
    process.send_signal(signal.SIGTERM)
    _, talk = process.communicate()
    assert process.returncode == 0, talk


@pytest.mark.kernel
@pytest.mark.parametrize("name", ["late.service", "late.slice/late.service"])
def test_a_service_that_does_not_run_yet_is_waited_for(
    start: Start, group: Path, name: str
) -> None:
    """As on a machine that starts, where nothing says who comes first."""
    variables = {**options(group), "BASELINE_WATCH_CGROUP": f"nginx={group.name}/{name}"}
    process = start(**variables)
    assert process.stderr
    below = f"nginx={group.name}/{name} below {cgroup2_mount()}"
    assert f"Waiting for a cgroup of the name {below}\n" in process.stderr
    (group / name).mkdir(parents=True)
    assert f"Counting {group.name}/{name} as nginx\n" in process.stderr
    enter_shell(group, name)
    await_alert(process, f"{group.name}/{name}", "executions")


@pytest.mark.kernel
def test_what_the_machine_lacks_for_a_moment_does_not_end_the_service_for_ever(
    start: Start, group: Path, state: Path
) -> None:
    """Its exit code is not the one after which systemd does not start it again."""
    never_again = int(Service(UNIT).last("RestartPreventExitStatus"))
    models = state / "baseline" / "models"
    models.chmod(0)
    closed = start(**options(group))
    _, talk = closed.communicate()
    assert "Error: /var/lib/baseline/models may not be read by this user." in talk
    assert closed.returncode == 1 != never_again
    models.chmod(0o700)
    wrong = start(**{**options(group), "BASELINE_WATCH_CGROUP": "nginx="})
    _, talk = wrong.communicate()
    assert wrong.returncode == never_again, talk


@pytest.fixture
def next_version(state: Path) -> list[str]:
    """The command of another version, which differs in nothing but what its program is named."""
    for folder in ("baseline", "bpf"):
        shutil.copytree(CHECKOUT / folder, state / "next" / folder)
    with (state / "next" / "bpf" / "tracking.h").open("a") as file:
        file.write("/* of the next version */\n")
    return ["env", "--chdir=/var/lib/next", sys.executable, "-m", "baseline", "watch"]


@pytest.mark.kernel
def test_an_upgrade_and_the_way_back_leave_no_gap(
    start: Start, group: Path, next_version: list[str]
) -> None:
    running, _ = watching(start, group)
    refused = start(*next_version, **options(group))
    _, talk = refused.communicate()
    assert (refused.returncode, talk.count("\n")) == (1, 1), talk
    assert "Another version of the kernel program is used by process" in talk
    (first,) = pinned_versions()
    while not any((RUN_DIRECTORY / "positions").glob("*.position")):
        assert running.poll() is None
    for number, command in enumerate((next_version, [])):
        running.kill()
        running.wait()
        enter_shell(group, f"meanwhile-{number}")
        running, _ = watching(start, group, command=command)
        await_alert(running, f"{group.name}/meanwhile-{number}", "executions")
        while len(pinned_versions()) > 1:  # until the last counts of the old one are taken
            assert running.poll() is None
        assert (pinned_versions() == [first]) == (not command)


@pytest.mark.kernel
def test_the_service_has_metrics_and_names_containers(start: Start, group: Path) -> None:
    """With both drop-ins, which add rights to the unit's own."""
    process, said = watching(start, group, *DROP_INS, BASELINE_WATCH_METRICS="0")
    (url,) = re.findall(r"^Metrics are at (.*)$", said, re.MULTILINE)
    while True:
        with build_opener(ProxyHandler({})).open(url) as answer:
            if 'baseline_windows_total{workload="nginx"} 0.0' not in answer.read().decode():
                break
        assert process.poll() is None
    kept = {sets["CapPrm"] for sets in capability_sets(process.pid).values()}
    assert kept == {1 << Capability.DAC_READ_SEARCH}
    process.send_signal(signal.SIGTERM)
    _, talk = process.communicate()
    assert process.returncode == 0, talk


@pytest.mark.kernel
def test_it_says_so_when_rights_cannot_be_given_up(start: Start, group: Path) -> None:
    process, _ = watching(start, group, Path(__file__).with_name("no-capset.conf"))
    assert process.stderr
    assert process.stderr.readline() == (
        "Rights that are not needed any more cannot be given up: Operation not permitted\n"
    )
    enter_shell(group, "second")
    await_alert(process, f"{group.name}/second", "executions")
