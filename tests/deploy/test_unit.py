"""The unit in deploy/: systemd finds nothing wrong with it, and the service works as it allows."""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import click
import pytest
from requirements import require_tools
from restricted import CHECKOUT, baseline, capability_sets, environment
from unit import DEPLOY, UNIT, Service

from baseline.cli.main import COMMANDS, LazyGroup
from baseline.kernel.agents import RUN_DIRECTORY
from baseline.kernel.capabilities import Capability
from baseline.kernel.collector import pinned_versions
from baseline.kernel.program import BPFFS, PIN_ROOT
from baseline.kernel.rights import LOADING, SEEDING
from baseline.kernel.unloading import unload
from baseline.workloads.cgroups import cgroup2_mount

DROP_INS = [DEPLOY / "containers.conf", DEPLOY / "metrics.conf"]
SANDBOX = Path(__file__).with_name("sandbox.py")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit and its drop-ins where README.md says, below a folder that stands for the root."""
    require_tools("systemd-analyze")
    program = tmp_path / Service(UNIT).last("ExecStart").split()[0].lstrip("/")
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for used in ("usr/bin/chmod", "usr/bin/install"):
        (tmp_path / used).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(program, tmp_path / used)
    units = tmp_path / "etc" / "systemd" / "system"
    drop_ins = units / f"{UNIT.name}.d"
    drop_ins.mkdir(parents=True)
    shutil.copy(UNIT, units)
    for file in DROP_INS:
        shutil.copy(file, drop_ins)
    # What every unit refers to.
    shutil.copytree("/usr/lib/systemd/system", tmp_path / "usr/lib/systemd/system", symlinks=True)
    return tmp_path


def analyze(*arguments: object) -> str:
    done = subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_finds_nothing_wrong(installed: Path) -> None:
    said = analyze("verify", f"--root={installed}", UNIT.name)
    assert UNIT.name not in said


def test_a_mistake_in_it_would_be_found(installed: Path) -> None:
    unit = installed / "etc" / "systemd" / "system" / UNIT.name
    unit.write_text(unit.read_text().replace("ProtectClock=", "ProtectClocks="))
    assert "ProtectClocks" in analyze("verify", f"--root={installed}", UNIT.name)


@pytest.mark.parametrize("drop_ins", [False, True])
def test_its_exposure_is_as_the_page_says(installed: Path, drop_ins: bool) -> None:
    stated = re.search(
        r"^systemd-analyze security .* # (.*); (.*) with both drop-ins \(systemd (\d+)\)$",
        (DEPLOY / "README.md").read_text(),
        re.MULTILINE,
    )
    assert stated
    if not drop_ins:
        shutil.rmtree(installed / "etc" / "systemd" / "system" / f"{UNIT.name}.d")
    said = analyze("security", f"--root={installed}", "--offline=true", UNIT.name)
    found = re.search(r"Overall exposure level .*: (\S+ \S+)", said)
    assert found
    if stated[3] in analyze("--version").split("(")[0]:
        assert found[1] == stated[1 + drop_ins]
    else:  # which weighs a little differently
        assert found[1].endswith(" OK")


def test_it_has_the_capabilities_that_are_needed_and_no_others() -> None:
    service = Service(UNIT)
    needed = {str(capability) for capability in (*LOADING, *SEEDING)}
    assert {*service.words("CapabilityBoundingSet")} == needed
    assert {*service.words("AmbientCapabilities")} == needed
    containers = Service(DROP_INS[0])
    assert containers.words("AmbientCapabilities") == [str(Capability.DAC_READ_SEARCH)]
    assert containers.words("CapabilityBoundingSet") == [str(Capability.DAC_READ_SEARCH)]


def test_the_page_says_how_to_run_other_commands_with_the_same() -> None:
    (sets,) = re.findall(r"^caps=-all,(.*)$", (DEPLOY / "README.md").read_text(), re.MULTILINE)
    words = Service(UNIT).words("CapabilityBoundingSet")
    assert sets == ",".join(f"+{word.removeprefix('CAP_').lower()}" for word in words)


def test_the_variables_are_options() -> None:
    context = click.Context(click.Command("baseline"))
    watch = LazyGroup().get_command(context, "watch")
    assert watch
    known = {option.envvar for option in watch.params if isinstance(option, click.Option)}
    text = (DEPLOY / "watch.env").read_text() + "\n".join(Service(*DROP_INS).all("Environment"))
    named = set(re.findall(r"^#?(BASELINE_\w+)=", text, re.M))
    assert "BASELINE_WATCH_CGROUP" in named
    assert "BASELINE_WATCH_METRICS" in named
    assert named <= known
    assert "watch" in COMMANDS


@pytest.fixture
def state() -> Iterator[Path]:
    """What stands for /var/lib, with models of nginx; nothing is in the kernel before and after."""
    require_tools("systemd-analyze", "systemd-sysusers", "setpriv")
    unload()
    mode = BPFFS.stat().st_mode
    folder = Path(tempfile.mkdtemp(prefix="baseline-unit-"))
    folder.chmod(0o755)
    learn = baseline(
        *("learn", "--from", CHECKOUT / "data" / "nginx" / "normal"),
        *("--out", folder / "baseline" / "models"),
    )
    (folder / "baseline").mkdir()
    subprocess.run(map(str, learn), capture_output=True, check=True, env=environment())
    yield folder
    unload()
    BPFFS.chmod(mode)
    shutil.rmtree(folder)


@pytest.fixture
def group() -> Iterator[Path]:
    """A cgroup with an empty one in it, to be filled with others."""
    folder = cgroup2_mount() / f"baseline-unit-test-{os.getpid()}"
    (folder / "first").mkdir(parents=True)
    yield folder
    (folder / "cgroup.kill").write_text("1")  # what a test that failed has left
    while "populated 1" in (folder / "cgroup.events").read_text():
        pass
    for below, _, _ in os.walk(folder, topdown=False):
        Path(below).rmdir()


Process = subprocess.Popen[str]
Start = Callable[..., Process]


@pytest.fixture
def start(state: Path) -> Iterator[Start]:
    """Starts the service, or another command in its place."""
    started: list[Process] = []

    def begin(*command: str, drop_ins: Sequence[Path] = (), **variables: str) -> Process:
        files = [str(file) for file in (UNIT, *drop_ins)]
        paths = os.pathsep.join(map(str, (CHECKOUT, SANDBOX.parent, SANDBOX.parents[1])))
        process = subprocess.Popen(
            [
                *("unshare", "--mount", "--propagation", "private"),
                *(sys.executable, str(SANDBOX), str(state), *files, "--", *command),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment(), "PYTHONPATH": paths, **variables},
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


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


FORBIDDEN = {
    "write": ("open('/etc/baseline-test', 'w')", "Read-only file system"),
    "tunables": ("open('/proc/sys/kernel/hostname', 'w')", "Permission denied|Read-only"),
    "pins of others": ("os.mkdir('/sys/fs/bpf/others')", "Permission denied|Read-only"),
    "shadow": ("open('/etc/shadow')", "Permission denied"),
    "home": ("os.listdir('/home')", "Permission denied"),
    "processes": ("open('/proc/1/stat')", "Operation not permitted|Permission denied"),
    "device": ("open('/dev/kmsg')", "No such file"),
    "network": ("socket.socket()", "Operation not permitted"),
    "unix": ("socket.socket(socket.AF_UNIX)", "Operation not permitted"),
    "code": ("mmap.mmap(-1, 4096, prot=7)", "Permission denied|Operation not permitted"),
    "namespace": ("libc(libc_unshare(0x10000000))", "Operation not permitted"),
    "trace": ("libc(libc_ptrace(16, os.getppid(), 0, 0))", "Operation not permitted"),
    "io_uring": ("libc(libc_syscall(425, 1, 0))", "Operation not permitted"),
    "core": ("print(resource.getrlimit(resource.RLIMIT_CORE))", r"\(0, 0\)"),
    "umask": ("print(oct(os.umask(0)))", "0o77$"),
}
"""What the service may not do -> Python that tries it, and how it is refused."""

TRY = """if True:
    import ctypes, mmap, os, resource, socket, sys
    library = ctypes.CDLL(None, use_errno=True)
    libc_unshare, libc_ptrace, libc_syscall = library.unshare, library.ptrace, library.syscall
    def libc(result):
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    # As the watch is when it counts: the rights for the beginning are given up.
    from baseline.kernel.rights import give_up_rights
    give_up_rights(print)
    for line in sys.argv[1:]:
        try:
            exec(line)
        except OSError as error:
            print(error.strerror)
        else:
            "print" in line or print("done")"""


@pytest.mark.kernel
def test_the_sandbox_of_these_tests_is_one(start: Start) -> None:
    process = start(sys.executable, "-c", TRY, *(line for line, _ in FORBIDDEN.values()))
    out, err = process.communicate()
    assert err == ""
    answers = dict(zip(FORBIDDEN, out.splitlines(), strict=True))
    wrong = {
        name: answers[name]
        for name, (_, refusal) in FORBIDDEN.items()
        if not re.match(refusal, answers[name])
    }
    assert not wrong
