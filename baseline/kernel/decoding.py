"""The kernel's keys and events as the house's types."""

import ipaddress
import socket
import struct
from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np

from baseline.kernel import layout
from baseline.kernel.images import Images
from baseline.sighting import Process
from baseline.window import Connection, Execution

_HEAD = struct.Struct("<QII")
"""The first fields of ``layout.EVENT``."""

_PROTOCOLS = {socket.IPPROTO_TCP: "tcp", socket.IPPROTO_UDP: "udp"}


def decode_execution(key: np.void, images: Images) -> Execution:
    """An execution from ``layout.EXECUTION_KEY``."""
    return Execution(images.lineage(key["lineage"]), int(key["uid"]))


def decode_connection(key: np.void) -> Connection:
    """A connection from ``layout.CONNECTION_KEY``; a folded one has no peer."""
    protocol = int(key["protocol"])
    return Connection(
        layout.DIRECTIONS[int(key["direction"] > 0)],  # root may have put any number there
        _PROTOCOLS.get(protocol, str(protocol)),
        "" if key["folded"] else _address(int(key["family"]), key["address"].tobytes()),
        int(key["port"]),
    )


@lru_cache(maxsize=1024)  # a process that does one new thing does a dozen
def _arguments(length: int, kept: bytes) -> tuple[tuple[str, ...], bool]:
    """A command line as it lies in memory, each argument with a zero behind it; is it cut?

    Who gives itself another title, as workers of nginx do, fills up with zeros.
    """
    text = kept[: min(length, len(kept))].rstrip(b"\0")
    arguments = text.split(b"\0") if text else []
    texts = tuple(argument.decode(errors="backslashreplace") for argument in arguments)
    return texts, length > len(kept)


def _address(family: int, raw: bytes) -> str:
    if family == socket.AF_INET:
        return str(ipaddress.IPv4Address(raw[:4]))
    address = ipaddress.IPv6Address(raw)
    return str(address.ipv4_mapped or address)


def decode_event(
    record: bytes, images: Images
) -> tuple[int, int, int | Execution | Connection, Callable[[], Process | None]]:
    """Group, time (CLOCK_MONOTONIC, ns), item and process of a first-sight event."""
    time, kind, group = _HEAD.unpack_from(record)
    body = record[layout.EVENT.itemsize :]
    item: int | Execution | Connection
    if kind == layout.EVENT_NGRAM:
        item = int.from_bytes(body[:8], "little")
    elif kind == layout.EVENT_EXECUTION:
        item = decode_execution(np.frombuffer(body, layout.EXECUTION_KEY, count=1)[0], images)
    else:
        item = decode_connection(np.frombuffer(body, layout.CONNECTION_KEY, count=1)[0])
    return group, time, item, partial(_process, record, images)


def _process(record: bytes, images: Images) -> Process | None:
    # All fields at once: one by one takes five times as long.
    header = np.frombuffer(record, layout.EVENT, count=1)[0].item()
    _, _, _, pid, tid, comm, lineage, length, _, arguments = header
    if not pid:
        return None
    name = comm.decode(errors="backslashreplace")
    return Process(pid, tid, name, images.lineage(lineage), *_arguments(length, arguments))
