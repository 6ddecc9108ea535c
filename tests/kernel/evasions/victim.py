"""A service that was learned, its hole, and the alerts that using it raises."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from watching import Cgroup, Watch, finish

from baseline.alerts.alert import Alert
from baseline.alerts.detector import Detector
from baseline.model.workload_model import WorkloadModel
from baseline.syscalls import ngram_names
from baseline.window import Execution, Image

WORKLOAD = "victim"


@dataclass(frozen=True)
class Site:
    """Where the service lives: the same while it is learned and when it is attacked.

    Attributes:
        program: the service.
        file: what each request reads.
        helper: what every third one starts.
    """

    program: Path
    file: Path
    helper: Path


class Service:
    """The service, running in a cgroup.

    Args:
        cgroup: where.
        site: its files.
    """

    def __init__(self, cgroup: Cgroup, site: Site) -> None:
        self.process = cgroup.start(site.program, site.file, site.helper, pipes=True)

    def tell(self, *words: object) -> str:
        """Have it do something, see ``service.c``; its answer."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{' '.join(map(str, words))}\n".encode())
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the service has ended"
        return answer.decode().rstrip("\n")

    def serve(self, requests: int = 3) -> None:
        """Serve the requests of a window: every third one starts the helper."""
        for _ in range(requests):
            self.tell("serve")

    def end(self) -> None:
        """Let it end in order."""
        finish(self.process)


class Victim(Service):
    """The same under the eyes of a detector.

    Attributes:
        sightings: first sights, as in :class:`Watch`.

    Args:
        cgroup: where.
        site: its files.
        watch: of that cgroup, and of nothing else.
        model: what was learned.
    """

    def __init__(self, cgroup: Cgroup, site: Site, watch: Watch, model: WorkloadModel) -> None:
        self._watch = watch
        self.sightings = watch.sightings
        self._seen = 0
        self._model = model
        self._detector = Detector({WORKLOAD: model})
        super().__init__(cgroup, site)

    def alerts(self) -> list[Alert]:
        """Alerts of what was done since this was asked last, a window."""
        windows = self._watch.read()
        sightings = self.sightings[self._seen :]
        self._seen += len(sightings)
        return [alert for o in [*sightings, *windows] if (alert := self._detector.observe(o))]

    def unknown_calls(self) -> set[str]:
        """Last calls of the n-grams of the last window that learning never saw.

        They are the evidence; an alert tells at once of the first, and counts what follows.
        """
        ngrams = self._watch.windows[-1].ngrams.ngrams.tolist()
        return {ngram_names(ngram)[-1] for ngram in ngrams if not self._model.knows(ngram)}

    def attacked(self, *words: object) -> list[Alert]:
        """Alerts of what it is told to do, in a window in which it also serves as always."""
        self.tell(*words)
        self.serve()
        return self.alerts()


def programs(alerts: Iterable[Alert]) -> set[Image]:
    """Programs that an alert tells of and learning never saw."""
    return {i.image for a in alerts for i in a.unseen if isinstance(i, Execution)}


def lineages(alerts: Iterable[Alert]) -> set[str]:
    """The same with their ancestors."""
    return {str(i) for a in alerts for i in a.unseen if isinstance(i, Execution)}


def calls(alerts: Iterable[Alert]) -> set[str]:
    """Last calls of the n-grams that an alert tells of and learning never saw."""
    return {ngram_names(i)[-1] for a in alerts for i in a.unseen if isinstance(i, int)}


def executables(alerts: Iterable[Alert]) -> set[Image]:
    """What the processes of alerts really run."""
    return {a.process.lineage[-1] for a in alerts if a.process}
