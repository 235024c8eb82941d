"""Limits the rate of links: bytes a second, with a queue in front; what finds no room in it is lost.

Each directed link has a bottleneck of its own. The size is the datagram's, without the headers below it.
"""

from __future__ import annotations

from collections.abc import Sequence

from nemesis.packets.chance import Slot
from nemesis.packets.numbers import MOST_DELAY_NS, whole, whole_problem
from nemesis.packets.packet import Header, Packet
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import RuleData, Tampering

LEAST_RATE, MOST_RATE = 1_000, 10**10
MOST_QUEUE_BYTES = 1 << 30
_SECOND_NS = 1_000_000_000


class Rate(Tampering):
    """``bytes_per_s`` on the wire, ``queue_bytes`` waiting for it."""

    action = "rate"
    keys = ("bytes_per_s", "queue_bytes")

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        self._rate, self._queue = whole(data, "bytes_per_s"), whole(data, "queue_bytes")
        self._free_ns: dict[tuple[str, str], int] = {}
        """When the last packet of a link will have left."""

    @classmethod
    def problem(cls, data: RuleData, n: int) -> str | None:
        """See ``Tampering``."""
        found = (
            super().problem(data, n)
            or whole_problem(data, "bytes_per_s", LEAST_RATE, MOST_RATE)
            or whole_problem(data, "queue_bytes", 0, MOST_QUEUE_BYTES)
        )
        if found is not None or longest_ns(data) <= MOST_DELAY_NS:
            return found
        seconds = MOST_DELAY_NS // _SECOND_NS
        return f"queue_bytes = {data['queue_bytes']}: at that rate they wait for longer than {seconds} s"

    def act(self, packet: Packet, header: Header, slot: Slot, now_ns: int) -> Sequence[Packet]:
        """See ``Tampering``."""
        link = packet.source, packet.target
        free_ns = max(now_ns, self._free_ns.get(link, 0))
        waiting = (free_ns - now_ns) * self._rate // _SECOND_NS
        if waiting > self._queue:
            self.said = f"lost: {waiting} bytes wait already"
            return ()
        self._free_ns[link] = free_ns + -(-len(packet.data) * _SECOND_NS // self._rate)
        late_ns = min(self._free_ns[link] - now_ns, MOST_DELAY_NS)
        self.said = f"behind {waiting} bytes, {late_ns / 1e6:.3f} ms late"
        return (packet._replace(delay_ns=late_ns),)


def longest_ns(data: RuleData) -> int:
    """How long the queue may be, in time."""
    return whole(data, "queue_bytes") * _SECOND_NS // whole(data, "bytes_per_s")
