"""Drops packets."""

from __future__ import annotations

from collections.abc import Sequence

from nemesis.packets.chance import Slot
from nemesis.packets.packet import Header, Packet
from nemesis.packets.tamperer import Tampering


class Drop(Tampering):
    """All it matches."""

    action = "drop"

    def act(self, packet: Packet, header: Header, slot: Slot, now_ns: int) -> Sequence[Packet]:
        """See ``Tampering``."""
        return ()
