"""Sets by key: add, remove, contains, read. Never removed from, one is the field's grow-only set.

Each element is an entry of the store, found by scanning the set's prefix in ascending order; one more entry
counts them, so that the limits cost nothing to check.
"""

from __future__ import annotations

import struct

from ..operations import decode_fields, encode_fields
from ..store import Store
from ..types import ClientId
from .places import place
from .results import FULL, MAX_ELEMENTS, MAX_OBJECT_BYTES, OK, UNKNOWN

YES = encode_fields(b"yes")
NO = encode_fields(b"no")
_SIZE = struct.Struct(">II")


class Sets:
    """See ARCHITECTURE.md, services, for operations and results."""

    def execute(self, store: Store, client: ClientId, operation: bytes) -> bytes:
        """One operation; anything unknown changes nothing."""
        match decode_fields(operation):
            case (b"add", key, element):
                return _add(store, key, element)
            case (b"remove", key, element):
                return _remove(store, key, element)
            case (b"contains", key, element):
                return NO if store.get(place(b"e", key) + element) is None else YES
            case (b"read", key):
                prefix = place(b"e", key)
                return encode_fields(b"set", *(entry[len(prefix) :] for entry, _ in store.scan(prefix)))
            case _:
                return UNKNOWN


def _size(store: Store, key: bytes) -> tuple[int, int]:
    """Elements, and bytes in them."""
    packed = store.get(place(b"s", key))
    return (0, 0) if packed is None else _SIZE.unpack(packed)


def _add(store: Store, key: bytes, element: bytes) -> bytes:
    entry = place(b"e", key) + element
    if store.get(entry) is not None:
        return OK
    count, size = _size(store, key)
    if count >= MAX_ELEMENTS or size + len(element) > MAX_OBJECT_BYTES:
        return FULL
    store.put(entry, b"")
    store.put(place(b"s", key), _SIZE.pack(count + 1, size + len(element)))
    return OK


def _remove(store: Store, key: bytes, element: bytes) -> bytes:
    entry = place(b"e", key) + element
    if store.get(entry) is None:
        return OK
    count, size = _size(store, key)
    store.delete(entry)
    if count > 1:
        store.put(place(b"s", key), _SIZE.pack(count - 1, size - len(element)))
    else:
        store.delete(place(b"s", key))
    return OK
