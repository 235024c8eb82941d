"""Opens what a liar's process sends, and closes what is to be sent instead.

A message of more than a datagram travels as fragments: they are held until the message is whole, and what
replaces it is cut into fragments again. Bytes that nobody can read, and large messages that nobody asked for,
pass as they are. What a packet *is* is decided by decoding alone; a replica also passes on what others
signed, so ``own`` says whether the sender in the frame is who sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nemesis.lies.signer import Signer
from nemesis.packets.packet import CLIENTS, Header, Packet, header_of, replica_of
from nemesis.packets.tamperer import HELD, Uncounted
from pbft_node.core.client_codec import reply_client
from pbft_node.core.codec import decode, encode_batch
from pbft_node.core.fragments import Reassembly
from pbft_node.core.frames import Frame, Malformed, MessageType, peek
from pbft_node.core.messages import Batch, Fragment, Message

_FRAGMENT = int(MessageType.FRAGMENT)
MOST_HELD = 8
"""Messages under way in pieces on one link; the oldest is given up with its pieces."""


class Opened(NamedTuple):
    """A whole message on its way."""

    packet: Packet
    """With the bytes of the whole message."""
    header: Header
    message: Message
    frame: Frame
    pieces: tuple[Packet, ...]
    """As they were sent: the packet itself, or fragments."""

    @property
    def replica(self) -> int:
        """Who sends it."""
        found = replica_of(self.packet.source)
        assert found is not None, f"{self.packet.source} is no replica"
        return found

    @property
    def own(self) -> bool:
        """It speaks in its own name, not of what others signed."""
        return self.frame.sender == self.replica

    @property
    def peer(self) -> int:
        """The principal it is for: a replica, or the client of a REPLY."""
        return peer_of(self.packet)

    def untouched(self) -> Sequence[Packet] | None:
        """What ``handle`` answers when nothing is to be done with it."""
        return None if self.pieces == (self.packet,) else Uncounted(self.pieces)


class Opener:
    """Of one rule. ``types``: the messages it is about."""

    def __init__(self, types: frozenset[int]) -> None:
        self._types = types
        self._assemblies: dict[tuple[str, str], Reassembly] = {}
        self._held: dict[tuple[str, str], dict[bytes, list[Packet]]] = {}

    def open(self, packet: Packet, header: Header) -> Opened | Uncounted | None:
        """``HELD`` while pieces are missing; None: not for us, or nothing that can be read."""
        if header.type == _FRAGMENT:
            return self._piece(packet)
        return self._whole(packet, header, (packet,)) if header.type in self._types else None

    def _whole(self, packet: Packet, header: Header, pieces: tuple[Packet, ...]) -> Opened | None:
        try:
            message, frame = decode(packet.data)
        except Malformed:
            return None
        return Opened(packet, header, message, frame, pieces)

    def _piece(self, packet: Packet) -> Opened | Uncounted | None:
        try:
            message, _ = decode(packet.data)
        except Malformed:
            return None
        assert isinstance(message, Fragment)
        link = packet.source, packet.target
        held = self._held.setdefault(link, {})
        key = message.digest + message.count.to_bytes(4, "big")
        if key not in held:
            inner = peek(message.data)
            if message.index or inner is None or inner[0] not in self._types:
                return None
            if len(held) >= MOST_HELD:
                del held[next(iter(held))]
            held[key] = []
        held[key].append(packet)
        whole = self._assemblies.setdefault(link, Reassembly()).add(message)
        if whole is None:
            return HELD
        pieces = tuple(held.pop(key))
        if isinstance(whole, str):
            return Uncounted(pieces)
        joined = packet._replace(data=whole)
        opened = self._whole(joined, header_of(whole), pieces)
        return Uncounted(pieces) if opened is None else opened


def peer_of(packet: Packet) -> int:
    """The principal a packet is for; a client is named in the packet itself."""
    if packet.target != CLIENTS:
        found = replica_of(packet.target)
        assert found is not None, f"{packet.target} is no host"
        return found
    client = reply_client(packet.data)
    return 0 if client is None else client


def resealed(opened: Opened, signer: Signer, **changes: object) -> tuple[Packet, ...]:
    """The same message with other fields of its frame (``view``, ``seq``, ``body``, ``type``, ``flags``),
    sealed by the liar. Of a PRE-PREPARE, without its batch: see ``proposal``."""
    data = signer.again(opened.peer, opened.frame._replace(**changes))  # type: ignore[arg-type]
    return sent(opened.packet.source, opened.packet.target, opened.peer, data, signer)


def proposal(signer: Signer, target: str, view: int, seq: int, digest: bytes, batch: Batch) -> list[bytes]:
    """A PRE-PREPARE as datagrams. The digest may be another than the batch's."""
    raw = signer.seal.signed(MessageType.PRE_PREPARE, view, seq, digest)
    peer = replica_of(target)
    assert peer is not None
    return signer.seal.fragments(peer, raw + encode_batch(batch))


def sent(source: str, target: str, peer: int, data: bytes, signer: Signer) -> tuple[Packet, ...]:
    """A message on that link, in as many pieces as it needs."""
    return tuple(Packet(source, target, piece) for piece in signer.seal.fragments(peer, data))
