"""Connections: how often, with whom, on which port, charged to the right workload."""

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from expected import ngrams, peers
from requirements import missing, require_tools
from watching import Cgroup, Watch, Watched

from baseline.window import Tally, is_folded

pytestmark = pytest.mark.kernel

CONNECT = """if True:
    import socket, sys
    kind, address, port, count = sys.argv[1:]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = {"udp": socket.SOCK_DGRAM}.get(kind, socket.SOCK_STREAM)
    for _ in range(int(count)):
        with socket.socket(family, kind) as client:
            try:
                client.connect((address, int(port)))
            except ConnectionRefusedError:
                pass"""

SEND = """if True:
    import socket, sys
    address, port, count = sys.argv[1:]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        for _ in range(int(count)):
            sender.sendto(b"text", (address, int(port)))"""

LISTEN = """if True:
    import socket, sys
    address, count = sys.argv[1:]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as server:
        if address == "::":
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind((address, 0))
        server.listen(2000)
        print(server.getsockname()[1], flush=True)
        for _ in range(int(count)):
            server.accept()[0].close()"""


def listening(address: str) -> socket.socket:
    """A server in this process, outside of all workloads; clients need no accept."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, 0), family=family, backlog=2000)


def serve(cgroup: Cgroup, address: str, clients: int) -> tuple[subprocess.Popen[bytes], int]:
    """A server inside, and its port; it ends after so many clients."""
    server = cgroup.start_python(LISTEN, address, clients)
    assert server.stdout
    return server, int(server.stdout.readline())


def connect(address: str, port: int, times: int) -> None:
    """Be the client, from this process."""
    for _ in range(times):
        socket.create_connection((address, port)).close()


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "[::1]"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
    ],
)
def test_tcp_out(watched: Watched, address: str, peer: str) -> None:
    with listening(address.removeprefix("::ffff:")) as server:
        port = server.getsockname()[1]
        watched.python(CONNECT, "tcp", address, port, 1009)
    assert peers(watched.window()) == {f"tcp out to {peer}:{port}": 1009}
    assert watched.window().ledger.connections == Tally(counted=1009, recorded=1009)


@pytest.mark.parametrize(
    ("bound", "address", "peer"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("::1", "::1", "[::1]"),
        ("::", "127.0.0.1", "127.0.0.1"),
    ],
)
def test_tcp_in_has_no_ephemeral_port(
    watched: Watched, bound: str, address: str, peer: str
) -> None:
    server, port = serve(watched, bound, clients=101)
    connect(address, port, times=101)
    assert server.wait() == 0
    assert peers(watched.window()) == {f"tcp in from {peer} on port {port}": 101}


def test_tcp_that_is_refused_was_tried(watched: Watched) -> None:
    with socket.socket() as bound_only:
        bound_only.bind(("127.0.0.1", 0))
        port = bound_only.getsockname()[1]
        watched.python(CONNECT, "tcp", "127.0.0.1", port, 101)
    assert peers(watched.window()) == {f"tcp out to 127.0.0.1:{port}": 101}


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "[::1]"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
    ],
)
def test_udp_out_by_connect_and_by_sendto(watched: Watched, address: str, peer: str) -> None:
    watched.python(CONNECT, "udp", address, 9, 101)
    watched.python(SEND, address, 7, 103)
    assert peers(watched.window()) == {f"udp out to {peer}:9": 101, f"udp out to {peer}:7": 103}


def test_udp_on_a_connected_socket_is_one(watched: Watched) -> None:
    watched.python(
        """if True:
        import contextlib, socket
        client = socket.socket(type=socket.SOCK_DGRAM)
        client.connect(("127.0.0.1", 9))
        for _ in range(101):
            with contextlib.suppress(ConnectionRefusedError):
                client.send(b"text")"""
    )
    assert peers(watched.window()) == {"udp out to 127.0.0.1:9": 1}


def test_multipath_tcp_is_tcp(watched: Watched) -> None:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP).close()
    except OSError:
        missing("This kernel has no multipath TCP (CONFIG_MPTCP)")
    with listening("127.0.0.1") as server:
        port = server.getsockname()[1]
        watched.python(
            """if True:
            import socket, sys
            for _ in range(101):
                client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP)
                client.connect(("127.0.0.1", int(sys.argv[1])))""",
            port,
        )
    assert peers(watched.window()) == {f"tcp out to 127.0.0.1:{port}": 101}


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_io_uring_connects_are_connections(watched: Watched, protocol: str) -> None:
    with listening("127.0.0.1") as server:
        port = server.getsockname()[1]
        watched.run("uring", protocol, 101, port)
    assert peers(watched.window()) == {f"{protocol} out to 127.0.0.1:{port}": 101}
    assert ngrams(watched.window())["io_uring:connect",] == 101


def test_a_peer_first_seen_by_all_processors_at_once_is_counted_by_each(watched: Watched) -> None:
    processors = len(os.sched_getaffinity(0))
    watched.run("udp_together", processors, 1009)
    assert peers(watched.window()) == {
        f"udp out to 127.0.0.1:{port}": processors for port in range(1, 1010)
    }


def test_each_end_is_charged_to_its_own_workload(
    cgroup: Cgroup, watch: Callable[..., Watch]
) -> None:
    client, server = cgroup.child("client"), cgroup.child("server")
    watching = watch(client.path, server.path)
    process, port = serve(server, "127.0.0.1", clients=101)
    client.python(CONNECT, "tcp", "127.0.0.1", port, 101)
    assert process.wait() == 0
    assert peers(watching.window(client)) == {f"tcp out to 127.0.0.1:{port}": 101}
    assert peers(watching.window(server)) == {f"tcp in from 127.0.0.1 on port {port}": 101}


def test_a_socket_stays_with_the_workload_that_made_it(
    cgroup: Cgroup, watch: Callable[..., Watch]
) -> None:
    maker, user = cgroup.child("maker"), cgroup.child("user")
    watching = watch(f"web={maker.path}", f"web={user.path}")
    process, port = serve(maker, "127.0.0.1", clients=11)
    user.take(process)
    connect("127.0.0.1", port, times=11)
    assert process.wait() == 0
    assert peers(watching.window(maker)) == {f"tcp in from 127.0.0.1 on port {port}": 11}
    assert not watching.window(user).connections
    assert {window.workload for window in watching.windows} == {"web"}, "one name for both"


@pytest.fixture
def network() -> Iterator[str]:
    """A network namespace with the addresses 203.0.113.2 and 2001:db8::2; here the same with 1."""
    require_tools("ip")
    name, ours, theirs = (f"bt{os.getpid()}{end}" for end in ("", "a", "b"))
    inside = ["ip", "netns", "exec", name, "ip"]
    with ExitStack() as stack:
        for command, undo in (
            (["ip", "netns", "add", name], ["ip", "netns", "delete", name]),
            (
                ["ip", "link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name],
                ["ip", "link", "delete", ours],
            ),
        ):
            added = subprocess.run(command, capture_output=True, text=True, check=False)
            if added.returncode:
                missing(f"{' '.join(command)} does not work here: {added.stderr.strip()}")
            stack.callback(subprocess.run, undo, check=True)
        for ip, link, last in ((["ip"], ours, 1), (inside, theirs, 2)):
            subprocess.run([*ip, "link", "set", link, "up"], check=True)
            for address in (f"203.0.113.{last}/24", f"2001:db8::{last}/64"):
                command = [*ip, "address", "add", address, "dev", link, "nodad"]
                subprocess.run(command, check=True)
        while Path(f"/sys/class/net/{ours}/operstate").read_text() != "up\n":
            pass
        yield name


@pytest.mark.parametrize("prefix", ["203.0.113.", "2001:db8::"])
def test_another_network_namespace(watched: Watched, network: str, prefix: str) -> None:
    here, there = f"{prefix}1", f"{prefix}2"
    shown = f"[{here}]" if ":" in here else here
    with listening(here) as server:
        out = server.getsockname()[1]
        watched.python(CONNECT, "tcp", here, out, 101, within=network)
    watched.python(SEND, here, 9, 103, within=network)
    process = watched.start_python(LISTEN, there, 107, within=network)
    assert process.stdout
    port = int(process.stdout.readline())
    connect(there, port, times=107)
    assert process.wait() == 0
    assert peers(watched.window()) == {
        f"tcp out to {shown}:{out}": 101,
        f"udp out to {shown}:9": 103,
        f"tcp in from {shown} on port {port}": 107,
    }


def test_address_zero_is_a_peer_and_not_folded(watched: Watched) -> None:
    """So asks getaddrinfo which of its addresses could be reached."""
    watched.python(
        """if True:
        import socket
        socket.socket(type=socket.SOCK_DGRAM).connect(("0.0.0.0", 9))"""
    )
    window = watched.window()
    assert peers(window) == {"udp out to 0.0.0.0:9": 1}
    assert not any(map(is_folded, window.connections))
