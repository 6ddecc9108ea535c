"""Which rights it takes, which are enough, and that a command gives up those it does not need."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from processes import Process, Start
from restricted import (
    NOBODY,
    ROOT,
    baseline,
    capability_sets,
    environment,
    give_to,
    restricted,
    run_restricted,
)
from watching import Cgroup, OtherCommand

from baseline.kernel.agents import RUN_DIRECTORY
from baseline.kernel.bpf_syscall import BpfMap
from baseline.kernel.capabilities import Capability
from baseline.kernel.collector import loader_python, pinned_versions
from baseline.kernel.program import BPFFS, PIN_ROOT, Settings, fingerprint
from baseline.kernel.rights import LOADING, SEEDING, WRITING
from baseline.recordings import Recording
from baseline.workloads.cgroups import cgroup2_mount

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("unloaded")]

NEEDED = (*LOADING, *SEEDING)
DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(params=[ROOT, NOBODY], ids=["root", "nobody"])
def user(request: pytest.FixtureRequest) -> Iterator[int]:
    """Who runs the command; somebody other than root has the folders made for them."""
    who: int = request.param
    mode = BPFFS.stat().st_mode
    if who != ROOT:
        give_to(who, PIN_ROOT, RUN_DIRECTORY)
        BPFFS.chmod(0o711)
    yield who
    BPFFS.chmod(mode)
    if PIN_ROOT.exists() and not pinned_versions():
        PIN_ROOT.rmdir()


@pytest.fixture
def folder(user: int) -> Iterator[Path]:
    """A folder of that user, which they can reach."""
    path = Path(tempfile.mkdtemp(prefix="baseline-rights-"))
    give_to(user, path)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What nginx normally does."""
    out = tmp_path_factory.mktemp("rights") / "models"
    subprocess.run(
        map(str, baseline("learn", "--from", DATA / "nginx" / "normal", "--out", out)),
        capture_output=True,
        check=True,
        env=environment(),
    )
    return out


def without(capability: Capability) -> list[Capability]:
    return [other for other in NEEDED if other != capability]


@pytest.mark.parametrize("capability", NEEDED, ids=str)
def test_without_one_of_them_nothing_is_begun(
    capability: Capability, user: int, folder: Path, cgroup: Cgroup
) -> None:
    command = baseline("record", "--cgroup", cgroup.path, "--out", folder / "out")
    done = run_restricted(command, user, without(capability))
    assert (done.returncode, done.stdout) == (1, "")
    purpose = {**LOADING, **SEEDING}[capability]
    assert done.stderr == (
        f"Error: Reading what the kernel counts needs {capability}, which {purpose}. Run the "
        "command with sudo or as deploy/README.md says, or work on a recording with --from.\n"
    )
    assert not pinned_versions()


@pytest.mark.parametrize("capability", NEEDED, ids=str)
def test_the_doctor_names_the_missing_one(capability: Capability, user: int) -> None:
    done = run_restricted(baseline("doctor"), user, without(capability))
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("NO")]
    assert line.startswith("NO  rights: user ")
    assert line.endswith(f" without {capability}")


def load_directly(user: int, capabilities: list[Capability]) -> subprocess.CompletedProcess[str]:
    """Let the loader try, which asks nobody but the kernel."""
    pin = str(PIN_ROOT / fingerprint(Settings()))
    mount = str(cgroup2_mount())
    request = {"settings": {}, "pin": pin, "cgroup_mount": mount, "alone": True}
    command = [loader_python(), "-B", "-m", "baseline.kernel.bcc_loader"]
    return subprocess.run(
        restricted(command, user, capabilities),
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )


def test_the_kernel_loads_with_those_for_loading_alone(user: int) -> None:
    assert load_directly(user, list(LOADING)).stdout == "{}"
    assert pinned_versions() == [PIN_ROOT / fingerprint(Settings())]


@pytest.mark.parametrize("capability", LOADING, ids=str)
def test_the_kernel_itself_refuses_without_one_of_them(capability: Capability, user: int) -> None:
    assert load_directly(user, [c for c in LOADING if c != capability]).stdout != "{}"
    assert not pinned_versions()


