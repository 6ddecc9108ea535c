"""Alerts as JSON lines for machines: one object a line, see :meth:`Alert.to_dict`."""

import json
from typing import TextIO

from baseline.alerts.alert import Alert


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
