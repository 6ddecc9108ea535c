"""Cgroups that an intruder makes for himself below the one that is watched."""

import socket
from collections.abc import Callable

import pytest
from expected import ending_in, lineage, ngrams, peers, started
from watching import PYTHON, Cgroup, Watch

pytestmark = pytest.mark.kernel

CONNECT = """if True:
    import socket, sys
    socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()
    socket.socket(type=socket.SOCK_DGRAM).connect(("127.0.0.1", 9))"""


@pytest.mark.parametrize("depth", [1, 11, 12, 13, 40])
def test_however_deep_it_is_the_same_workload(
    cgroup: Cgroup, watch: Callable[..., Watch], depth: int
) -> None:
    watching = watch(cgroup.path)
    inner = cgroup
    for _ in range(depth):
        inner = inner.child("d")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        inner.run("calls", "110:1009")
        inner.python(CONNECT, port)
    window = watching.window(cgroup)
    assert ending_in(ngrams(window), "getppid") == 1009
    assert started(window) == {lineage([cgroup.programs["calls"]]): 1, lineage([PYTHON]): 1}
    assert peers(window) == {f"tcp out to 127.0.0.1:{port}": 1, "udp out to 127.0.0.1:9": 1}
