"""Operations and results: a tuple of byte strings with one canonical encoding, safe against hostile bytes.

``u16 count, count * (u32 length, bytes)``, big-endian. ``decode_fields`` gives None for anything that is
not exactly one encoding.
"""

from __future__ import annotations

import struct

MAX_OPERATION_BYTES = 32 * 1024
_COUNT = struct.Struct(">H")
_LENGTH = struct.Struct(">I")


def encode_fields(*fields: bytes) -> bytes:
    """At most 65 535 fields. ``encode_fields(b"put", key, value)`` is an operation,
    ``encode_fields(b"ok")`` a result."""
    assert len(fields) <= 0xFFFF, f"{len(fields)} fields: at most 65535"
    parts = [_COUNT.pack(len(fields))]
    for field in fields:
        parts.append(_LENGTH.pack(len(field)))
        parts.append(field)
    return b"".join(parts)


def decode_fields(data: bytes) -> tuple[bytes, ...] | None:
    """The fields, or None when ``data`` is not exactly one encoding."""
    if len(data) < 2:
        return None
    (count,) = _COUNT.unpack_from(data)
    fields = []
    position = 2
    for _ in range(count):
        if position + 4 > len(data):
            return None
        (length,) = _LENGTH.unpack_from(data, position)
        position += 4
        if position + length > len(data):
            return None
        fields.append(data[position : position + length])
        position += length
    return tuple(fields) if position == len(data) else None
