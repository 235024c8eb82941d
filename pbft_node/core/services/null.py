"""Does nothing, for measuring what replication itself costs (the paper's micro-benchmark). Has no state."""

from __future__ import annotations

from ..operations import decode_fields, encode_fields
from ..store import Store
from ..types import ClientId

MAX_RESULT_BYTES = 32 * 1024
TOO_LARGE = encode_fields(b"error", b"result too large")
UNKNOWN = encode_fields(b"error", b"unknown operation")
_COUNT_BYTES = 4


class NullService:
    """See ARCHITECTURE.md, services, for operations and results."""

    def execute(self, store: Store, client: ClientId, operation: bytes) -> bytes:
        """Zeros."""
        match decode_fields(operation):
            case (b"zeros", count, _) if len(count) == _COUNT_BYTES:
                wanted = int.from_bytes(count, "big")
                return encode_fields(bytes(wanted)) if wanted <= MAX_RESULT_BYTES else TOO_LARGE
            case _:
                return UNKNOWN


def zeros(result_bytes: int, padding_bytes: int = 0) -> bytes:
    """An operation of ``padding_bytes`` and a few more, answered with ``result_bytes`` and a few more."""
    return encode_fields(b"zeros", result_bytes.to_bytes(_COUNT_BYTES, "big"), bytes(padding_bytes))
