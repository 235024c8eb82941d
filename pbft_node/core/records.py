"""What a replica writes to its log before it promises anything, and how it reads it back.

| record | before | because a restarted replica must not |
|---|---|---|
| PRE_PREPARE | PRE-PREPARE or PREPARE leaves | propose or accept another batch for (v, n) |
| PREPARED | COMMIT leaves | forget a certificate others may rely on |
| COMMITTED | - | need others to execute again what it knew decided |
| VIEW_CHANGE | VIEW-CHANGE leaves | vote in a view it left, or send another VIEW-CHANGE for it |
| NEW_VIEW | any vote in the new view | forget which view it is in |
| PAGES, SNAPSHOT | CHECKPOINT leaves | lose the state it vouched for (see ``snapshot_records``) |
| STABLE | - (follows the proof) | lose the proof its VIEW-CHANGE needs |
| BATCH | - | lose a batch fetched by digest |
| SILENT | (first record) | forget that what came before is lost (see ``silence``) |
| RECOVERED | - (the first VIEW-CHANGE after) | be silent again |
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from .frames import Malformed
from .types import Digest, SeqNum

_SEQ = struct.Struct(">Q")


class RecordType(IntEnum):
    """First byte of a record."""

    PRE_PREPARE = 1
    PREPARED = 2
    COMMITTED = 3
    VIEW_CHANGE = 4
    NEW_VIEW = 5
    SNAPSHOT = 6
    STABLE = 7
    BATCH = 8
    SILENT = 9
    RECOVERED = 10
    PAGES = 11


@dataclass(frozen=True, slots=True)
class Record:
    """A record taken apart."""

    type: RecordType
    payload: bytes


def record(type_: RecordType, payload: bytes) -> bytes:
    """One log record."""
    return bytes([type_]) + payload


LOST_LOG = (record(RecordType.SILENT, b""),)
"""The log of a replica that ran and does not know what it promised."""


def is_lost(records: Sequence[bytes]) -> bool:
    """The log begins at an unknown past, and the replica had not recovered from that."""
    return tuple(records[:1]) == LOST_LOG and record(RecordType.RECOVERED, b"") not in records


def parse_record(data: bytes) -> Record | None:
    """The record, or None when it is none of ours (the log's checksums should have caught that)."""
    if not data or data[0] not in RecordType._value2member_map_:
        return None
    return Record(RecordType(data[0]), data[1:])


def encode_seq(seq: SeqNum, data: bytes) -> bytes:
    """Payload of COMMITTED."""
    return _SEQ.pack(seq) + data


def decode_seq(payload: bytes) -> tuple[SeqNum, bytes]:
    """Inverse of ``encode_seq``. Raises Malformed."""
    if len(payload) < _SEQ.size:
        raise Malformed(f"{len(payload)} bytes where a sequence number belongs")
    return SeqNum(_SEQ.unpack_from(payload)[0]), payload[_SEQ.size :]


def committed_record(seq: SeqNum, digest: Digest) -> bytes:
    """Sequence number ``seq`` is decided."""
    return record(RecordType.COMMITTED, encode_seq(seq, digest))
