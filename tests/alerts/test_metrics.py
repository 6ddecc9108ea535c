"""What a watch counts for Prometheus, and that nobody but this machine may fetch it."""

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

from baseline import __version__
from baseline.alerts.delivery import Delivery
from baseline.alerts.destinations import StreamDestination
from baseline.alerts.detector import Detector
from baseline.alerts.incident import QUIET, Incidents
from baseline.alerts.metrics import Address, MetricsServer, WatchMetrics
from baseline.errors import BaselineError, UsageError
from baseline.model.budget import Budget
from baseline.model.score import Signal
from baseline.model.workload_model import WorkloadModel
from baseline.recordings import Recording
from baseline.sighting import Sighting
from baseline.syscalls import ARCHITECTURE
from baseline.window import Execution, Image, Ledger, Tally, Window

ROOT = Path(__file__).parents[2]
SHELL = Execution((Image("/usr/sbin/nginx"), Image("/bin/sh")), 33)
SECOND = 10**9


@pytest.fixture(scope="module")
def windows() -> list[Window]:
    return list(Recording(ROOT / "data" / "nginx" / "normal").windows())


@pytest.fixture(scope="module")
def models(windows: list[Window]) -> dict[str, WorkloadModel]:
    model = WorkloadModel.fit(windows, ARCHITECTURE).with_budget(Budget.parse("2/hour"))
    return {"nginx": model}


class Watched:
    """A detector with its metrics, which can be fetched."""

    def __init__(self, models: dict[str, WorkloadModel]) -> None:
        self.detector = Detector(models)
        self.metrics = WatchMetrics(models)
        self.url = ""

    def observe(self, *observations: Window | Sighting) -> None:
        for observation in observations:
            alert = self.detector.observe(observation)
            self.metrics.observe(observation, alert, self.detector)

    def fetch(self) -> dict[str, float]:
        return fetch(self.url)


def fetch(url: str) -> dict[str, float]:
    """Series -> value, as they are answered."""
    with build_opener(ProxyHandler({})).open(url) as answer:
        assert answer.status == 200
        lines = answer.read().decode().splitlines()
    series = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in series}


@pytest.fixture
def watched(models: dict[str, WorkloadModel]) -> Iterator[Watched]:
    made = Watched(models)
    with MetricsServer(Address.parse("0"), made.metrics) as server:
        made.url = server.url
        yield made


def of(name: str, signal: str = "") -> str:
    label = f'signal="{signal}",' if signal else ""
    return f'baseline_{name}{{{label}workload="nginx"}}'


def test_all_begin_at_zero(watched: Watched) -> None:
    fetched = watched.fetch()
    ours = {name: v for name, v in fetched.items() if 'workload="nginx"' in name}
    assert len(ours) == 3 + 3 * 4 + 3 + len(Signal) + 1
    assert set(ours.values()) == {0}
    assert fetched[f'baseline_build_info{{version="{__version__}"}}'] == 1
    assert fetched["process_cpu_seconds_total"] > 0
    assert fetched["process_resident_memory_bytes"] > 1 << 20


def test_windows_and_their_ledgers_are_counted(watched: Watched, windows: list[Window]) -> None:
    watched.observe(*windows[:7])
    fetched = watched.fetch()
    assert fetched[of("windows_total")] == 7
    assert fetched[of("calls_total")] == sum(w.ngrams.total for w in windows[:7]) > 0
    assert fetched[of("last_window_timestamp_seconds")] == pytest.approx(windows[6].end / SECOND)
    score = watched.detector.score_of("nginx")
    assert fetched[of("score_bits")] == score.bits
    assert fetched[of("threshold_bits")] == score.threshold > 0


def test_what_the_tables_had_no_room_for_is_counted(watched: Watched) -> None:
    ledger = Ledger(
        ngrams=Tally(counted=101, recorded=83, overflowed=7, lost=11),
        connections=Tally(counted=10, recorded=15),
        events=Tally(counted=13, recorded=0, lost=13),
    )
    watched.observe(Window("nginx", "", 0, SECOND, SECOND, ledger=ledger))
    fetched = watched.fetch()
    assert fetched[of("calls_total")] == 101
    assert fetched[of("overflowed_total", "ngrams")] == 7
    assert fetched[of("lost_total", "ngrams")] == 11
    assert fetched[of("unaccounted_total", "ngrams")] == 0
    assert fetched[of("unaccounted_total", "connections")] == 5
    assert fetched[of("lost_total", "events")] == 13


def test_alerts_and_what_repeats_them_are_counted(watched: Watched, windows: list[Window]) -> None:
    began = windows[0].start
    watched.observe(
        Sighting("nginx", "", began, SHELL, None),
        *(
            Window("nginx", "", began, began + SECOND, SECOND, executions={SHELL: 1})
            for _ in range(3)
        ),
    )
    fetched = watched.fetch()
    assert watched.detector.alerts
    alerts = {name: v for name, v in fetched.items() if name.startswith("baseline_alerts_total")}
    assert sum(alerts.values()) == watched.detector.alerts
    assert alerts[of("alerts_total", "executions")] == 1
    assert fetched[of("first_sights_total", "executions")] == 1
    assert fetched[of("folded_windows_total")] == watched.detector.folded


