"""Flips bits of packets on the wire. Nobody's key is needed: a flipped byte fails authentication at the
receiver, and so this is a lossy link and no Byzantine replica.

With the checksum ``repaired`` the receiver gets the bytes and must reject them; ``broken``, its kernel drops
them, and in a virtual world, which has no kernel, they are lost at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from nemesis.packets.chance import Slot
from nemesis.packets.numbers import choice_problem, whole, whole_problem
from nemesis.packets.packet import Header, Packet
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import RuleData, Tampering
from pbft_node.core.frames import HEADER, HEADER_BYTES

WHERE = ("anywhere", "header", "body", "tag")
CHECKSUMS = ("repaired", "broken")
MOST_BITS = 256


class Corrupt(Tampering):
    """``bits`` of them; ``where``: in which part of the frame, anywhere if it has none such."""

    action = "corrupt"
    keys = ("bits", "where", "checksum")

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        self._bits, self._where = whole(data, "bits"), str(data["where"])
        self._spoilt = data["checksum"] == "broken"

    @classmethod
    def problem(cls, data: RuleData, n: int) -> str | None:
        """See ``Tampering``."""
        return (
            super().problem(data, n)
            or whole_problem(data, "bits", 1, MOST_BITS)
            or choice_problem(data, "where", WHERE)
            or choice_problem(data, "checksum", CHECKSUMS)
        )

    def act(self, packet: Packet, header: Header, slot: Slot, now_ns: int) -> Sequence[Packet] | None:
        """See ``Tampering``."""
        first, end = _part(packet.data, self._where)
        if end <= first:
            return None
        flipped: set[int] = set()
        for draw in range(self._bits):
            flipped.add(8 * first + self.chance.below(8 * (end - first), f"bit {draw}", slot.text()))
        data = bytearray(packet.data)
        for bit in flipped:
            data[bit // 8] ^= 1 << bit % 8
        said = f"{len(flipped)} bits of bytes {first} to {end - 1} flipped"
        self.said = f"{said}, checksum left wrong: lost" if self._spoilt else said
        return (packet._replace(data=bytes(data), spoilt=self._spoilt or packet.spoilt),)


def _part(data: bytes, where: str) -> tuple[int, int]:
    """From and to, the end excluded."""
    size = len(data)
    if where == "anywhere" or size < HEADER_BYTES:
        return 0, size
    if where == "header":
        return 0, HEADER_BYTES
    body_end = HEADER_BYTES + int(HEADER.unpack_from(data)[-1])
    first, end = (HEADER_BYTES, min(body_end, size)) if where == "body" else (body_end, size)
    return (first, end) if first < end else (0, size)
