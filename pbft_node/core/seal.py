"""Who wrote a frame: signatures and MACs over header and body, bound to one cluster.

``hybrid`` signs what a third party must believe (certificates are only worth their signatures) and MACs the
rest with pairwise keys; ``sign`` signs everything. A frame with the wrong kind of authentication for its
type is rejected: a MAC'd PREPARE would count here and prove nothing in a view change. Requests are signed,
or, with ``client_auth: mac``, carry the paper's authenticator: a vector of MACs, one for each replica.
"""

from __future__ import annotations

from collections.abc import Sequence

from .authentication import MAC_BYTES, SIGNATURE_BYTES, Keyring
from .client_codec import encode_read_reply, encode_reply
from .cluster import Cluster
from .codec import encode_fragment_head
from .digests import digest_of, result_digest
from .frames import (
    AUTHENTICATOR,
    COUNT,
    MACED,
    MAX_DATAGRAM_BYTES,
    NAMES_REPLIER,
    OF_STATE,
    READ_ONLY,
    RESULT_DIGEST,
    SIGNED,
    Frame,
    MessageType,
    header_and_body,
)
from .types import ClientId, Principal, ReplicaId, SeqNum, Timestamp, View

ALWAYS_SIGNED = frozenset(
    {
        MessageType.REQUEST,
        MessageType.PRE_PREPARE,
        MessageType.PREPARE,
        MessageType.CHECKPOINT,
        MessageType.VIEW_CHANGE,
        MessageType.NEW_VIEW,
        MessageType.QUERY_VIEW,
    }
)
AUTH_OFFSET = 6
FRAGMENT_DATA_BYTES = MAX_DATAGRAM_BYTES - 256
SHORT_BYTES = 1024
MOST_GOOD = 16_384

GoodFrames = dict[tuple[Principal, bytes], None]
"""Signer and frame, the oldest first; short ones, and not too many."""


