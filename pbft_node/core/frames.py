"""The frame: the fixed-offset envelope of every message.

    offset 0   4s  magic "PBFT"
           4   B   version
           5   B   type (MessageType)
           6   B   authentication: 1 signature (64 bytes), 2 MAC (16 bytes), 3 authenticator (REQUEST only:
                   H count, then a MAC for each replica)
           7   B   flags, see below; 0 in every other message
           8   I   sender (a replica, or the client of a REQUEST)
          12   Q   view (REQUEST: the replica it names)
          20   Q   sequence number (REQUEST, REPLY: the timestamp)
          28   I   length of the body
          32       body, then its authentication, then (PRE-PREPARE only) the batch

All integers are big-endian, so that a firewall or a nemesis can match a message by its header alone. The
batch of a PRE-PREPARE travels outside the signature, as in the paper: <<PRE-PREPARE, v, n, d>_sigma, m>.

Flags of a REQUEST: READ_ONLY (1), not to be ordered (section 5.1); NAMES_REPLIER (2), ``view`` is the
replica that is to send the whole result; without it ``view`` is 0. Of a REPLY: RESULT_DIGEST (1), the body
ends in the result's digest instead of the result; OF_STATE (2), to a read-only request, with the number of
the state.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

from .authentication import MAC_BYTES, SIGNATURE_BYTES
from .types import MAX_SEQUENCE, MAX_TIMESTAMP, MAX_VIEW

MAGIC = b"PBFT"
VERSION = 1
HEADER = struct.Struct(">4sBBBBIQQI")
HEADER_BYTES = HEADER.size
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
MAX_DATAGRAM_BYTES = 60_000
"""Larger messages travel as fragments."""

SIGNED = 1
MACED = 2
READ_ONLY = 1
NAMES_REPLIER = 2
RESULT_DIGEST = 1
OF_STATE = 2
AUTHENTICATOR = 3
TAG_BYTES = {SIGNED: SIGNATURE_BYTES, MACED: MAC_BYTES}
COUNT = struct.Struct(">H")


class MessageType(IntEnum):
    """What a frame says."""

    REQUEST = 1
    PRE_PREPARE = 2
    PREPARE = 3
    COMMIT = 4
    REPLY = 5
    CHECKPOINT = 6
    VIEW_CHANGE = 7
    NEW_VIEW = 8
    STATUS = 9
    FETCH_BATCH = 10
    BATCH = 11
    FETCH_STATE = 12
    STATE_META = 13
    FETCH_PARTS = 14
    STATE_PARTS = 15
    FRAGMENT = 16
    DECIDED = 17
    QUERY_VIEW = 18
    TELL_VIEW = 19


_TYPES = {int(kind): kind for kind in MessageType}
_TIMESTAMPED = (MessageType.REQUEST, MessageType.REPLY)


class Malformed(Exception):
    """Bytes that are not a message. Raised while decoding only, and never leaves the core."""


class Frame(NamedTuple):
    """A frame taken apart; ``tag`` is not yet checked. A tuple: every datagram becomes one, and a frozen
    dataclass takes four times as long to make."""

    type: MessageType
    auth: int
    flags: int
    sender: int
    view: int
    seq: int
    body: bytes
    tag: bytes
    signed: bytes
    """Header and body: what the tag covers."""
    raw: bytes
    """The frame as it travels, without an attached batch."""


def header_and_body(
    type_: MessageType, auth: int, flags: int, sender: int, view: int, seq: int, body: bytes
) -> bytes:
    """What is signed (see ``seal``) and sent before the tag."""
    return HEADER.pack(MAGIC, VERSION, type_, auth, flags, sender, view, seq, len(body)) + body


def peek(data: bytes) -> tuple[int, int, int, int] | None:
    """(type, sender, view, sequence number) by the header alone: enough to drop what is stale before it is
    taken apart."""
    if len(data) < HEADER_BYTES:
        return None
    _, _, type_, _, _, sender, view, seq, _ = HEADER.unpack_from(data)
    return type_, sender, view, seq


def parse_frame(data: bytes, offset: int = 0) -> tuple[Frame, int]:
    """The frame at ``offset`` and where it ends. Raises Malformed."""
    size = len(data)
    if size - offset < HEADER_BYTES:
        raise Malformed(f"{size - offset} bytes: shorter than a header")
    magic, version, type_, auth, flags, sender, view, seq, length = HEADER.unpack_from(data, offset)
    if magic != MAGIC:
        raise Malformed("wrong magic")
    if version != VERSION:
        raise Malformed(f"version {version}")
    tag_bytes = TAG_BYTES.get(auth)
    if tag_bytes is None and (auth, type_) != (AUTHENTICATOR, MessageType.REQUEST):
        raise Malformed(f"authentication kind {auth}")
    kind = _TYPES.get(type_)
    if kind is None:
        raise Malformed(f"message type {type_}")
    if view > MAX_VIEW:
        raise Malformed(f"view {view}")
    if seq > MAX_SEQUENCE and (seq > MAX_TIMESTAMP or kind not in _TIMESTAMPED):
        raise Malformed(f"sequence number {seq}")
    body_start = offset + HEADER_BYTES
    body_end = body_start + length
    end = body_end + (tag_bytes or _authenticator_bytes(data, body_end))
    if end > size:
        raise Malformed(f"body of {length} bytes is cut short")
    body, tag = data[body_start:body_end], data[body_end:end]
    signed, raw = data[offset:body_end], data[offset:end]
    # As Frame(…), without the call in between: this is the most frequent thing a replica does.
    return tuple.__new__(Frame, (kind, auth, flags, sender, view, seq, body, tag, signed, raw)), end


def _authenticator_bytes(data: bytes, start: int) -> int:
    """How long it is says its own count; a count of more than there is makes the frame too short."""
    if start + COUNT.size > len(data):
        return COUNT.size
    (count,) = COUNT.unpack_from(data, start)
    return COUNT.size + int(count) * MAC_BYTES
