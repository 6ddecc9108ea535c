"""What operations do with running services, again and again, and when."""

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

from baseline.demo.service import Step
from baseline.errors import BaselineError
from ranges.target import NoEffectError
from ranges.targets import AnyTarget

ATTRIBUTED_SECONDS = 10
"""So long after an operation an alert is put down to it."""


class Performed(NamedTuple):
    """An operation, done.

    Attributes:
        name: what.
        service: in which workload.
        began, ended: seconds since the epoch.
        failure: why it had no effect; empty where it had.
    """

    name: str
    service: str
    began: float
    ended: float
    failure: str = ""


class Operations:
    """The operations of some services, each in its turn, at random times.

    Args:
        targets: the services.
        gap: mean seconds between two operations of one service.
        seed: of the chances.

    Attributes:
        performed: what was done up to now.
    """

    def __init__(self, targets: Sequence[AnyTarget], gap: float, seed: int) -> None:
        self.performed: list[Performed] = []
        self._targets = targets
        self._gap = gap
        self._seed = seed
        self._stop = threading.Event()
        self._failure: BaselineError | None = None

    @contextmanager
    def running(self) -> Iterator["Operations"]:
        """Operations go on while the context lasts.

        Raises:
            BaselineError: a service did not survive one.
        """
        threads = [threading.Thread(target=self._operate, args=(t,)) for t in self._targets]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        if self._failure:
            raise self._failure

    def perform(self, service: str, step: Step) -> None:
        """Do one and remember when."""
        began = time.time()
        failure = ""
        try:
            step.take()
        except NoEffectError as error:
            failure = str(error)
        self.performed.append(Performed(step.title, service, began, time.time(), failure))

    @contextmanager
    def lasting(
        self, service: str, name: str, context: AbstractContextManager[object]
    ) -> Iterator[None]:
        """Do what lasts as long as the context, and remember from when until when."""
        began = time.time()
        with context:
            yield
        self.performed.append(Performed(name, service, began, time.time()))

    def counted(self, *, failed: bool = False) -> dict[str, dict[str, int]]:
        """Workload -> operation -> how often it was done, or had no effect."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for operation in self.performed:
            if bool(operation.failure) == failed:
                counts[operation.service][operation.name] += 1
        return {service: dict(names) for service, names in counts.items()}

    def _operate(self, target: AnyTarget) -> None:
        choose = random.Random(f"{self._seed} {target.name}")  # noqa: S311 - not for secrets
        steps = target.operations()
        turn = 0
        while not self._stop.wait(choose.uniform(0.5, 1.5) * self._gap):
            step = steps[turn % len(steps)]
            try:
                self.perform(target.name, step)
            except Exception as error:  # whatever it is, it must not end the thread unseen
                self._failure = BaselineError(
                    f"{target.name} did not survive its {step.title}: {error}", "Run it again"
                )
                return
            turn += 1


def blamed(performed: Sequence[Performed], service: str, time_: float) -> str:
    """The operation that an alert came with; empty for none."""
    latest = [
        operation
        for operation in performed
        if operation.service == service
        and operation.began <= time_ <= operation.ended + ATTRIBUTED_SECONDS
    ]
    return max(latest, key=lambda operation: operation.began).name if latest else ""
