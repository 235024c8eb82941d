"""Sends recorded packets again, on the links they were recorded on. No key is needed.

What is replayed, is decided by ``of``:
- ``run``: anything seen since the rule began, a few each ``every_ns``, picked by chance;
- ``restart``: when a replica begins a new life, what was sent to it before, in order, all at once;
- ``older-view``: once the cluster is in a later view than when the rule began, packets of views before.

The memory is bounded: of a run a fair sample, before a restart the last ones, of older views the first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from nemesis.packets.numbers import choice_problem, whole, whole_problem
from nemesis.packets.packet import CLIENTS, TYPE_NUMBERS, Header, Packet, host
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import RuleData, Tampering

RUN, RESTART, OLDER_VIEW = OF = ("run", "restart", "older-view")
LEAST_EVERY_NS, MOST_EVERY_NS = 1_000_000, 1_000_000_000
MOST_BURST = 64
MOST_KEPT = 1000
MOST_KEPT_BYTES = 8 << 20
APART_NS = 100_000
"""From one packet to the next, of those that are sent after a restart."""
_NO_VIEW = frozenset({TYPE_NUMBERS["REQUEST"], TYPE_NUMBERS["FRAGMENT"]})
"""Types whose ``view`` is none."""


class Replay(Tampering):
    """``of``, ``every_ns`` and ``burst`` (how many at a time)."""

    action = "replay"
    keys = ("of", "every_ns", "burst")

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        self._of = str(data["of"])
        self._every_ns, self._burst = whole(data, "every_ns"), whole(data, "burst")
        self._kept: deque[Packet] = deque()
        self._bytes = self._met = self._rounds = 0
        self._view = scene.phase.settled
        self._next_ns = 0
        self._replayed = 0

    @property
    def listens(self) -> bool:  # type: ignore[override]
        """See ``Tamperer``."""
        return self._of == RESTART

    @classmethod
    def problem(cls, data: RuleData, n: int) -> str | None:
        """See ``Tampering``."""
        return (
            super().problem(data, n)
            or choice_problem(data, "of", OF)
            or whole_problem(data, "every_ns", LEAST_EVERY_NS, MOST_EVERY_NS)
            or whole_problem(data, "burst", 1, MOST_BURST)
        )

    def handle(self, packet: Packet, header: Header, now_ns: int) -> Sequence[Packet] | None:
        """See ``Tamperer``. It listens, and lets everything pass."""
        if packet.target == CLIENTS or not self.match.header(packet, header, self.scene.n):
            return None
        slot = self.copies.slot(packet, header)
        if self.match.slot(slot, self.chance):
            self._met += 1
            self._keep(packet, header, slot.text())
        return None

    def due_ns(self) -> int | None:
        """See ``Tamperer``."""
        return None if self._of == RESTART else self._next_ns

    def tick(self, now_ns: int) -> Sequence[Packet]:
        """See ``Tamperer``."""
        self._next_ns = now_ns + self._every_ns
        if not self._kept or (self._of == OLDER_VIEW and self.scene.phase.settled <= self._view):
            return ()
        self._rounds += 1
        slots = [f"{self._rounds}/{each}" for each in range(self._burst)]
        again = [self._kept[self.chance.below(len(self._kept), "pick", slot)] for slot in slots]
        self._replayed += len(again)
        self.said = f"sent again, one of {len(self._kept)} recorded ones"
        return again

    def heard(self, replica: int, event: Mapping[str, object], now_ns: int) -> Sequence[Packet]:
        """See ``Tamperer``."""
        if self._of != RESTART or event.get("e") != "started":
            return ()
        there = [packet for packet in self._kept if packet.target == host(replica)]
        self._replayed += len(there)
        self.said = f"sent to r{replica} before it was started again"
        return [packet._replace(delay_ns=APART_NS * place) for place, packet in enumerate(there)]

    def report(self) -> Mapping[str, object]:
        """See ``Tamperer``."""
        return {"of": self._of, "recorded": len(self._kept), "replayed": self._replayed}

    def _keep(self, packet: Packet, header: Header, slot: str) -> None:
        """In its place, or not."""
        if self._of == OLDER_VIEW and (header.view > self._view or header.type in _NO_VIEW):
            return
        room = len(self._kept) < MOST_KEPT and self._bytes + len(packet.data) <= MOST_KEPT_BYTES
        if room:
            self._kept.append(packet)
            self._bytes += len(packet.data)
        elif self._of == RESTART:
            size = len(packet.data)
            while self._bytes + size > MOST_KEPT_BYTES or len(self._kept) >= MOST_KEPT:
                self._bytes -= len(self._kept.popleft().data)
            self._kept.append(packet)
            self._bytes += len(packet.data)
        elif self._of == RUN:
            place = self.chance.below(self._met, "place", slot)
            if place < len(self._kept) and len(packet.data) <= len(self._kept[place].data):
                self._bytes += len(packet.data) - len(self._kept[place].data)
                self._kept[place] = packet
