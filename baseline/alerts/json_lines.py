"""Alerts as JSON lines for machines: one object a line, see :meth:`Report.to_dict`."""

import json
from typing import TextIO

from baseline.alerts.incident import Report


class JsonLinesSink:
    """Writes each report to a stream as one line of JSON, in ASCII, and flushes it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, report: Report) -> None:
        """Write one report.

        Raises:
            OSError: the stream cannot be written to.
        """
        print(json.dumps(report.to_dict()), file=self._stream, flush=True)
