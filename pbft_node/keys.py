"""Real keys: Ed25519 signatures and pairwise MACs, the ``Keyring`` of ``core/authentication``.

Every holder (a replica, or a block of client ids) has two static key pairs: Ed25519 to sign, X25519 to
agree on MAC keys. The MAC key of two holders is BLAKE2b over their X25519 secret, the cluster id and both
public keys, one key per direction; no secret is shared by more than two. A keyring holds the secrets of its
owner only, so whoever steals it can lie in one name. Everything here is deterministic, and hostile bytes of
any length give False, never an exception.

libsodium verifies in half the time of OpenSSL here. All replicas must agree on what a signature is: it takes
the canonical ones only, and what it takes every strict verifier takes, too (a test shows both).
"""

from __future__ import annotations

import hmac
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from nacl import bindings as sodium
from nacl.exceptions import BadSignatureError, CryptoError

from .core.authentication import MAC_BYTES, SIGNATURE_BYTES
from .core.types import FIRST_CLIENT_ID, Principal

KEY_BYTES = 32
LAST_CLIENT_ID = 2**32 - 1
VERIFY_CACHE_ENTRIES = 16_384
"""About one window of full batches: in a view change the same signatures come back in every VIEW-CHANGE."""

MOST_PAIRS = 1024

Verified = dict[bytes, None]
"""Good signatures by a hash of key, signature and message, the oldest first."""


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """What the world may know of a holder. Raw 32-byte keys."""

    verify: bytes
    """Ed25519."""
    exchange: bytes
    """X25519."""


@dataclass(frozen=True, slots=True)
class SecretKeys:
    """What only the holder knows. Never shown by repr."""

    sign: bytes = field(repr=False)
    exchange: bytes = field(repr=False)

    def public(self) -> PublicKeys:
        """The public half."""
        verify, _ = sodium.crypto_sign_seed_keypair(self.sign)
        return PublicKeys(verify, sodium.crypto_scalarmult_base(self.exchange))


@dataclass(frozen=True, slots=True)
class ClientRange:
    """Client ids ``first`` … ``last`` (inclusive), all authorised by one holder's keys."""

    first: int
    last: int
    keys: PublicKeys


class Directory:
    """Whose key speaks for which principal. Shared by everyone, holds no secrets."""

    def __init__(
        self, cluster_id: bytes, replicas: Sequence[PublicKeys], clients: Sequence[ClientRange]
    ) -> None:
        self.cluster_id = cluster_id
        self.replicas = tuple(replicas)
        self.clients = tuple(sorted(clients, key=lambda block: block.first))
        self._firsts = [block.first for block in self.clients]
        problem = self._problem()
        if problem:
            raise ValueError(problem)

    def holder(self, principal: Principal) -> PublicKeys | None:
        """The keys that speak for ``principal``; None when nobody's do."""
        if 0 <= principal < len(self.replicas):
            return self.replicas[principal]
        position = bisect_right(self._firsts, principal) - 1
        if position >= 0 and principal <= self.clients[position].last:
            return self.clients[position].keys
        return None

    def _problem(self) -> str | None:
        if len(self.replicas) >= FIRST_CLIENT_ID:
            return f"{len(self.replicas)} replicas: client ids begin at {FIRST_CLIENT_ID}, have fewer"
        below = FIRST_CLIENT_ID
        for block in self.clients:
            if not below <= block.first <= block.last <= LAST_CLIENT_ID:
                return (
                    f"client ids {block.first} to {block.last}: a block lies within {FIRST_CLIENT_ID} to "
                    f"{LAST_CLIENT_ID} and overlaps no other (the next free id is {below})"
                )
            below = block.last + 1
        holders = [*self.replicas, *(block.keys for block in self.clients)]
        if min(len({keys.verify for keys in holders}), len({keys.exchange for keys in holders})) < len(
            holders
        ):
            return "two holders have the same key: each needs its own, or one can lie in the other's name"
        return None


