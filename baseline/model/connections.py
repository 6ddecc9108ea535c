"""Connections: which peers a workload talks with.

Contexts of a connection, with the part that is new or known there:

==============================================  ==================================
direction, protocol, port, network of the peer  the peer's address
direction, protocol, port                       the network (/24, for IPv6 /64)
direction, protocol                             the port
everything                                      direction and protocol
==============================================  ==================================

Of a connection whose address was folded away only port, direction and protocol are judged.

A server with ever-new clients learns that new clients are normal: its networks keep being seen only
once.  One that talks to two databases learns the opposite.  A service may well do both, so clients
and peers that are called have a model and a scale each: what new clients add up to in a window says
nothing about the first call outwards.
"""

import ipaddress
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

import pyarrow as pa

from baseline.model.hierarchy import Context, Part
from baseline.model.hierarchy_model import HierarchyModel
from baseline.model.hierarchy_tables import hierarchy_schemas
from baseline.model.score import Signal
from baseline.window import Connection, Window

_NETWORK_BITS = {4: 24, 6: 64}


@lru_cache(maxsize=1 << 16)
def network(peer: str) -> str:
    """The network that an address is taken to belong to; what is no address is one of its own."""
    try:
        address = ipaddress.ip_address(peer)
        return str(ipaddress.ip_network(f"{peer}/{_NETWORK_BITS[address.version]}", strict=False))
    except ValueError:
        return peer


class ConnectionModel(HierarchyModel[Connection]):
    """Normal connections of a workload in one direction; see the module."""

    direction: ClassVar[str]

    @staticmethod
    def levels(item: Connection) -> Sequence[tuple[Context, Part]]:
        """Contexts of a connection; see the module."""
        kind = (item.direction, item.protocol)
        levels: list[tuple[Context, Part]] = [(kind, item.port), ((), kind)]
        if not item.peer:
            return levels
        peers = network(item.peer)
        return [((*kind, item.port, peers), item.peer), ((*kind, item.port), peers), *levels]

    @classmethod
    def histogram(cls, window: Window) -> Mapping[Connection, int]:
        """The connections of a window in this direction."""
        return {c: n for c, n in window.connections.items() if c.direction == cls.direction}

    @classmethod
    def decode(cls, item: Any) -> Connection:
        """A connection from a tuple."""
        connection = Connection(*item)
        if [type(part) for part in connection] != [str, str, str, int]:
            raise TypeError("a connection that is none")
        if connection.direction != cls.direction or not 0 <= connection.port < 1 << 16:
            raise ValueError("a connection of another direction, or without port")
        return connection

    def describe(self, item: Connection) -> str:
        """The connection as people write it."""
        return str(item)

    def habits(self, item: Connection) -> Sequence[tuple[Hashable, str]]:
        """The peer on its port, and the whole connection in its direction."""
        kind = (item.direction, item.protocol)
        return [((*kind, item.port), item.peer or "any peer"), (kind, str(item))]

    def nearest(self, item: Connection, window: Window | None) -> str:
        """The usual peers on the same port, else of the same direction."""
        kind = (item.direction, item.protocol)
        if same_port := self.usual.get((*kind, item.port)):
            return f"port {item.port}: usually {same_port}"
        if same_kind := self.usual.get(kind):
            return f"usually {same_kind}"
        return f"no {item.protocol} connection {item.direction} at all"


_WRITTEN = "[direction, protocol, peer, port]"


class InboundModel(ConnectionModel):
    """Who connects to the workload."""

    direction: ClassVar[str] = "in"
    signal: ClassVar[Signal] = Signal.CONNECTIONS_IN
    schemas: ClassVar[Mapping[str, pa.Schema]] = hierarchy_schemas(signal, _WRITTEN)


class OutboundModel(ConnectionModel):
    """Whom the workload connects to."""

    direction: ClassVar[str] = "out"
    signal: ClassVar[Signal] = Signal.CONNECTIONS_OUT
    schemas: ClassVar[Mapping[str, pa.Schema]] = hierarchy_schemas(signal, _WRITTEN)
