"""Chance that hangs on what a packet is, not on when it came.

A decision is a hash of (seed, fault, purpose, logical slot). The slot of a packet is its type, view, sequence
number, source, target, and how manieth such packet it is. So a packet more elsewhere, another fault, another
order of arrival change no decision, and a live run and a virtual one lie alike about the same message.
"""

from __future__ import annotations

import hashlib
import struct
from typing import NamedTuple

from nemesis.packets.packet import Header, Packet

_WORD = struct.Struct(">Q").unpack_from
WORDS = 2**64
MOST_SLOTS = 200_000
"""Remembered per fault for the count of copies; the oldest are forgotten, and count from 0 again."""


class Slot(NamedTuple):
    """A packet's place in the protocol."""

    type: int
    view: int
    seq: int
    source: str
    target: str
    copy: int
    """0 for the first, 1 for its first retransmission …"""

    def text(self) -> str:
        """For a hash, and for people."""
        return f"{self.type}/{self.view}/{self.seq}/{self.source}>{self.target}/{self.copy}"


class Copies:
    """Counts packets of the same place."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int, int, str, str], int] = {}

    def slot(self, packet: Packet, header: Header) -> Slot:
        """Of this packet, which is counted."""
        place = header.type, header.view, header.seq, packet.source, packet.target
        copy = self._seen.pop(place, 0)
        if len(self._seen) >= MOST_SLOTS:
            del self._seen[next(iter(self._seen))]
        self._seen[place] = copy + 1
        return Slot(*place, copy)


class Chance:
    """Of one rule."""

    def __init__(self, seed: int, rule: str) -> None:
        self._prefix = hashlib.blake2b(f"traitor tampering/{seed}/{rule}/".encode(), digest_size=16)

    def word(self, purpose: str, what: str) -> int:
        """A whole number below 2**64. ``what``: a slot's ``text``, or anything as stable."""
        hashing = self._prefix.copy()
        hashing.update(f"{purpose}/{what}".encode())
        return int(_WORD(hashing.digest())[0])

    def happens(self, share: float, purpose: str, what: str) -> bool:
        """True for that share of all slots."""
        return share >= 1 or self.word(purpose, what) < int(share * WORDS)

    def below(self, bound: int, purpose: str, what: str) -> int:
        """A whole number from 0 to bound - 1."""
        return self.word(purpose, what) * bound // WORDS