def test_all_that_stands_for_others_is_taken_for_them(
    user: int, folder: Path, cgroup: Cgroup
) -> None:
    command = baseline("record", "--cgroup", cgroup.path, "--out", folder / "out")
    done = run_restricted(
        [*command, "--duration", "100ms"], user, [Capability.SYS_ADMIN, Capability.SYS_PTRACE]
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_they_are_enough(
    user: int, folder: Path, cgroup: Cgroup, start: Start, tmp_path: Path
) -> None:
    """Also to see what another user's program was before it was watched."""
    program = cgroup.programs["calls"]
    other = Path(shutil.copy(program, tmp_path / "other"))
    service = cgroup.start_waiting(program, "say", "wait", "exec", other, "110:1009")
    arguments = ("--cgroup", cgroup.path, "--interval", "100ms", "--out", folder / "out")
    record = start(restricted(baseline("record", *arguments), user, NEEDED), env=environment())
    assert record.stderr
    assert record.stderr.readline() == f"Counting {cgroup.path} as {cgroup.path}\n"
    while not (folder / "out").exists():
        assert record.poll() is None
    service.communicate(b".")
    record.send_signal(signal.SIGINT)
    _, talk = record.communicate()
    assert (record.returncode, talk.count("\n")) == (0, 1), talk
    windows = list(Recording(folder / "out").windows())
    assert sum(window.ngrams.total for window in windows) == 1011  # with execve and exit_group
    lineages = {str(execution) for window in windows for execution in window.executions}
    assert lineages == {f"{program} > {other}"}
    assert not pinned_versions()
    assert PIN_ROOT.exists() == (user != ROOT), "a folder that was made for somebody stays"


def test_they_are_enough_for_the_next_version_and_back(
    user: int, cgroup: Cgroup, command: Callable[..., OtherCommand]
) -> None:
    """Each takes over from the one before, which was killed; no call is left out."""
    before = 0
    for slot_bits in (12, 13, 12):
        reader = command(cgroup.path, slot_bits=slot_bits, rights=(user, NEEDED))
        cgroup.run("calls", "110:1009")
        assert reader.read() == {cgroup.path: [(before + 1) * 1011, before + 1, 0]}
        assert pinned_versions() == [PIN_ROOT / fingerprint(Settings(slot_bits=slot_bits))]
        cgroup.run("calls", "110:1009")
        before = 1
        reader.kill()


def test_the_doctor_leaves_what_a_killed_command_counted(
    user: int, cgroup: Cgroup, command: Callable[..., OtherCommand]
) -> None:
    """Of another version, as in an upgrade."""
    killed = command(cgroup.path, keep=False, slot_bits=12, rights=(user, NEEDED))
    killed.read()
    loaded = pinned_versions()
    in_use = run_restricted(baseline("doctor"), user, NEEDED)
    assert in_use.returncode == 1
    assert f"in use by process {killed.process.pid} ({sys.executable} " in in_use.stdout
    assert "Fix: Use that version, or end its commands" in in_use.stdout
    killed.kill()
    after = run_restricted(baseline("doctor"), user, NEEDED)
    assert after.returncode == 0, after.stdout
    assert "in use by nobody: the next command takes its place\n" in after.stdout
    assert pinned_versions() == loaded


@pytest.fixture
def watch(user: int, folder: Path, models: Path, cgroup: Cgroup, start: Start) -> Start:
    """Watches all below the cgroup for what nginx does not do; running when it is returned."""
    shutil.copytree(models, folder / "models")
    give_to(user, folder)
    cgroup.child("first")

    def begin(*options: str, rights: Sequence[Capability] = NEEDED) -> Process:
        arguments = ("--cgroup", f"nginx={cgroup.path}/*", "--models", folder / "models")
        process = start(
            restricted(baseline("watch", *arguments, "--format", "json", *options), user, rights),
            env=environment(),
        )
        assert process.stderr
        for line in process.stderr:
            if line == f"Counting {cgroup.path}/first as nginx\n":
                break
        while capability_sets(process.pid)[process.pid]["CapInh"]:  # goes last
            assert process.poll() is None
        return process

    return begin


def test_a_watch_has_no_rights_and_goes_on(user: int, cgroup: Cgroup, watch: Start) -> None:
    process = watch(rights=(*NEEDED, Capability.SETPCAP))
    none = dict.fromkeys(["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"], 0)
    threads = capability_sets(process.pid)
    assert list(threads.values()) == [{**none, "NoNewPrivs": 1}] * len(threads)
    late = cgroup.child("late")
    late.run("calls", "110:1009")
    assert process.stdout
    alerts = map(json.loads, process.stdout)  # one may be that the first cgroup is quiet
    assert next(a for a in alerts if a["replica"] == late.path)["process"]["pid"] > 0
    process.send_signal(signal.SIGTERM)
    _, talk = process.communicate()
    assert process.returncode == 0
    assert f"Counting {late.path} as nginx\n" in talk
    assert "; nothing lost.\n" in talk
    assert not pinned_versions()


def test_without_setpcap_nothing_is_regained_either(user: int, watch: Start) -> None:
    process = watch()
    sets = capability_sets(process.pid)[process.pid]
    assert sets["NoNewPrivs"] == 1
    assert sets["CapPrm"] == sets["CapEff"] == sets["CapInh"] == sets["CapAmb"] == 0
    assert sets["CapBnd"] == sum(1 << capability for capability in NEEDED)


def test_who_is_not_root_keeps_what_names_containers(user: int, watch: Start) -> None:
    process = watch(rights=(*NEEDED, Capability.DAC_READ_SEARCH))
    sets = capability_sets(process.pid)[process.pid]
    assert sets["CapPrm"] == (0 if user == ROOT else 1 << Capability.DAC_READ_SEARCH)


def test_root_keeps_what_writes_into_the_folders_of_others(
    cgroup: Cgroup, start: Start, tmp_path: Path
) -> None:
    others = tmp_path / "others"
    others.mkdir()
    give_to(NOBODY, others)
    arguments = ("--cgroup", cgroup.path, "--interval", "100ms", "--out", others / "out")
    record = start(baseline("record", *arguments), env=environment())
    while not (others / "out").exists():
        assert record.poll() is None
    kept = sum(1 << capability for capability in WRITING)
    assert {sets["CapPrm"] for sets in capability_sets(record.pid).values()} == {kept}
    record.send_signal(signal.SIGINT)
    record.communicate()
    assert record.returncode == 0
    assert Recording(others / "out").window_count > 0


@pytest.mark.parametrize("user", [ROOT], indirect=True)
def test_it_says_so_when_it_may_not_look_at_what_ran_before(cgroup: Cgroup, watch: Start) -> None:
    """A cgroup that the kernel did not track by itself, so that its programs have to be seen."""
    process = watch("--interval", "2s")
    nurseries = BpfMap.open(PIN_ROOT / fingerprint(Settings()) / "nurseries")
    nurseries.delete(cgroup.folder.stat().st_ino.to_bytes(8, "little"))
    late = cgroup.child("late")
    nurseries.close()
    late.start_waiting("calls", "say", "wait")
    assert process.stderr
    said = (
        "what 1 of the processes in late ran before we looked stays unknown: the right to see them "
        "is given up\n"
    )
    assert said in process.stderr  # among other lines
    assert process.poll() is None


@pytest.mark.parametrize("user", [NOBODY], indirect=True)
def test_it_says_into_which_cgroup_it_may_not_look_and_counts_what_appears_there(
    user: int, folder: Path, cgroup: Cgroup, start: Start
) -> None:
    closed = cgroup.child("closed")
    closed.child("before")
    closed.folder.chmod(0o700)
    arguments = ("--cgroup", f"web={cgroup.path}/*/*", "--interval", "100ms")
    record = start(
        restricted(baseline("record", *arguments, "--out", folder / "out"), user, NEEDED),
        env=environment(),
    )
    assert record.stderr
    assert record.stderr.readline() == (
        f"We may not look into {closed.folder}: of it, only what appears is counted\n"
    )
    assert record.stderr.readline().startswith("Waiting for ")
    late = closed.child("late")
    late.run("calls", "110:1009")
    assert record.stderr.readline() == f"Counting {late.path} as web\n"
    record.send_signal(signal.SIGINT)
    record.communicate()
    assert record.returncode == 0
    windows = list(Recording(folder / "out").windows())
    assert {window.replica for window in windows} == {late.path}
    assert sum(window.ngrams.total for window in windows) == 1011


def test_a_folder_of_somebody_else_is_refused() -> None:
    give_to(NOBODY, PIN_ROOT)
    done = run_restricted(baseline("doctor"), ROOT, NEEDED)
    assert f"{PIN_ROOT} belongs to nobody, not to root\n" in done.stdout
    unload = f"sudo {sys.executable} -m baseline unload\n"
    assert f", or if nobody uses it take it away: {unload}" in done.stdout
    PIN_ROOT.rmdir()


@pytest.mark.parametrize("user", [NOBODY], indirect=True)
def test_nobody_is_told_to_take_away_what_somebody_else_uses(user: int, watch: Start) -> None:
    process = watch()
    command = [*map(str, baseline("doctor"))]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment()
    ).stdout
    assert f"{PIN_ROOT} belongs to nobody, not to root\n" in done
    assert f"; in use by process {process.pid} (baseline watch --cgroup nginx=" in done
    assert "unload" not in done
    may_not_look = run_restricted(baseline("doctor"), ROOT, NEEDED).stdout
    assert ", or if nobody uses it take it away: sudo " in may_not_look


