"""Registers by key: get, put, cas, delete. Keys and values are bytes; an absent key reads as nil."""

from __future__ import annotations

from ..operations import decode_fields, encode_fields
from ..store import Store
from ..types import ClientId

OK = encode_fields(b"ok")
NIL = encode_fields(b"nil")
DIFFERS = encode_fields(b"differs")
UNKNOWN = encode_fields(b"error", b"unknown operation")


class KeyValueStore:
    """See ARCHITECTURE.md, services, for operations and results."""

    def execute(self, store: Store, client: ClientId, operation: bytes) -> bytes:
        """One operation; anything unknown changes nothing."""
        match decode_fields(operation):
            case (b"get", key):
                value = store.get(key)
                return NIL if value is None else encode_fields(b"ok", value)
            case (b"put", key, value):
                store.put(key, value)
                return OK
            case (b"cas", key, expected, value):
                return _compare_and_set(store, key, expected, value)
            case (b"delete", key):
                store.delete(key)
                return OK
            case _:
                return UNKNOWN


def _compare_and_set(store: Store, key: bytes, expected: bytes, value: bytes) -> bytes:
    actual = store.get(key)
    if actual is None:
        return DIFFERS
    if actual != expected:
        return encode_fields(b"differs", actual)
    store.put(key, value)
    return encode_fields(b"swapped", actual)
