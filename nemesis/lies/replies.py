"""A REPLY with another result, or with its digest where the reply has one; ordered or read-only."""

from __future__ import annotations

from nemesis.lies.opened import Opened, resealed
from nemesis.lies.signer import Signer
from nemesis.packets.packet import Packet
from pbft_node.core.client_codec import encode_read_reply, encode_reply
from pbft_node.core.digests import result_digest
from pbft_node.core.frames import RESULT_DIGEST
from pbft_node.core.messages import Reply
from pbft_node.core.types import ClientId, SeqNum

MOST_RESULTS = 64
"""Remembered to lie with."""


def with_result(opened: Opened, reply: Reply, signer: Signer, result: bytes) -> tuple[Packet, ...]:
    """To the same client, about the same operation."""
    return resealed(opened, signer, body=body_of(reply, opened.frame.flags, result))


def body_of(
    reply: Reply, flags: int, result: bytes, client: int | None = None, state: int | None = None
) -> bytes:
    """Of a REPLY with that result. ``client``, ``state``: others than its own."""
    shown = result_digest(result) if flags & RESULT_DIGEST else result
    to = ClientId(reply.client if client is None else client)
    if reply.state is None:
        return encode_reply(to, shown)
    return encode_read_reply(to, SeqNum(reply.state if state is None else state), shown)
