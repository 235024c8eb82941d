"""What the core needs from keys: pure functions, supplied from outside (``pbft_node.keys`` has the real
ones).

All of them must be deterministic (Ed25519 is), or replay is lost. A keyring holds its owner's secrets only.
"""

from __future__ import annotations

from typing import Protocol

from .types import Principal

SIGNATURE_BYTES = 64
MAC_BYTES = 16


class Keyring(Protocol):
    """The keys of one principal."""

    def sign(self, message: bytes) -> bytes:
        """Signature (64 bytes) with the owner's secret key."""

    def verify(self, signer: Principal, message: bytes, signature: bytes) -> bool:
        """True iff ``signer`` is a known principal and the signature is its own."""

    def mac(self, peer: Principal, message: bytes) -> bytes:
        """Tag (16 bytes) that only the owner and ``peer`` can make; b"" for an unknown peer."""

    def verify_mac(self, peer: Principal, message: bytes, tag: bytes) -> bool:
        """True iff ``peer`` is known and the tag is right. Constant time."""