def test_a_folder_that_others_may_write_to_is_refused() -> None:
    RUN_DIRECTORY.mkdir(exist_ok=True)
    RUN_DIRECTORY.chmod(0o777)
    done = run_restricted(baseline("doctor"), ROOT, NEEDED)
    assert f"Others may write to {RUN_DIRECTORY}\n" in done.stdout
    assert f"Fix: Run: chmod 700 {RUN_DIRECTORY}\n" in done.stdout


def test_a_folder_that_is_missing_is_named_with_the_command_that_makes_it() -> None:
    done = run_restricted(
        baseline("doctor"), NOBODY, NEEDED, first="mount -t tmpfs -o mode=755 tmpfs /run"
    )
    assert f"There is no {RUN_DIRECTORY}, and nobody may not make it\n" in done.stdout
    assert f"install -d -m 700 -o nobody {RUN_DIRECTORY}\n" in done.stdout


def test_threads_that_keep_rights_are_counted() -> None:
    script = """if True:
        import threading
        from baseline.kernel.capabilities import threads_with_more
        from baseline.kernel.rights import give_up_rights
        end = threading.Event()
        threading.Thread(target=end.wait).start()
        give_up_rights(print)
        end.set()"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment()},
    )
    assert done.stdout == "1 threads keep rights that are not needed any more\n"
