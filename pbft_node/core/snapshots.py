"""The checkpointed state: service and client table in one byte string, proved chunk by chunk.

The digest of a checkpoint covers the length and the digests of fixed-size chunks, so that a replica
fetching the state can check each chunk by itself against the 2f+1 signatures on the digest (section 5.3
with a flat tree).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .digests import digest_of
from .types import ClientId, Digest, SeqNum, Timestamp

CHUNK_BYTES = 32 * 1024
_HEAD = struct.Struct(">I")
_ENTRY = struct.Struct(">IQI")


@dataclass(frozen=True, slots=True)
class LastReply:
    """What the client table keeps of a client: the last request executed and its result."""

    timestamp: Timestamp
    result: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state after executing ``seq``."""

    seq: SeqNum
    data: bytes
    digest: Digest
    chunk_digests: tuple[Digest, ...]

    def chunk(self, index: int) -> bytes:
        """Chunk ``index``; empty past the end."""
        return self.data[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]


def take_snapshot(seq: SeqNum, data: bytes) -> Snapshot:
    """Cut and digest a state."""
    chunks = tuple(
        digest_of(b"chunk", data[start : start + CHUNK_BYTES]) for start in range(0, len(data), CHUNK_BYTES)
    )
    return Snapshot(seq, data, state_digest(len(data), chunks), chunks)


def state_digest(length_bytes: int, chunk_digests: Sequence[Digest]) -> Digest:
    """d of a CHECKPOINT."""
    return digest_of(b"state", length_bytes.to_bytes(8, "big"), *chunk_digests)


def encode_state(clients: Mapping[ClientId, LastReply], service: bytes) -> bytes:
    """Client table (ascending ids) and service state."""
    parts = [_HEAD.pack(len(clients))]
    for client in sorted(clients):
        entry = clients[client]
        parts.append(_ENTRY.pack(client, entry.timestamp, len(entry.result)))
        parts.append(entry.result)
    parts.append(service)
    return b"".join(parts)


def decode_state(data: bytes) -> tuple[dict[ClientId, LastReply], bytes]:
    """Inverse of ``encode_state``; only ever given bytes that match a proved digest, or our own log."""
    (count,) = _HEAD.unpack_from(data)
    position = _HEAD.size
    clients: dict[ClientId, LastReply] = {}
    for _ in range(count):
        client, timestamp, length = _ENTRY.unpack_from(data, position)
        position += _ENTRY.size
        clients[ClientId(client)] = LastReply(Timestamp(timestamp), data[position : position + length])
        position += length
    return clients, data[position:]
