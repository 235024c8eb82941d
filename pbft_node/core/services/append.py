"""Lists by key: append an element, read the list. A doubly executed append shows in every later read.

A list is kept in segments of a few KiB, its elements encoded as the result of a read wants them, so that an
append writes a little and a read joins what is there. In the store: the key with no number behind it holds
the counts, with a number the segments.
"""

from __future__ import annotations

import struct

from ..operations import decode_fields, encode_fields
from ..store import Store
from ..types import ClientId

MAX_ELEMENTS = 10_000
MAX_LIST_BYTES = 1024 * 1024
"""A read returns the whole list: a client must not be able to make that larger than a message."""
SEGMENT_BYTES = 2048
"""A segment longer than this gets no more elements."""
OK = encode_fields(b"ok")
FULL = encode_fields(b"full")
UNKNOWN = encode_fields(b"error", b"unknown operation")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_COUNTS = struct.Struct(">III")
"""Elements, their bytes, segments."""


class AppendLists:
    """See ARCHITECTURE.md, services, for operations and results."""

    def execute(self, store: Store, client: ClientId, operation: bytes) -> bytes:
        """One operation; anything unknown changes nothing."""
        match decode_fields(operation):
            case (b"append", key, element):
                return _append(store, _U32.pack(len(key)) + key, element)
            case (b"read", key):
                return _read(store, _U32.pack(len(key)) + key)
            case _:
                return UNKNOWN


def _counts(store: Store, key: bytes) -> tuple[int, int, int]:
    elements, size_bytes, segments = _COUNTS.unpack(store.get(key) or bytes(_COUNTS.size))
    return elements, size_bytes, segments


def _append(store: Store, key: bytes, element: bytes) -> bytes:
    elements, size_bytes, segments = _counts(store, key)
    size_bytes += len(element)
    if size_bytes > MAX_LIST_BYTES or elements >= MAX_ELEMENTS:
        return FULL
    last = store.get(key + _U32.pack(segments)) if segments else None
    if last is None or len(last) > SEGMENT_BYTES:
        segments, last = segments + 1, b""
    store.put(key + _U32.pack(segments), last + _U32.pack(len(element)) + element)
    store.put(key, _COUNTS.pack(elements + 1, size_bytes, segments))
    return OK


def _read(store: Store, key: bytes) -> bytes:
    """``encode_fields(b"list", *elements)``, put together from its parts."""
    elements, _, segments = _counts(store, key)
    parts = [_U16.pack(elements + 1), _U32.pack(len(b"list")), b"list"]
    parts += [store.get(key + _U32.pack(number)) or b"" for number in range(1, segments + 1)]
    return b"".join(parts)
