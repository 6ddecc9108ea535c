"""Where ``watch`` writes its alerts: standard output, and a file if there is one."""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self

from baseline.alerts.delivery import Delivery
from baseline.alerts.destinations import FileDestination, StreamDestination
from baseline.alerts.incident import Report
from baseline.alerts.json_lines import JsonLinesSink
from baseline.alerts.text import TextSink
from baseline.cli.progress import ProgressBar, counted
from baseline.cli.streams import are_one_terminal
from baseline.errors import OutputError
from baseline.interference import Interference

FORMATS = ("text", "json")


class AlertOutputs:
    """Takes alerts without ever waiting for those who read them.

    Args:
        form: one of ``FORMATS``, for standard output.
        file: gets JSON lines, too; ``None`` for no file.
        progress: taken off its terminal while an alert is written there.
        say: told what keeps alerts from where they should go.

    Attributes:
        deliveries: where alerts go, under ``stdout`` and ``file``.

    Raises:
        BaselineError: the file can never be written.
    """

    def __init__(
        self, form: str, file: Path | None, progress: ProgressBar, say: Callable[[str], None]
    ) -> None:
        is_terminal = sys.stdout.isatty()
        stdout = StreamDestination(
            sys.stdout.fileno(),
            "standard output",
            # Elsewhere it is not in the way, and nothing of stderr shall wait for stdout.
            progress.hidden if are_one_terminal(sys.stdout, sys.stderr) else nullcontext,
        )
        destination = FileDestination(file) if file else None
        if destination:
            destination.require()
        first = Delivery(stdout, say)
        self.deliveries = {"stdout": first}
        self._sinks: list[TextSink | JsonLinesSink] = [
            JsonLinesSink(first.put)
            if form == "json"
            else TextSink(first.put, is_terminal=is_terminal)
        ]
        if destination:
            second = Delivery(destination, say)
            self.deliveries["file"] = second
            self._sinks.append(JsonLinesSink(second.put))

    def write(self, report: Report) -> None:
        """Take one report."""
        for sink in self._sinks:
            sink.write(report)

    def write_interference(self, interference: Interference) -> None:
        """Take what somebody did to the counting itself."""
        for sink in self._sinks:
            sink.write_interference(interference)

    def have_delivered(self) -> bool:
        """Whether all that was taken is where it should go, or can never get there."""
        return all(delivery.has_delivered() for delivery in self.deliveries.values())

    def require_delivered(self, verdict: int = 0) -> None:
        """Own up to what did not arrive.

        Args:
            verdict: exit code of the command; unless it is 0, it says more than that of an error.

        Raises:
            OutputError: that is some.
        """
        undelivered = [
            f"{counted(delivery.undelivered, 'alert')} to {delivery.name}"
            for delivery in self.deliveries.values()
            if delivery.undelivered
        ]
        if undelivered:
            second = ", and add --alerts FILE for a second copy" * (len(self.deliveries) == 1)
            error = OutputError(
                f"Not delivered: {', '.join(undelivered)}", f"Mend what is said above{second}"
            )
            error.exit_code = verdict or error.exit_code
            raise error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for delivery in self.deliveries.values():
            delivery.close()