class NodeKeys:
    """The ``Keyring`` of one holder. A block's keyring serves every client id in it."""

    def __init__(
        self, directory: Directory, secret: SecretKeys, *, cache_entries: int = VERIFY_CACHE_ENTRIES
    ) -> None:
        self.directory = directory
        self.public = secret.public()
        _, self._signing = sodium.crypto_sign_seed_keypair(secret.sign)
        self._exchange = secret.exchange
        self._mac_states: dict[bytes, tuple[blake2b, blake2b] | None] = {}
        self._pairs: dict[Principal, tuple[blake2b, blake2b]] = {}
        """The same by principal: a block of clients has many."""
        self._cache_entries = cache_entries
        self._verified: Verified = {}
        self.signed = self.checked = self.bad = self.remembered = 0
        """Signatures made; verified from scratch, and of these bad; known good from before."""

    def sign(self, message: bytes) -> bytes:
        """64 bytes, deterministic. Remembered like others' good ones: a view change shows it to us again."""
        self.signed += 1
        signature = sodium.crypto_sign(message, self._signing)[:SIGNATURE_BYTES]
        self._remember(_entry(self.public.verify, message, signature))
        return signature

    def verify(self, signer: Principal, message: bytes, signature: bytes) -> bool:
        """True iff the signature is ``signer``'s. Remembers the last good ones, by a hash of all three."""
        holder = self.directory.holder(signer)
        if holder is None or len(signature) != SIGNATURE_BYTES:
            return False
        entry = _entry(holder.verify, message, signature)
        if entry in self._verified:
            self.remembered += 1
            return True
        self.checked += 1
        try:
            sodium.crypto_sign_open(signature + message, holder.verify)
        except BadSignatureError:
            self.bad += 1
            return False
        self._remember(entry)
        return True

    def share(self, verified: Verified) -> None:
        """Remember good signatures in a table that other keyrings of this process use, too.

        Whether a signature is good depends on nothing else: a simulation need not ask for each replica anew.
        """
        self._verified = verified

    def _remember(self, entry: bytes) -> None:
        if len(self._verified) >= self._cache_entries:
            del self._verified[next(iter(self._verified))]
        self._verified[entry] = None

    def mac(self, peer: Principal, message: bytes) -> bytes:
        """16 bytes that only the two holders can make; b"" for an unknown peer."""
        states = self._pairs.get(peer) or self._pair(peer)
        if states is None:
            return b""
        state = states[0].copy()
        state.update(message)
        return state.digest()

    def verify_mac(self, peer: Principal, message: bytes, tag: bytes) -> bool:
        """True iff ``peer``'s holder made the tag for this one. Constant time."""
        states = self._pairs.get(peer) or self._pair(peer)
        if states is None:
            return False
        state = states[1].copy()
        state.update(message)
        return hmac.compare_digest(state.digest(), tag)

    def _pair(self, peer: Principal) -> tuple[blake2b, blake2b] | None:
        """The keyed hashes (to the peer, from the peer), agreed on at first use."""
        holder = self.directory.holder(peer)
        if holder is None:
            return None
        if holder.exchange not in self._mac_states:
            self._mac_states[holder.exchange] = self._agree(holder.exchange)
        states = self._mac_states[holder.exchange]
        if states is not None and len(self._pairs) < MOST_PAIRS:
            self._pairs[peer] = states
        return states

    def _agree(self, theirs: bytes) -> tuple[blake2b, blake2b] | None:
        try:
            secret = sodium.crypto_scalarmult(self._exchange, theirs)
        except CryptoError:  # a point of low order: there is no secret to agree on
            return None
        mine = self.public.exchange
        context = b"traitor-pbft/1/mac-key\x00" + self.directory.cluster_id
        return _keyed(context + mine + theirs, secret), _keyed(context + theirs + mine, secret)


def _entry(key: bytes, message: bytes, signature: bytes) -> bytes:
    """What a good signature is remembered by."""
    return blake2b(b"".join((key, signature, message)), digest_size=32).digest()


def _keyed(context: bytes, secret: bytes) -> blake2b:
    """A hash that has swallowed its key: a copy of it costs half of starting anew."""
    key = blake2b(context, digest_size=KEY_BYTES, key=secret).digest()
    return blake2b(key=key, digest_size=MAC_BYTES)
