"""Registers by key: get, put, cas, delete. Keys and values are bytes; an absent key reads as nil."""

from __future__ import annotations

from ..operations import decode_fields, encode_fields
from ..types import ClientId

OK = encode_fields(b"ok")
NIL = encode_fields(b"nil")
DIFFERS = encode_fields(b"differs")
UNKNOWN = encode_fields(b"error", b"unknown operation")


class KeyValueStore:
    """See ARCHITECTURE.md, services, for operations and results."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}

    def execute(self, client: ClientId, operation: bytes) -> bytes:
        """One operation; anything unknown changes nothing."""
        match decode_fields(operation):
            case (b"get", key):
                value = self._values.get(key)
                return NIL if value is None else encode_fields(b"ok", value)
            case (b"put", key, value):
                self._values[key] = value
                return OK
            case (b"cas", key, expected, value):
                return self._compare_and_set(key, expected, value)
            case (b"delete", key):
                self._values.pop(key, None)
                return OK
            case _:
                return UNKNOWN

    def snapshot(self) -> bytes:
        """Pairs by ascending key."""
        return b"".join(encode_fields(key, self._values[key]) for key in sorted(self._values))

    def restore(self, snapshot: bytes) -> None:
        """Inverse of ``snapshot``."""
        self._values = {}
        position = 0
        while position < len(snapshot):
            key, position = _field(snapshot, position + 2)
            value, position = _field(snapshot, position)
            self._values[key] = value

    def _compare_and_set(self, key: bytes, expected: bytes, value: bytes) -> bytes:
        actual = self._values.get(key)
        if actual is None:
            return DIFFERS
        if actual != expected:
            return encode_fields(b"differs", actual)
        self._values[key] = value
        return encode_fields(b"swapped", actual)


def _field(data: bytes, position: int) -> tuple[bytes, int]:
    length = int.from_bytes(data[position : position + 4], "big")
    return data[position + 4 : position + 4 + length], position + 4 + length
