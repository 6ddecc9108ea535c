"""Alerts as JSON lines for machines: one object a line, see :meth:`Alert.to_dict`.

What somebody did to the counting itself is a line of its own kind: ``time``, ``headline`` and
``test``, which is ``tampering``.
"""

import json
from typing import TextIO

from baseline.alerts.alert import Alert, iso_time
from baseline.interference import Interference

TAMPERING = "tampering"
"""Stands in ``test``, where of an alert stands what raised it."""


class JsonLinesSink:
    """Writes each alert to a stream as one line of JSON, in ASCII, and flushes it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, alert: Alert) -> None:
        """Write one alert.

        Raises:
            OSError: the stream cannot be written to.
        """
        print(json.dumps(alert.to_dict()), file=self._stream, flush=True)

    def write_interference(self, interference: Interference) -> None:
        """Write that the counting was interfered with.

        Raises:
            OSError: the stream cannot be written to.
        """
        line = {
            "time": iso_time(interference.time),
            "headline": interference.what,
            "test": TAMPERING,
        }
        print(json.dumps(line), file=self._stream, flush=True)
