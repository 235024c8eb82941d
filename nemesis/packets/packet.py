"""A datagram on its way, and what its header says.

Hosts are named as links are: ``r0`` … ``r<n-1>``, ``clients``. The bytes are hostile like all others: a
header is what somebody wrote there.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from pbft_node.core.frames import MessageType, peek

CLIENTS = "clients"
TYPE_NAMES: Mapping[int, str] = MappingProxyType({int(kind): kind.name for kind in MessageType})
TYPE_NUMBERS: Mapping[str, int] = MappingProxyType({kind.name: int(kind) for kind in MessageType})


class Packet(NamedTuple):
    """A tuple: every datagram becomes one."""

    source: str
    target: str
    data: bytes
    delay_ns: int = 0
    """It leaves so much later."""
    spoilt: bool = False
    """With a wrong checksum: the receiver's kernel drops it, and so it is merely lost."""


class Header(NamedTuple):
    """What rules match."""

    type: int
    sender: int
    view: int
    seq: int

    @property
    def name(self) -> str:
        """Of the type, as in the paper with ``_`` for ``-``; its number when nobody knows it."""
        return TYPE_NAMES.get(self.type, str(self.type))


NO_HEADER = Header(0, 0, 0, 0)
"""Of bytes too short to have one."""


def header_of(data: bytes) -> Header:
    """By the first 28 bytes alone."""
    fields = peek(data)
    return NO_HEADER if fields is None else Header(*fields)


def host(principal: int) -> str:
    """The host of a replica."""
    return f"r{principal}"


def replica_of(name: str) -> int | None:
    """The replica of a host; None for ``clients``."""
    return int(name[1:]) if name[:1] == "r" and name[1:].isdecimal() else None
