"""Puts packets on the wire in the name of their source: IP headers of our own on a raw socket.

The UDP checksum is 0, which says "none": a stale one would merely lose the packet. One that is spoilt shall
be lost, and gets a checksum that is wrong. What leaves here passes the router's OUTPUT chain and not FORWARD,
so it is not queued again; the chain of cuts stands in OUTPUT, too, and a packet held back until its link was
cut is taken by the cut (EPERM). Where an identity has two hosts, whom a packet is from tells which of them it
goes to; packets for second hosts carry a mark that the router's rules know (``TWINS_MARK``).
"""

from __future__ import annotations

import errno
import socket
import struct
from collections import Counter
from collections.abc import Mapping

from nemesis.interceptor.nfqueue import Lost
from nemesis.packets.packet import Packet, replica_of
from nemesis.sides import Side, for_twin

HEADERS_BYTES = 28
TWINS_MARK = 1
MOST_BYTES = 65_507
"""Of a datagram."""
BUFFER_BYTES = 4 * 1024 * 1024
_DONT_FRAGMENT = 0x4000
_HOPS = 64
_Host = tuple[bytes, str, int]
_HEADERS = struct.Struct(">BBHHHBBH4s4sHHHH")


class Emitter:
    """To and from these hosts."""

    def __init__(self, hosts: Mapping[str, tuple[str, int]]) -> None:
        self._hosts = {name: (socket.inet_aton(host), host, port) for name, (host, port) in hosts.items()}
        self._socket = _raw_socket()
        self._to_twins: socket.socket | None = None
        self._sides: Mapping[int, Side] = {}
        self.counts: Counter[str] = Counter()
        """``emitted``, ``cut``, ``too large``, ``no such host``."""

    def close(self) -> None:
        """Idempotent."""
        self._socket.close()
        if self._to_twins is not None:
            self._to_twins.close()

    def divide(self, sides: Mapping[int, Side]) -> None:
        """Who has a twin from now on. Raises OSError."""
        self._sides = sides
        if sides and self._to_twins is None:
            self._to_twins = _raw_socket()
            self._to_twins.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, TWINS_MARK)

    def send(self, packet: Packet) -> None:
        """Now. Raises Lost when the kernel has no room for it."""
        source, target = self._hosts.get(packet.source), self._hosts.get(packet.target)
        if source is None or target is None:
            self.counts["no such host"] += 1
            return
        size = len(packet.data)
        if size > MOST_BYTES:
            self.counts["too large"] += 1
            return
        headers = _HEADERS.pack(
            0x45,
            0,
            HEADERS_BYTES + size,
            0,
            _DONT_FRAGMENT,
            _HOPS,
            socket.IPPROTO_UDP,
            0,  # the kernel fills it in
            source[0],
            target[0],
            source[2],
            target[2],
            8 + size,
            _wrong_checksum(source, target, packet.data) if packet.spoilt else 0,
        )
        try:
            self._way(packet).sendto(headers + packet.data, (target[1], 0))
        except OSError as problem:
            self._failed(problem)
        else:
            self.counts["emitted"] += 1

    def _way(self, packet: Packet) -> socket.socket:
        if self._to_twins is None or not self._sides:
            return self._socket
        is_for_twin = for_twin(self._sides, replica_of(packet.source), replica_of(packet.target), packet.data)
        return self._to_twins if is_for_twin else self._socket

    def _failed(self, problem: OSError) -> None:
        if problem.errno == errno.EPERM:
            self.counts["cut"] += 1
        elif problem.errno == errno.EMSGSIZE:
            self.counts["too large"] += 1
        else:
            raise Lost(f"a packet could not be put on the wire again: {problem.strerror}")


def _raw_socket() -> socket.socket:
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    opened = socket.socket(socket.AF_INET, kind, socket.IPPROTO_RAW)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    return opened


def _wrong_checksum(source: _Host, target: _Host, data: bytes) -> int:
    """Of a datagram: neither its own, nor 0."""
    size = 8 + len(data)
    ports = source[2], target[2]
    pseudo = struct.pack(">4s4sHHHHH", source[0], target[0], socket.IPPROTO_UDP, size, *ports, size)
    whole = pseudo + data + bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(whole) // 2}H", whole))
    total = (total & 0xFFFF) + (total >> 16)
    right = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return right ^ 0x0101 or 0x0202
