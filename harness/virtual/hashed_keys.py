"""A keyring that signs with a hash instead of Ed25519: ``signer: keyed-hash``, for ``sim`` only.

The key is the holder's public one, so everybody could sign for everybody: it tells whose a message claims to
be and whether it was damaged, and stops no liar. It has the length of a signature and is deterministic, so
that everything else of a run is as it was; the digests of signed messages differ, and with them the bytes.
"""

from __future__ import annotations

from hashlib import blake2b

from pbft_node.core.authentication import SIGNATURE_BYTES
from pbft_node.core.types import Principal
from pbft_node.keys import NodeKeys


class HashedKeys(NodeKeys):
    """See ``NodeKeys``."""

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        self.signed += 1
        return _hash(self.public.verify, message)

    def verify(self, signer: Principal, message: bytes, signature: bytes) -> bool:
        """True iff it is what the holder's key makes of the message."""
        holder = self.directory.holder(signer)
        self.checked += 1
        good = holder is not None and signature == _hash(holder.verify, message)
        self.bad += not good
        return good


def _hash(key: bytes, message: bytes) -> bytes:
    return blake2b(message, key=key, digest_size=SIGNATURE_BYTES).digest()
