"""Alerts as JSON lines for machines: one object a line, which docs/alert-format.md describes.

What somebody did to the counting itself is a line of its own kind.
"""

import json
from collections.abc import Callable

from baseline.alerts.incident import Report
from baseline.interference import Interference
from baseline.moments import iso_time

TAMPERING = "tampering"
"""Stands in ``test``, where of an alert stands what raised it."""


class JsonLinesSink:
    """Gives each report as one line of JSON, in ASCII.

    Args:
        put: takes the line, with its end.
    """

    def __init__(self, put: Callable[[str], object]) -> None:
        self._put = put

    def write(self, report: Report) -> None:
        """Give one report."""
        self._put(f"{json.dumps(report.to_dict())}\n")

    def write_interference(self, interference: Interference) -> None:
        """Tell that the counting was interfered with."""
        line = {
            "time": iso_time(interference.time),
            "node": interference.node,
            "headline": interference.what,
            "test": TAMPERING,
        }
        self._put(f"{json.dumps(line)}\n")
