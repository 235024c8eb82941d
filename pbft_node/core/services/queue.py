"""FIFO queues by key: enqueue, dequeue, peek, length, read. An item lost, doubled or out of order shows.

Items are entries of the store under ascending numbers that are never used again; ``ends`` of a queue are
the number of its oldest item, the number after its newest, and its bytes.
"""

from __future__ import annotations

import struct

from ..operations import decode_fields, encode_fields
from ..store import Store
from ..types import ClientId
from .places import number_key, place
from .results import FULL, MAX_ELEMENTS, MAX_OBJECT_BYTES, OK, UNKNOWN

EMPTY = encode_fields(b"empty")
_ENDS = struct.Struct(">QQI")


class Queues:
    """See ARCHITECTURE.md, services, for operations and results."""

    def execute(self, store: Store, client: ClientId, operation: bytes) -> bytes:
        """One operation; anything unknown changes nothing."""
        match decode_fields(operation):
            case (b"enqueue", key, item):
                return _enqueue(store, key, item)
            case (b"dequeue", key):
                return _dequeue(store, key)
            case (b"peek", key):
                oldest, after, _ = _ends(store, key)
                return EMPTY if oldest == after else encode_fields(b"item", _item(store, key, oldest))
            case (b"length", key):
                oldest, after, _ = _ends(store, key)
                return encode_fields(b"length", b"%d" % (after - oldest))
            case (b"read", key):
                return encode_fields(b"queue", *(item for _, item in store.scan(place(b"i", key))))
            case _:
                return UNKNOWN


def _ends(store: Store, key: bytes) -> tuple[int, int, int]:
    packed = store.get(place(b"q", key))
    return (0, 0, 0) if packed is None else _ENDS.unpack(packed)


def _item(store: Store, key: bytes, number: int) -> bytes:
    item = store.get(place(b"i", key) + number_key(number))
    assert item is not None, f"queue {key!r} lacks item {number}"
    return item


def _enqueue(store: Store, key: bytes, item: bytes) -> bytes:
    oldest, after, size = _ends(store, key)
    if after - oldest >= MAX_ELEMENTS or size + len(item) > MAX_OBJECT_BYTES:
        return FULL
    store.put(place(b"i", key) + number_key(after), item)
    store.put(place(b"q", key), _ENDS.pack(oldest, after + 1, size + len(item)))
    return OK


def _dequeue(store: Store, key: bytes) -> bytes:
    oldest, after, size = _ends(store, key)
    if oldest == after:
        return EMPTY
    item = _item(store, key, oldest)
    store.delete(place(b"i", key) + number_key(oldest))
    store.put(place(b"q", key), _ENDS.pack(oldest + 1, after, size - len(item)))
    return encode_fields(b"item", item)
