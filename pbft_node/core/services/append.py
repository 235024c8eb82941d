"""Lists by key: append an element, read the list. A doubly executed append shows in every later read."""

from __future__ import annotations

from ..operations import decode_fields, encode_fields
from ..types import ClientId

MAX_ELEMENTS = 10_000
MAX_LIST_BYTES = 1024 * 1024
"""A read returns the whole list: a client must not be able to make that larger than a message."""
OK = encode_fields(b"ok")
FULL = encode_fields(b"full")
UNKNOWN = encode_fields(b"error", b"unknown operation")


class AppendLists:
    """See ARCHITECTURE.md, services, for operations and results."""

    def __init__(self) -> None:
        self._lists: dict[bytes, list[bytes]] = {}
        self._sizes_bytes: dict[bytes, int] = {}

    def execute(self, client: ClientId, operation: bytes) -> bytes:
        """One operation; anything unknown changes nothing."""
        match decode_fields(operation):
            case (b"append", key, element):
                return self._append(key, element)
            case (b"read", key):
                return encode_fields(b"list", *self._lists.get(key, []))
            case _:
                return UNKNOWN

    def _append(self, key: bytes, element: bytes) -> bytes:
        size = self._sizes_bytes.get(key, 0) + len(element)
        if size > MAX_LIST_BYTES or len(self._lists.get(key, ())) >= MAX_ELEMENTS:
            return FULL
        self._lists.setdefault(key, []).append(element)
        self._sizes_bytes[key] = size
        return OK

    def snapshot(self) -> bytes:
        """Lists by ascending key: length-prefixed encodings of (key, e1, e2, …)."""
        parts = []
        for key in sorted(self._lists):
            entry = encode_fields(key, *self._lists[key])
            parts.append(len(entry).to_bytes(8, "big") + entry)
        return b"".join(parts)

    def restore(self, snapshot: bytes) -> None:
        """Inverse of ``snapshot``."""
        self._lists = {}
        self._sizes_bytes = {}
        position = 0
        while position < len(snapshot):
            length = int.from_bytes(snapshot[position : position + 8], "big")
            fields = decode_fields(snapshot[position + 8 : position + 8 + length])
            assert fields, "a snapshot that matches its digest decodes"
            self._lists[fields[0]] = list(fields[1:])
            self._sizes_bytes[fields[0]] = sum(len(element) for element in fields[1:])
            position += 8 + length
