"""REQUEST and REPLY as bytes: what travels between clients and replicas (sections 4.1 and 5.1).

As in ``codec``: one encoding each, decoding gives a message or raises ``Malformed``, and who wrote it is for
``seal`` to say.
"""

from __future__ import annotations

import struct

from .digests import DIGEST_BYTES, request_digest, result_digest
from .frames import (
    HEADER_BYTES,
    NAMES_REPLIER,
    OF_STATE,
    READ_ONLY,
    RESULT_DIGEST,
    Frame,
    Malformed,
    MessageType,
    peek,
)
from .messages import Reply, Request
from .operations import MAX_OPERATION_BYTES
from .reader import BodyReader
from .types import FIRST_CLIENT_ID, MAX_SEQUENCE, ClientId, Digest, ReplicaId, SeqNum, Timestamp, View

_TO_CLIENTS = (MessageType.REPLY, MessageType.FRAGMENT)
_U32 = struct.Struct(">I")
_LENGTH_AND_RECEIVER = struct.Struct(">II")
_U64 = struct.Struct(">Q")


def encode_reply(client: ClientId, result: bytes) -> bytes:
    """Body of REPLY; view and timestamp are in the header. ``result``: or its digest, as the flags say."""
    return _U32.pack(client) + result


def encode_read_reply(client: ClientId, state: SeqNum, result: bytes) -> bytes:
    """Same for a read-only request."""
    return _U32.pack(client) + _U64.pack(state) + result


def reply_client(data: bytes) -> ClientId | None:
    """The client a datagram (a REPLY, or a piece of one) says it is for, or None. Checks nothing."""
    header = peek(data)
    if header is None or header[0] not in _TO_CLIENTS or len(data) < HEADER_BYTES + 4:
        return None
    length, receiver = _LENGTH_AND_RECEIVER.unpack_from(data, HEADER_BYTES - 4)
    return ClientId(receiver) if length >= 4 and receiver >= FIRST_CLIENT_ID else None


def decode_request(frame: Frame) -> Request:
    """Raises Malformed."""
    if frame.flags & ~(READ_ONLY | NAMES_REPLIER):
        raise Malformed(f"REQUEST with flags {frame.flags}")
    if frame.sender < FIRST_CLIENT_ID:
        raise Malformed(f"REQUEST from {frame.sender}, which is no client")
    replier = ReplicaId(frame.view) if frame.flags & NAMES_REPLIER else None
    if frame.view >= (1 if replier is None else FIRST_CLIENT_ID) or frame.seq < 1:
        raise Malformed(f"REQUEST with view {frame.view}, timestamp {frame.seq}")
    if len(frame.body) > MAX_OPERATION_BYTES:
        raise Malformed(f"operation of {len(frame.body)} bytes: the limit is {MAX_OPERATION_BYTES}")
    raw = frame.raw
    client, timestamp = ClientId(frame.sender), Timestamp(frame.seq)
    read_only = bool(frame.flags & READ_ONLY)
    return Request(client, timestamp, frame.body, raw, request_digest(raw), replier, read_only)


def decode_ordered_request(frame: Frame) -> Request:
    """One that may stand in a batch. Raises Malformed."""
    if frame.flags & READ_ONLY:
        raise Malformed("a read-only REQUEST in a batch")
    return decode_request(frame)


def decode_reply(frame: Frame) -> Reply:
    """Raises Malformed."""
    if frame.sender >= FIRST_CLIENT_ID:
        raise Malformed(f"REPLY from {frame.sender}, which is no replica")
    reader = BodyReader(frame.body)
    client = ClientId(reader.number(_U32))
    if frame.flags & ~(RESULT_DIGEST | OF_STATE):
        raise Malformed(f"REPLY with flags {frame.flags}")
    state = None
    if frame.flags & OF_STATE:
        state = SeqNum(reader.number(_U64))
        if state > MAX_SEQUENCE:
            raise Malformed(f"REPLY at state {state}")
    result: bytes | None = None
    if frame.flags & RESULT_DIGEST:
        digest = Digest(reader.take(DIGEST_BYTES))
        reader.end()
    else:
        result = frame.body[reader.position :]
        digest = result_digest(result)
    replica, view, timestamp = ReplicaId(frame.sender), View(frame.view), Timestamp(frame.seq)
    return Reply(view, timestamp, client, replica, result, digest, frame.raw, state)
