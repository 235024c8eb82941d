"""Packets that wait in the interceptor: for their time (a rule delayed them), or for an order about their
replica to be carried out (then they still wait in the kernel). Both have a bound.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from nemesis.interceptor.nfqueue import Lost
from nemesis.packets.packet import Packet

MOST_PACKETS = 200_000
MOST_BYTES = 256 << 20
MOST_FROZEN = 20_000
ORDER_NS = 10_000_000_000
"""An order not carried out within this time voids the run."""


class Delayed:
    """By time; those due at the same time in the order they came."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Packet]] = []
        self._order = 0
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def due_ns(self) -> int | None:
        """Of the next."""
        return self._heap[0][0] if self._heap else None

    def add(self, due_ns: int, packet: Packet) -> None:
        """Raises Lost when there is no room for it."""
        self._order += 1
        self._bytes += len(packet.data)
        heapq.heappush(self._heap, (due_ns, self._order, packet))
        if len(self._heap) > MOST_PACKETS or self._bytes > MOST_BYTES:
            raise Lost(f"rules delay more than {MOST_PACKETS} packets or {MOST_BYTES >> 20} MiB at once")

    def due(self, now_ns: int) -> Iterator[Packet]:
        """Those whose time has come."""
        while self._heap and self._heap[0][0] <= now_ns:
            packet = heapq.heappop(self._heap)[2]
            self._bytes -= len(packet.data)
            yield packet


class Frozen:
    """Packets to and from replicas about which an order is under way."""

    def __init__(self) -> None:
        self._orders: dict[int, tuple[str, int]] = {}
        """Number of the order -> host, and when it was given."""
        self._waiting: list[tuple[Packet, int]] = []
        self.hosts: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self._waiting)

    def order(self, number: int, host: str, now_ns: int) -> None:
        """Given: hold what is to and from that host."""
        self._orders[number] = host, now_ns
        self._look()

    def add(self, packet: Packet, waiting: int) -> None:
        """It waits in the kernel as ``waiting``. Raises Lost when too many do."""
        self._waiting.append((packet, waiting))
        if len(self._waiting) > MOST_FROZEN:
            raise Lost(f"more than {MOST_FROZEN} packets came while an order was carried out")

    def done(self, number: int) -> list[tuple[Packet, int]]:
        """The order is carried out: what need not wait any more, in order."""
        self._orders.pop(number, None)
        self._look()
        free = [one for one in self._waiting if not self.holds(one[0].source, one[0].target)]
        self._waiting = [one for one in self._waiting if self.holds(one[0].source, one[0].target)]
        return free

    def holds(self, source: str, target: str) -> bool:
        """Must a packet wait?"""
        return source in self.hosts or target in self.hosts

    def check(self, now_ns: int) -> None:
        """Raises Lost for an order that takes for ever."""
        for host, given_ns in self._orders.values():
            if now_ns - given_ns > ORDER_NS:
                raise Lost(f"an order about {host} was not carried out within {ORDER_NS // 10**9} s")

    def _look(self) -> None:
        self.hosts = frozenset(host for host, _ in self._orders.values())
