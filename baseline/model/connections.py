"""Connections: which peers a workload talks with.

Contexts of a connection, with the part that is new or known there:

==============================================  ==================================
direction, protocol, port, network of the peer  the peer's address
direction, protocol, port                       the network (/24, for IPv6 /64)
direction, protocol                             the port
everything                                      direction and protocol
==============================================  ==================================

A server with ever-new clients learns that new clients are normal: its networks keep being seen only
once.  One that talks to two databases learns the opposite.
"""

import ipaddress
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa

from baseline.model.hierarchy import Context, HierarchyModel, Part, hierarchy_schemas, most_common
from baseline.window import Connection, Signal, Window

_NETWORK_BITS = {4: 24, 6: 64}


def network(peer: str) -> str:
    """The network that an address is taken to belong to; empty for a folded peer."""
    if not peer:
        return ""
    bits = _NETWORK_BITS[ipaddress.ip_address(peer).version]
    return str(ipaddress.ip_network(f"{peer}/{bits}", strict=False))


class ConnectionModel(HierarchyModel[Connection]):
    """Normal connections of a workload; see the module."""

    signal: ClassVar[Signal] = Signal.CONNECTIONS
    schemas: ClassVar[Mapping[str, pa.Schema]] = hierarchy_schemas(
        signal, "[direction, protocol, peer, port]"
    )

    @staticmethod
    def levels(item: Connection) -> Sequence[tuple[Context, Part]]:
        """Contexts of a connection; see the module."""
        kind = (item.direction, item.protocol)
        peers = network(item.peer)
        return [
            ((*kind, item.port, peers), item.peer),
            ((*kind, item.port), peers),
            (kind, item.port),
            ((), kind),
        ]

    @staticmethod
    def histogram(window: Window) -> Mapping[Connection, int]:
        """The connections of a window."""
        return window.connections

    @staticmethod
    def decode(item: Any) -> Connection:  # noqa: ANN401 - JSON
        """A connection from a tuple."""
        return Connection(*item)

    def describe(self, item: Connection) -> str:
        """The connection as people write it."""
        return str(item)

    def nearest(self, item: Connection) -> str:
        """The usual peers on the same port, else of the same direction."""
        same_port: Counter[str] = Counter()
        same_kind: Counter[str] = Counter()
        for known, count in self.counts.items():
            if known[:2] == item[:2]:
                same_kind[str(known)] += count
                if known.port == item.port:
                    same_port[known.peer or "any peer"] += count
        if same_port:
            return f"port {item.port}: usually {most_common(same_port)}"
        if same_kind:
            return f"usually {most_common(same_kind)}"
        return f"no {item.protocol} connection {item.direction} at all"
