"""``watch --metrics``: fetched while it runs, from this machine alone."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest
from requirements import missing, require_tools
from restricted import CHECKOUT, baseline, environment

RECORDING = CHECKOUT / "data" / "nginx" / "normal"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("metrics") / "models"
    learn = map(str, baseline("learn", "--from", RECORDING, "--out", out))
    subprocess.run(learn, capture_output=True, check=True, env=environment())
    return out


def command(models: Path, *options: str, recording: Path = RECORDING) -> list[str]:
    watch = baseline("watch", "--from", recording, "--models", models, *options)
    return [str(argument) for argument in watch]


def value_of(name: str, text: str) -> float:
    found = re.search(f'^baseline_{name}{{workload="nginx"}} (.*)$', text, re.MULTILINE)
    assert found
    return float(found[1])


def test_they_are_fetched_from_a_running_watch(models: Path) -> None:
    process = subprocess.Popen(
        command(models, "--pace", "1", "--metrics", "0"),
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stderr
    pattern = re.compile(r"Metrics are at (http://127\.0\.0\.1:\d+/metrics)\n")
    url = next(found[1] for line in process.stderr if (found := pattern.fullmatch(line)))
    windows = 0.0
    while not windows:
        assert process.poll() is None
        with build_opener(ProxyHandler({})).open(url) as answer:
            text = answer.read().decode()
        windows = float(
            re.findall(r'^baseline_windows_total{workload="nginx"} (.*)$', text, re.M)[0]
        )
    assert float(re.findall(r'^baseline_calls_total{workload="nginx"} (.*)$', text, re.M)[0]) > 0
    process.send_signal(signal.SIGINT)
    _, talk = process.communicate()
    assert process.returncode == 0, talk
    assert "; nothing lost.\n" in talk


def test_they_tell_what_is_open_and_what_did_not_arrive(models: Path) -> None:
    intruded = CHECKOUT / "data" / "nginx" / "intruded"
    watch = command(models, "--pace", "5", "--metrics", "0", recording=intruded)
    process = subprocess.Popen(
        watch, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()  # nobody reads it
    pattern = re.compile(r"Metrics are at (http://127\.0\.0\.1:\d+/metrics)\n")
    url = next(found[1] for line in process.stderr if (found := pattern.fullmatch(line)))
    undelivered = re.compile(r'^baseline_undelivered_alerts{destination="stdout"} [1-9]', re.M)
    text = ""
    while not undelivered.search(text):
        assert process.poll() is None
        with build_opener(ProxyHandler({})).open(url) as answer:
            text = answer.read().decode()
    assert value_of("open_incidents", text) == 1
    process.send_signal(signal.SIGINT)
    _, talk = process.communicate()
    assert process.returncode == 1, talk


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, check=False, env=environment())


def test_a_port_in_use_may_be_free_soon(models: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(*command(models, "--metrics", str(port)))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"Error: Metrics cannot be had at 127.0.0.1:{port}: Address already in use. Give --metrics "
        "another port, or try again."
    )


def test_an_open_address_is_wrong_use(models: Path) -> None:
    done = run(*command(models, "--metrics", "0.0.0.0:0"))
    assert done.returncode == 2
    assert "'0.0.0.0:0' would be open to other machines. " in done.stderr


def test_without_the_package_the_error_says_how_to_install_it(models: Path) -> None:
    hide = "import sys; sys.modules['prometheus_client'] = None; "
    begin = "from baseline.cli.main import run; run()"
    done = run(sys.executable, "-c", hide + begin, *command(models, "--metrics", "0")[3:])
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "Error: Metrics need prometheus-client. Install it: "
        f"{sys.executable} -m pip install prometheus-client."
    )


OTHER_ADDRESS = "192.0.2.1"  # for documentation, RFC 5737
REACHES = """if True:
    import socket, sys
    from urllib.error import URLError
    from urllib.request import ProxyHandler, build_opener
    from baseline.alerts.metrics import Address, MetricsServer, WatchMetrics
    def reach(host, port):
        try:
            socket.create_connection((host, port)).close()
        except ConnectionRefusedError:
            return "refused"
        return "reached"
    with MetricsServer(Address.parse("0"), WatchMetrics(["nginx"])) as server:
        port = int(server.url.split(":")[2].split("/")[0])
        print(reach("127.0.0.1", port), reach(sys.argv[1], port))
    with socket.create_server(("0.0.0.0", 0)) as open_to_all:
        print(reach(sys.argv[1], open_to_all.getsockname()[1]))"""


def test_they_cannot_be_reached_at_an_address_of_the_network() -> None:
    require_tools("ip", "unshare")
    if os.geteuid() != 0:
        missing("only root can make a network namespace")
    setup = f"""
        ip link set lo up
        ip link add left type veth peer name right
        ip address add {OTHER_ADDRESS}/24 dev left
        ip link set left up
        ip link set right up
        exec "$@" """
    done = run(
        *("unshare", "--net", "sh", "-ec", setup, "sh"),
        *(sys.executable, "-c", REACHES, OTHER_ADDRESS),
    )
    assert (done.stdout, done.stderr) == ("reached refused\nreached\n", "")