def test_incidents_are_open_until_they_are_over(watched: Watched) -> None:
    incidents = Incidents(watched.detector)
    watched.metrics.follow(incidents, {})
    assert watched.fetch()[of("open_incidents")] == 0
    assert incidents.observe(Sighting("nginx", "", SECOND, SHELL, None))
    assert watched.fetch()[of("open_incidents")] == 1
    over = SECOND + round(QUIET * SECOND)
    incidents.observe(Window("another", "", over, over + SECOND, SECOND))
    assert watched.fetch()[of("open_incidents")] == 0


def test_alerts_that_do_not_arrive_are_counted(watched: Watched) -> None:
    reader, writer = os.pipe()
    said: list[str] = []
    delivery = Delivery(StreamDestination(writer, "a pipe"), said.append)
    watched.metrics.follow(Incidents(watched.detector), {"stdout": delivery})
    undelivered = 'baseline_undelivered_alerts{destination="stdout"}'
    delivery.put("read\n")
    assert os.read(reader, 100) == b"read\n"
    while watched.fetch()[undelivered]:
        pass
    os.close(reader)
    for _ in range(7):
        delivery.put("unread\n")
    assert watched.fetch()[undelivered] == 7
    delivery.close()
    os.close(writer)
    assert watched.fetch()[undelivered] == 7


def test_workloads_without_a_model_make_no_series(watched: Watched) -> None:
    before = watched.fetch().keys()
    watched.observe(
        *(Window(f"container-{n}", "", 0, SECOND, SECOND) for n in range(101)),
        *(Sighting(f"container-{n}", "", 0, SHELL, None) for n in range(101)),
    )
    after = watched.fetch()
    assert after.keys() == before
    assert after["baseline_unwatched_windows_total"] == 101


def test_each_is_documented_and_nothing_else(watched: Watched, windows: list[Window]) -> None:
    reader, writer = os.pipe()
    delivery = Delivery(StreamDestination(writer, "a pipe"), lambda _: None)
    watched.metrics.follow(Incidents(watched.detector), {"stdout": delivery})
    watched.observe(windows[0])
    fetched = {
        (re.split("[{ ]", name)[0], tuple(sorted(re.findall(r'[{,](\w+)="', name))))
        for name in watched.fetch()
    }
    rows = re.findall(
        r"^\| `(\w+)` \| (.*?) \|", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE
    )
    documented = {(name, tuple(sorted(re.findall(r"`(\w+)`", labels)))) for name, labels in rows}
    assert fetched == documented
    delivery.close()
    os.close(reader)
    os.close(writer)


def test_the_number_of_series_of_a_model_is_the_documented_one(
    watched: Watched, windows: list[Window]
) -> None:
    watched.observe(windows[0])
    (documented,) = re.findall(r"(\d+) for each model", (ROOT / "docs" / "metrics.md").read_text())
    assert sum('workload="nginx"' in name for name in watched.fetch()) == int(documented)


def test_a_port_in_use_is_refused(watched: Watched) -> None:
    port = watched.url.split(":")[2].split("/")[0]
    with pytest.raises(BaselineError, match=f"at 127.0.0.1:{port}: Address already in use"):
        MetricsServer(Address.parse(port), watched.metrics)


def test_the_port_is_free_again_after_the_end(models: dict[str, WorkloadModel]) -> None:
    metrics = WatchMetrics(models)
    with MetricsServer(Address.parse("0"), metrics) as server:
        port = server.url.split(":")[2].split("/")[0]
        fetch(server.url)
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", int(port))):
        pass
    with MetricsServer(Address.parse(port), metrics) as server:
        assert fetch(server.url)


def test_ipv6(models: dict[str, WorkloadModel]) -> None:
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6 address")
    with MetricsServer(Address.parse("[::1]:0"), WatchMetrics(models)) as server:
        assert server.url.startswith("http://[::1]:")
        assert fetch(server.url)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9464", ("127.0.0.1", 9464)),
        (":9464", ("127.0.0.1", 9464)),
        ("localhost:1", ("127.0.0.1", 1)),
        ("127.0.0.2:65535", ("127.0.0.2", 65535)),
        ("[::1]:9464", ("::1", 9464)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize(
    "text", ["", "port", "65536", "-1", "127.0.0.1", "example.com:80", "1:2:3"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        Address.parse(text)


@pytest.mark.parametrize("text", ["0.0.0.0:9464", "[::]:9464", "192.0.2.1:9464"])
def test_others_than_this_machine_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="would be open to other machines"):
        Address.parse(text)
