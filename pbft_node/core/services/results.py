"""Results that services share, and what they may grow to."""

from __future__ import annotations

from ..operations import encode_fields

OK = encode_fields(b"ok")
FULL = encode_fields(b"full")
UNKNOWN = encode_fields(b"error", b"unknown operation")
MAX_ELEMENTS = 10_000
MAX_OBJECT_BYTES = 1024 * 1024
"""A read returns a whole list, set or queue: no client may make one larger than a message."""
