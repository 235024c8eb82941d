"""Does nothing, for measuring what replication itself costs (the paper's micro-benchmark).

An operation's first four bytes, big-endian, say how many zero bytes to answer; the rest is ignored, so it
can be as large as wanted. The state is empty.
"""

from __future__ import annotations

from ..operations import encode_fields
from ..types import ClientId

MAX_RESULT_BYTES = 32 * 1024
TOO_LARGE = encode_fields(b"error", b"result too large")


class NullService:
    """See ARCHITECTURE.md, services."""

    def execute(self, client: ClientId, operation: bytes) -> bytes:
        """Zeros."""
        wanted = int.from_bytes(operation[:4], "big")
        return bytes(wanted) if wanted <= MAX_RESULT_BYTES else TOO_LARGE

    def snapshot(self) -> bytes:
        """Nothing."""
        return b""

    def restore(self, snapshot: bytes) -> None:
        """Nothing to become."""
