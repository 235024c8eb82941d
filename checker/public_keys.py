"""Whose key speaks for whom, and signatures verified from scratch.

`keys/public.json` (schema `traitor/keys/1`) has the public keys of replicas and clients and the cluster's
parameters, and no secret. Signatures are verified by OpenSSL (`cryptography`, imported when a verifier is
made), where replicas use libsodium. With `signer: keyed-hash` (a virtual run may ask for it) a hash under the
public key stands in their place: it shows whose a message claims to be and that it is whole, and anybody
could have made it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from checker.fields import Fields, Unreadable, parse_object
from checker.files import read_regular
from checker.wire import SIGNATURE_BYTES, SIGNED, Frame, signed_domain

SCHEMA = "traitor/keys/1"
PLACE = "keys/public.json"
KEY_BYTES = 32
CLUSTER_ID_BYTES = 16
MOST_HOLDERS = 1000


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """Of a cluster."""

    cluster_id: bytes
    auth: str
    """`sign`: all messages are; `hybrid`: what only its receiver needs to believe has a MAC."""
    client_auth: str
    """`sign`, or `mac`: requests have a MAC for each replica."""
    reads: str
    replicas: tuple[bytes, ...]
    clients: tuple[tuple[int, int, bytes], ...]
    """First and last client (both included), and their key."""
    checkpoint_interval: int | None = None
    """K. None, as L: they are not told."""
    window: int | None = None
    """L."""

    def holder(self, principal: int) -> bytes | None:
        """The key that speaks for it, if one does."""
        if 0 <= principal < len(self.replicas):
            return self.replicas[principal]
        return next((key for first, last, key in self.clients if first <= principal <= last), None)


def read_public_keys(folder: Path) -> PublicKeys:
    """Of a run folder. Raises OSError or Unreadable."""
    return public_keys_in(read_regular(folder / PLACE))


def public_keys_in(content: bytes) -> PublicKeys:
    """Of the bytes of `keys/public.json`. Raises Unreadable."""
    fields = Fields(parse_object(content), PLACE)
    if fields.text("schema") != SCHEMA:
        raise Unreadable(f"{PLACE}: its schema is not {SCHEMA}")
    cluster = fields.inner("cluster")
    if max(len(fields.listed("replicas")), len(fields.listed("clients"))) > MOST_HOLDERS:
        raise Unreadable(f"{PLACE}: it has more than {MOST_HOLDERS} keys")
    return PublicKeys(
        cluster_id=_bytes(cluster, "cluster_id", CLUSTER_ID_BYTES),
        auth=cluster.text("auth"),
        client_auth=cluster.text("client_auth", "sign"),
        reads=cluster.text("reads", "ordered"),
        replicas=tuple(_bytes(replica, "verify", KEY_BYTES) for replica in fields.objects("replicas")),
        clients=tuple(
            (block.number("first"), block.number("last"), _bytes(block, "verify", KEY_BYTES))
            for block in fields.objects("clients")
        ),
        checkpoint_interval=_parameter(cluster, "checkpoint_interval"),
        window=_parameter(cluster, "window"),
    )


def _parameter(cluster: Fields, name: str) -> int | None:
    number = cluster.number(name) if cluster.has(name) else 0
    return number or None


def _bytes(fields: Fields, name: str, length: int) -> bytes:
    text = fields.text(name)
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != length or len(text) != 2 * length:
        raise Unreadable(f"{PLACE}: {name} is {text!r:.80}, not {length} bytes in hexadecimal")
    return value


class NoOpenSSL(Exception):
    """`cryptography` is not installed."""


class Signatures:
    """Verifies signed frames of one cluster. Raises NoOpenSSL when it is made and cannot."""

    def __init__(self, keys: PublicKeys, *, hashed: bool) -> None:
        self._keys = keys
        self._domain = signed_domain(keys.cluster_id)
        self._check = _hashed if hashed else _openssl()
        self.verified = 0

    def good(self, frame: Frame) -> bool:
        """Its sender signed it."""
        key = self._keys.holder(frame.sender)
        if key is None or frame.auth != SIGNED or len(frame.tag) != SIGNATURE_BYTES:
            return False
        self.verified += 1
        return self._check(key, self._domain + frame.signed, frame.tag)


Check = Callable[[bytes, bytes, bytes], bool]
"""(public key, message, signature) -> whether it is good."""


def _hashed(key: bytes, message: bytes, tag: bytes) -> bool:
    return hashlib.blake2b(message, key=key, digest_size=SIGNATURE_BYTES).digest() == tag


def _openssl() -> Check:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise NoOpenSSL(f"the package cryptography is not installed ({error})") from None
    known: dict[bytes, Ed25519PublicKey | None] = {}

    def check(key: bytes, message: bytes, signature: bytes) -> bool:
        if key not in known:
            try:
                known[key] = Ed25519PublicKey.from_public_bytes(key)
            except ValueError:
                known[key] = None
        public = known[key]
        if public is None:
            return False
        try:
            public.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return check
