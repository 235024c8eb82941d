"""What the replicas of one simulation need not each work out anew.

They are objects of one process, so what one found out by a pure function of bytes, the others may be told
instead of computing it again: whether a signature is good (``join`` for keys, ``equip`` for frames), and what
message some bytes are (``decode``). Both depend on nothing but their arguments and the cluster, which all
have in common, and what comes out never changes: a bool; a message and a frame of frozen parts. So the run is
the same, byte for byte, with the sharing and without it (``Shared(remembers=False)``; a test compares), only
slower. Nothing that rests on a replica's own secrets or state is shared: MACs are made and checked by each.

What is remembered is bounded, the oldest goes first: a broadcast reaches all its receivers soon or never.
"""

from __future__ import annotations

from pbft_node.core.codec import decode
from pbft_node.core.frames import MAX_DATAGRAM_BYTES, SIGNED, Frame
from pbft_node.core.messages import Message
from pbft_node.core.replica import Replica
from pbft_node.core.seal import AUTH_OFFSET, GoodFrames
from pbft_node.keys import NodeKeys, Verified

MOST_MESSAGES = 256


class Shared:
    """Of one simulation."""

    def __init__(self, *, remembers: bool = True) -> None:
        self._remembers = remembers
        self._verified: Verified = {}
        self._good_frames: GoodFrames = {}
        self._decoded: dict[bytes, tuple[Message, Frame]] = {}

    def join(self, keys: NodeKeys) -> None:
        """Those of a replica, or of the clients: what they sign is known to be good, too."""
        if self._remembers:
            keys.share(self._verified)

    def equip(self, replica: Replica) -> None:
        """At the beginning of each of its lives."""
        if self._remembers:
            replica.seal.share(self._good_frames)
            replica.decode = self.decode

    def decode(self, data: bytes) -> tuple[Message, Frame]:
        """``codec.decode``. Only what is signed is the same for many receivers. Raises Malformed."""
        if not self._remembers or len(data) <= AUTH_OFFSET or data[AUTH_OFFSET] != SIGNED:
            return decode(data)
        known = self._decoded.get(data)
        if known is None:
            known = decode(data)
            if len(data) <= MAX_DATAGRAM_BYTES:
                self._remember(data, known)
        return known

    def _remember(self, data: bytes, message: tuple[Message, Frame]) -> None:
        if len(self._decoded) >= MOST_MESSAGES:
            del self._decoded[next(iter(self._decoded))]
        self._decoded[data] = message
