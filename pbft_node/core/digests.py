"""Digests with a domain each, so that no bytes of one kind can stand for another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from .types import Digest

DIGEST_BYTES = 32


def digest_of(domain: bytes, *parts: bytes) -> Digest:
    """SHA-256 over the domain and the length-prefixed parts."""
    pieces = [b"traitor-pbft/1/", domain, b"\x00"]
    for part in parts:
        pieces += len(part).to_bytes(8, "big"), part
    return Digest(hashlib.sha256(b"".join(pieces)).digest())


def request_digest(raw: bytes) -> Digest:
    """Of a signed REQUEST frame."""
    return digest_of(b"request", raw)


def result_digest(result: bytes) -> Digest:
    """What a REPLY carries instead of a long result (section 5.1)."""
    return digest_of(b"result", result)


def batch_digest(time_ns: int, request_digests: Sequence[Digest]) -> Digest:
    """d of a PRE-PREPARE: its time, order and content of its requests."""
    return digest_of(b"batch", time_ns.to_bytes(8, "big"), *request_digests)


NULL_DIGEST = batch_digest(0, ())
"""Of the null request of section 4.4: an empty batch."""
