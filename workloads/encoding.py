"""Operations and results on the wire: a tuple of byte strings (the services table of ARCHITECTURE.md).

``u16 count, count * (u32 length, bytes)``, big-endian. Workloads have their own copy of this encoding on
purpose: who judges a cluster must not read its answers through the cluster's own code. Results come from
replicas and are hostile: ``unpack`` gives None for anything that is not exactly one encoding, and never
raises.
"""

from __future__ import annotations

import struct

_COUNT = struct.Struct(">H")
_LENGTH = struct.Struct(">I")


def pack(*fields: str) -> bytes:
    """One operation. Fields are UTF-8 text."""
    parts = [_COUNT.pack(len(fields))]
    for field in fields:
        data = field.encode()
        parts.append(_LENGTH.pack(len(data)))
        parts.append(data)
    return b"".join(parts)


def unpack(data: bytes) -> tuple[str, ...] | None:
    """The fields of one result, or None when these bytes are not one, or not text."""
    if len(data) < _COUNT.size:
        return None
    (count,) = _COUNT.unpack_from(data)
    fields = []
    position = _COUNT.size
    for _ in range(count):
        start = position + _LENGTH.size
        if start > len(data):
            return None
        (length,) = _LENGTH.unpack_from(data, position)
        position = start + length
        if position > len(data):
            return None
        try:
            fields.append(data[start:position].decode())
        except UnicodeDecodeError:
            return None
    return tuple(fields) if position == len(data) else None
