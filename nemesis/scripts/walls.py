"""What a script does to packets that no single rule of the engine says: a wall around replicas, and a hold.

A wall takes what is under way, too: packets that other rules held back meet it when they are let go
(``Engine.walled``). A hold keeps packets until it is released; they leave in the order in which they came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from nemesis.packets.chance import Copies
from nemesis.packets.match import Match
from nemesis.packets.packet import CLIENTS, Header, Packet, host

MOST_HELD = 20_000


@dataclass(frozen=True, slots=True)
class Wall:
    """Nothing passes between these hosts and others."""

    inside: frozenset[str]
    clients: bool
    """Clients are outside, too; else they see both sides."""

    @classmethod
    def around(cls, replicas: Sequence[int], clients: bool) -> Wall:
        """Them together."""
        return cls(frozenset(host(replica) for replica in replicas), clients)

    @property
    def text(self) -> str:
        """For people."""
        return f"{', '.join(sorted(self.inside))} cut off"

    def stops(self, packet: Packet) -> bool:
        """Does it want to pass?"""
        if CLIENTS in (packet.source, packet.target) and not self.clients:
            return False
        return (packet.source in self.inside) != (packet.target in self.inside)


class Hold:
    """Keeps what it matches."""

    def __init__(self, match: Match) -> None:
        self._match = match
        self._copies = Copies()
        self._held: deque[Packet] = deque()
        self.lost = 0
        """Too many: these were dropped."""

    def __len__(self) -> int:
        return len(self._held)

    def keeps(self, packet: Packet, header: Header, n: int) -> bool:
        """Is it held from now on?"""
        if not self._match.header(packet, header, n):
            return False
        copy = self._match.copy
        if copy is not None:
            slot = self._copies.slot(packet, header)
            if not copy[0] <= slot.copy <= copy[1]:
                return False
        if len(self._held) >= MOST_HELD:
            self.lost += 1
        else:
            self._held.append(packet)
        return True

    def release(self) -> Sequence[Packet]:
        """All of it, in order."""
        released = tuple(self._held)
        self._held.clear()
        return released
