"""Counters by key: add, read. An add gives the new value: with 1 it is a source of unique numbers."""

from __future__ import annotations

from ..operations import decode_fields, encode_fields
from ..store import Store
from ..types import ClientId
from .places import NUMBER_LIMIT, parse_integer, place
from .results import UNKNOWN

OVERFLOW = encode_fields(b"overflow")


class Counters:
    """See ARCHITECTURE.md, services, for operations and results."""

    def execute(self, store: Store, client: ClientId, operation: bytes) -> bytes:
        """One operation; anything unknown changes nothing."""
        match decode_fields(operation):
            case (b"add", key, text):
                delta = parse_integer(text)
                return UNKNOWN if delta is None else _add(store, place(b"c", key), delta)
            case (b"read", key):
                return encode_fields(b"value", b"%d" % _value(store, place(b"c", key)))
            case _:
                return UNKNOWN


def _value(store: Store, key: bytes) -> int:
    return int(store.get(key) or b"0")


def _add(store: Store, key: bytes, delta: int) -> bytes:
    value = _value(store, key) + delta
    if abs(value) >= NUMBER_LIMIT:
        return OVERFLOW
    store.put(key, b"%d" % value)
    return encode_fields(b"ok", b"%d" % value)
