"""Sends packets several times: the same bytes, each copy a little later than the one before."""

from __future__ import annotations

from collections.abc import Sequence

from nemesis.packets.chance import Slot
from nemesis.packets.numbers import MOST_DELAY_NS, whole, whole_problem
from nemesis.packets.packet import Header, Packet
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import RuleData, Tampering

MOST_COPIES = 16


class Duplicate(Tampering):
    """``copies`` beside the packet itself, ``apart_ns`` from one to the next."""

    action = "duplicate"
    keys = ("copies", "apart_ns")

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        self._copies, self._apart_ns = whole(data, "copies"), whole(data, "apart_ns")

    @classmethod
    def problem(cls, data: RuleData, n: int) -> str | None:
        """See ``Tampering``."""
        return (
            super().problem(data, n)
            or whole_problem(data, "copies", 1, MOST_COPIES)
            or whole_problem(data, "apart_ns", 0, MOST_DELAY_NS // MOST_COPIES)
        )

    def act(self, packet: Packet, header: Header, slot: Slot, now_ns: int) -> Sequence[Packet]:
        """See ``Tampering``."""
        self.said = f"{self._copies + 1} times"
        return [packet._replace(delay_ns=copy * self._apart_ns) for copy in range(self._copies + 1)]
