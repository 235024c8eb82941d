"""Reorders: holds a packet back until so many later ones of its link have passed, or its time is up.

Later ones are those the match is about, whatever its share ``p`` says. What is held when the rule ends leaves
then. At most ``MOST_HELD`` packets are held; one more passes as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nemesis.packets.numbers import MOST_DELAY_NS, whole, whole_problem
from nemesis.packets.packet import Header, Packet
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import RuleData, Tampering

MOST_BEHIND = 64
MOST_HELD = 256


@dataclass(slots=True)
class _Held:
    packet: Packet
    due_ns: int
    behind: int
    """So many must pass first."""


class Reorder(Tampering):
    """``behind`` so many, for ``most_ns`` at most."""

    action = "reorder"
    keeps = True
    keys = ("behind", "most_ns")

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        self._behind, self._most_ns = whole(data, "behind"), whole(data, "most_ns")
        self._held: list[_Held] = []
        """By due time: all wait equally long."""

    @classmethod
    def problem(cls, data: RuleData, n: int) -> str | None:
        """See ``Tampering``."""
        return (
            super().problem(data, n)
            or whole_problem(data, "behind", 1, MOST_BEHIND)
            or whole_problem(data, "most_ns", 1, MOST_DELAY_NS)
        )

    def handle(self, packet: Packet, header: Header, now_ns: int) -> Sequence[Packet] | None:
        """See ``Tamperer``."""
        if not self.match.header(packet, header, self.scene.n):
            return None
        passed = self._passed(packet)
        slot = self.copies.slot(packet, header)
        if len(self._held) < MOST_HELD and self.match.slot(slot, self.chance):
            self._held.append(_Held(packet, now_ns + self._most_ns, self._behind))
            self.said = f"held back behind {self._behind} later ones"
            return passed
        if not passed:
            return None
        self.said = f"{len(passed)} held back follow"
        return [packet, *passed]

    def due_ns(self) -> int | None:
        """See ``Tamperer``."""
        return self._held[0].due_ns if self._held else None

    def tick(self, now_ns: int) -> Sequence[Packet]:
        """See ``Tamperer``."""
        due = [held.packet for held in self._held if held.due_ns <= now_ns]
        self._held = [held for held in self._held if held.due_ns > now_ns]
        self.said = "held back as long as may be"
        return due

    def left(self) -> Sequence[Packet]:
        """See ``Tamperer``."""
        left = [held.packet for held in self._held]
        self._held = []
        self.said = "held back until the fault was over"
        return left

    def _passed(self, later: Packet) -> list[Packet]:
        """Whom this one lets go."""
        free: list[Packet] = []
        stay: list[_Held] = []
        for held in self._held:
            if (held.packet.source, held.packet.target) == (later.source, later.target):
                held.behind -= 1
            if held.behind > 0:
                stay.append(held)
            else:
                free.append(held.packet)
        self._held = stay
        return free
