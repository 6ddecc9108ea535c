"""What a watch does, as metrics for Prometheus; docs/metrics.md lists them.

Labels hold names of workloads that have a model, never cgroups, containers or files: their number
is known when the watch begins, and so is that of the series.
"""

import ipaddress
import socket
import threading
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from operator import contains
from typing import NamedTuple, Self
from wsgiref.simple_server import WSGIRequestHandler, make_server

from baseline import __version__
from baseline.alerts.alert import Alert
from baseline.alerts.delivery import Delivery
from baseline.alerts.detector import Detector
from baseline.alerts.incident import Incidents
from baseline.errors import BaselineError, MissingLibraryError, UsageError
from baseline.interval import Interval
from baseline.model.score import Signal
from baseline.sighting import Observation, Sighting
from baseline.window import Histogram, Ledger, Window, histogram_of

try:
    from prometheus_client import (
        CollectorRegistry,
        Counter,
        Gauge,
        ProcessCollector,
        disable_created_metrics,
        make_wsgi_app,
    )
    from prometheus_client.exposition import ThreadingWSGIServer
except ImportError as cause:
    raise MissingLibraryError("Metrics need", "prometheus-client") from cause

LOCALHOST = "127.0.0.1"

_EVENTS = "events"
"""Label of first-sight events, beside the signals."""


class Address(NamedTuple):
    """Where metrics can be fetched."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read ``[HOST:]PORT``; an IPv6 address stands in brackets, port 0 is any that is free.

        Raises:
            UsageError: it is none, or others than this machine could reach it.
        """
        host, _, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]") or LOCALHOST
        if host == "localhost":
            host = LOCALHOST
        try:
            loopback = ipaddress.ip_address(host).is_loopback
            number = int(port)
        except ValueError:
            loopback, number = True, -1
        if not 0 <= number <= 0xFFFF:
            raise UsageError(
                f"--metrics {text!r} is no address", "Give a port, such as 9464, or 127.0.0.1:9464"
            )
        if not loopback:
            raise UsageError(
                f"--metrics {text!r} would be open to other machines",
                "Give a port alone, and put a proxy that knows its users before it",
            )
        return cls(host, number)


