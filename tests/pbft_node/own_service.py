"""A service of one's own, whole: registers that know who wrote them. ``own_service:Registers`` names it."""

from __future__ import annotations

from pbft_node.core.operations import decode_fields, encode_fields
from pbft_node.core.store import Store


class Registers:
    """``put k v``, ``get k``, ``cas k expected v``, ``author k``."""

    def execute(self, store: Store, client: int, operation: bytes) -> bytes:
        """All state is in the store; the same operations give the same results at every replica."""
        match decode_fields(operation):
            case (b"put", key, value):
                store.put(b"value " + key, value)
                store.put(b"author " + key, b"%d" % client)
                return encode_fields(b"ok")
            case (b"get", key):
                value = store.get(b"value " + key)
                return encode_fields(b"nil") if value is None else encode_fields(b"ok", value)
            case (b"cas", key, expected, value):
                actual = store.get(b"value " + key)
                if actual != expected:
                    return encode_fields(b"differs", *([] if actual is None else [actual]))
                store.put(b"value " + key, value)
                store.put(b"author " + key, b"%d" % client)
                return encode_fields(b"swapped", actual)
            case (b"author", key):
                return encode_fields(b"author", store.get(b"author " + key) or b"nobody")
        return encode_fields(b"error", b"unknown operation")
