"""Alerts as JSON lines for machines: one object a line, see :meth:`Alert.to_dict`."""

import json
from collections.abc import Callable

from baseline.alerts.alert import Alert


class JsonLinesSink:
    """Gives each alert as one line of JSON, in ASCII.

    Args:
        put: takes the line, with its end.
    """

    def __init__(self, put: Callable[[str], object]) -> None:
        self._put = put

    def write(self, alert: Alert) -> None:
        """Give one alert."""
        self._put(f"{json.dumps(alert.to_dict())}\n")