class WatchMetrics:
    """Counts what passes through a watch.

    Args:
        workloads: those that have a model.

    Attributes:
        registry: what can be fetched.
    """

    def __init__(self, workloads: Collection[str]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._workloads = frozenset(workloads)
        self._folded = 0

        info = self._gauge("build_info", "The version that runs; always 1", "version")
        info.labels(__version__).set(1)
        self._windows = self._counter("windows", "Windows judged", "workload")
        self._unwatched = self._counter("unwatched_windows", "Windows of workloads without a model")
        self._calls = self._counter("calls", "System calls counted", "workload")
        self._sights = self._counter(
            "first_sights", "Items that the kernel saw for the first time", "workload", "signal"
        )
        self._overflowed = self._counter(
            "overflowed", "Counts that found no room of their own", "workload", "signal"
        )
        self._lost = self._counter("lost", "Counts that found no room at all", "workload", "signal")
        self._unaccounted = self._counter(
            "unaccounted", "Counts that do not add up: a defect", "workload", "signal"
        )
        self._alerts = self._counter(
            "alerts", "Alerts, by the signal of what stands first", "workload", "signal"
        )
        self._repeated = self._counter(
            "folded_windows", "Anomalous windows of nothing but what was reported", "workload"
        )
        self._open = self._gauge("open_incidents", "Incidents that are not over", "workload")
        self._undelivered = self._gauge(
            "undelivered_alerts", "Alerts that did not arrive, or not yet", "destination"
        )
        self._score = self._gauge(
            "score_bits", "Surprise of the last window without what was reported", "workload"
        )
        self._threshold = self._gauge(
            "threshold_bits", "Surprise from which on a window is an alert", "workload"
        )
        self._last = self._gauge(
            "last_window_timestamp_seconds", "End of the last window, since the epoch", "workload"
        )
        for workload in workloads:
            self._begin_at_zero(workload)

    def _counter(self, name: str, description: str, *labels: str) -> Counter:
        return Counter(f"baseline_{name}", description, labels, registry=self.registry)

    def _gauge(self, name: str, description: str, *labels: str) -> Gauge:
        return Gauge(f"baseline_{name}", description, labels, registry=self.registry)

    def _begin_at_zero(self, workload: str) -> None:
        """A rate can only be taken of a series that was there before its first event."""
        for counter in (self._windows, self._calls, self._repeated):
            counter.labels(workload)
        for counter in (self._overflowed, self._lost, self._unaccounted):
            for signal in (*Histogram, _EVENTS):
                counter.labels(workload, signal)
        for signal in Histogram:
            self._sights.labels(workload, signal)
        for signal in Signal:
            self._alerts.labels(workload, signal)
        self._open.labels(workload)

    def follow(self, incidents: Incidents, deliveries: Mapping[str, Delivery]) -> None:
        """Look at these whenever somebody asks.

        Args:
            incidents: of the watch.
            deliveries: of its alerts, by what their destination is called here.
        """
        for workload in self._workloads:
            self._open.labels(workload).set_function(partial(contains, incidents.open, workload))
        for destination, delivery in deliveries.items():
            undelivered = partial(getattr, delivery, "undelivered")
            self._undelivered.labels(destination).set_function(undelivered)

    def observe(self, observation: Observation, alert: Alert | None, detector: Detector) -> None:
        """Count what a source yielded, and what the detector made of it."""
        workload = observation.workload
        if workload not in self._workloads:
            self._unwatched.inc(isinstance(observation, Window))
        elif isinstance(observation, Sighting):
            self._sights.labels(workload, histogram_of(observation.item)).inc()
        else:
            self._observe_window(workload, observation.ledger, observation.end, detector)
        if alert:
            self._alerts.labels(workload, alert.signal).inc()

    def observe_quiet(self, interval: Interval, rows: Sequence[int], detector: Detector) -> None:
        """Count the windows of some rows, which the detector found to be quiet."""
        ledgers = interval.ledgers()
        for row in rows:
            workload = interval.replicas[row].workload
            self._observe_window(workload, ledgers[row], interval.end, detector)

    def _observe_window(self, workload: str, ledger: Ledger, end: int, detector: Detector) -> None:
        self._windows.labels(workload).inc()
        self._calls.labels(workload).inc(ledger.ngrams.counted)
        for signal in (*Histogram, _EVENTS):
            tally = getattr(ledger, signal)
            self._overflowed.labels(workload, signal).inc(tally.overflowed)
            self._lost.labels(workload, signal).inc(tally.lost)
            self._unaccounted.labels(workload, signal).inc(abs(tally.missing))
        self._repeated.labels(workload).inc(detector.folded - self._folded)
        self._folded = detector.folded
        score = detector.score_of(workload)
        self._score.labels(workload).set(score.bits)
        self._threshold.labels(workload).set(score.threshold)
        self._last.labels(workload).set(end / 1e9)


class _QuietHandler(WSGIRequestHandler):
    timeout = 10.0  # seconds, for who connects and then says nothing

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as in the base
        """Nobody reads who fetched them."""


class _Server(ThreadingWSGIServer):
    address_family = socket.AF_INET


class _Server6(ThreadingWSGIServer):
    address_family = socket.AF_INET6


class MetricsServer:
    """Answers on an address of this machine, from its creation on, in threads of its own.

    The threads begin with the context, so that they have no more rights than the command has then.

    Args:
        address: where.
        metrics: what can be fetched.

    Attributes:
        url: for the user.

    Raises:
        BaselineError: the address cannot be had now.
    """

    def __init__(self, address: Address, metrics: WatchMetrics) -> None:
        app = make_wsgi_app(metrics.registry)
        try:
            kind = _Server6 if ":" in address.host else _Server
            self._server = make_server(*address, app, kind, _QuietHandler)
        except OSError as error:
            raise BaselineError(
                f"Metrics cannot be had at {address.host}:{address.port}: {error.strerror}",
                "Give --metrics another port, or try again",
            ) from error
        host = f"[{address.host}]" if ":" in address.host else address.host
        self.url = f"http://{host}:{self._server.server_address[1]}/metrics"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