class Seal:
    """Closes and checks frames for one principal."""

    def __init__(self, cluster: Cluster, me: Principal, keys: Keyring) -> None:
        self._me = me
        self._keys = keys
        self._n = cluster.n
        sign_all = cluster.auth == "sign"
        self._signed_types = frozenset(MessageType) if sign_all else ALWAYS_SIGNED
        self._mac_requests = cluster.client_auth == "mac"
        self._signed_domain = b"traitor-pbft/1/signed\x00" + cluster.cluster_id
        self._maced_domain = b"traitor-pbft/1/maced\x00" + cluster.cluster_id
        self.known_good: GoodFrames | None = None
        """Signed frames found good by anybody: whether one is depends on nothing else (see ``share``)."""

    def share(self, known_good: GoodFrames) -> None:
        """Remember good frames in a table that others of the same cluster use, too: a simulation need not
        ask for each replica anew."""
        self.known_good = known_good

    def signs(self, type_: MessageType) -> bool:
        """Whether messages of this type carry a signature in this cluster."""
        return type_ in self._signed_types

    def signed(self, type_: MessageType, view: int, seq: int, body: bytes, flags: int = 0) -> bytes:
        """A signed frame: the same bytes for everyone."""
        return self.signed_content(header_and_body(type_, SIGNED, flags, self._me, view, seq, body))

    def signed_content(self, content: bytes) -> bytes:
        """Header and body with the signature."""
        return content + self._keys.sign(self._signed_domain + content)

    def for_peer(
        self, peer: Principal, type_: MessageType, view: int, seq: int, body: bytes, flags: int = 0
    ) -> bytes:
        """A frame for one receiver, MAC'd with the pairwise key, or signed in ``auth: sign``."""
        if self.signs(type_):
            return self.signed(type_, view, seq, body, flags)
        return self.maced(peer, header_and_body(type_, MACED, flags, self._me, view, seq, body))

    def for_peers(
        self, peers: Sequence[Principal], type_: MessageType, view: int, seq: int, body: bytes
    ) -> list[bytes]:
        """The same for several: signed once, or MAC'd for each."""
        if self.signs(type_):
            return [self.signed(type_, view, seq, body)] * len(peers)
        content = header_and_body(type_, MACED, 0, self._me, view, seq, body)
        return [self.maced(peer, content) for peer in peers]

    def maced(self, peer: Principal, content: bytes) -> bytes:
        """Header and body with the MAC for one receiver."""
        return content + self._keys.mac(peer, self._maced_content(peer, content))

    def authentic(self, frame: Frame) -> bool:
        """The frame's sender wrote it (for me, if it is MAC'd), with the kind of authentication its type
        demands."""
        if frame.type is MessageType.REQUEST:
            return self.authentic_request(frame.sender, frame.raw)
        if frame.sender >= self._n:
            return False
        if frame.type in self._signed_types:
            return frame.auth == SIGNED and self.verify_raw(frame.sender, frame.raw)
        if frame.auth != MACED:
            return False
        return self._keys.verify_mac(frame.sender, self._maced_content(self._me, frame.signed), frame.tag)

    def verify(self, signer: Principal, content: bytes, signature: bytes) -> bool:
        """``signature`` is the signer's over header and body, in this cluster."""
        return self._keys.verify(signer, self._signed_domain + content, signature)

    def verify_raw(self, signer: Principal, raw: bytes) -> bool:
        """Same for a whole signed frame, signature last: what certificates are made of."""
        known = self.known_good
        if known is not None and (signer, raw) in known:
            return True
        good = len(raw) > SIGNATURE_BYTES and self.verify(
            signer, raw[:-SIGNATURE_BYTES], raw[-SIGNATURE_BYTES:]
        )
        if good and known is not None and len(raw) <= SHORT_BYTES:
            if len(known) >= MOST_GOOD:
                del known[next(iter(known))]
            known[signer, raw] = None
        return good

    def authentic_request(self, client: Principal, raw: bytes) -> bool:
        """The client wrote this frame, alone or inside a batch, as far as this replica can tell."""
        if not self._mac_requests:
            return raw[AUTH_OFFSET] == SIGNED and self.verify_raw(client, raw)
        size = COUNT.size + self._n * MAC_BYTES
        content, tag = raw[:-size], raw[-size:]
        if raw[AUTH_OFFSET] != AUTHENTICATOR or len(raw) <= size or COUNT.unpack_from(tag) != (self._n,):
            return False
        own = COUNT.size + self._me * MAC_BYTES
        mac = tag[own : own + MAC_BYTES]
        return self._keys.verify_mac(client, self._maced_content(self._me, content), mac)

    def fragments(self, peer: Principal, data: bytes) -> list[bytes]:
        """A message as datagrams: itself when it fits in one."""
        if len(data) <= MAX_DATAGRAM_BYTES:
            return [data]
        whole = digest_of(b"message", data)
        count = -(-len(data) // FRAGMENT_DATA_BYTES)
        return [
            self.for_peer(
                peer,
                MessageType.FRAGMENT,
                count,
                index,
                encode_fragment_head(peer, whole)
                + data[index * FRAGMENT_DATA_BYTES : (index + 1) * FRAGMENT_DATA_BYTES],
            )
            for index in range(count)
        ]

    def request(
        self,
        timestamp: Timestamp,
        operation: bytes,
        replier: ReplicaId | None = None,
        *,
        read_only: bool = False,
    ) -> bytes:
        """<REQUEST, o, t, c> by this client; ``replier`` is to send the whole result, everybody if None."""
        flags = (0 if replier is None else NAMES_REPLIER) | (READ_ONLY if read_only else 0)
        if not self._mac_requests:
            return self.signed(MessageType.REQUEST, replier or 0, timestamp, operation, flags)
        content = header_and_body(
            MessageType.REQUEST, AUTHENTICATOR, flags, self._me, replier or 0, timestamp, operation
        )
        macs = [self._keys.mac(i, self._maced_content(i, content)) for i in range(self._n)]
        return content + COUNT.pack(self._n) + b"".join(macs)

    def reply(
        self, client: ClientId, view: View, timestamp: Timestamp, result: bytes, *, whole: bool = True
    ) -> bytes:
        """<REPLY, v, t, c, i, r> by this replica, or with the digest of r (section 5.1)."""
        flags = 0 if whole else RESULT_DIGEST
        body = encode_reply(client, result if whole else result_digest(result))
        return self.for_peer(client, MessageType.REPLY, view, timestamp, body, flags)

    def read_reply(
        self,
        client: ClientId,
        view: View,
        timestamp: Timestamp,
        state: SeqNum,
        result: bytes,
        *,
        whole: bool = True,
    ) -> bytes:
        """Same for a read-only request, executed on the state after number ``state``."""
        flags = OF_STATE if whole else OF_STATE | RESULT_DIGEST
        body = encode_read_reply(client, state, result if whole else result_digest(result))
        return self.for_peer(client, MessageType.REPLY, view, timestamp, body, flags)

    def _maced_content(self, receiver: Principal, content: bytes) -> bytes:
        return self._maced_domain + receiver.to_bytes(4, "big") + content
