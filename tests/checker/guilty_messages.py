"""Messages of four replicas, signed by the system's own code, and what they prove together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from checker.forensics.rules import RULES, guilt
from checker.forensics.verified import Verified
from checker.forensics.view_rules import Cluster as Judged
from checker.public_keys import PublicKeys, Signatures, public_keys_in
from checker.wire import Frame, frame_at
from pbft_node.core.certificates import new_order
from pbft_node.core.cluster import Cluster
from pbft_node.core.codec import decode, encode_new_view, encode_view_change
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import Checkpoint, PreparedCertificate, PrePrepare, ViewChange
from pbft_node.core.seal import Seal
from pbft_node.genesis import ClientBlock, Genesis, make_genesis

A, B, C = b"a" * 32, b"b" * 32, b"c" * 32
CLIENT = 1000


@dataclass
class Cast:
    """Replicas 0 to 3 and what they may say."""

    cluster: Cluster
    genesis: Genesis

    def seal(self, replica: int) -> Seal:
        return Seal(self.cluster, replica, self.genesis.replica_keyring(replica))

    def keys(self) -> PublicKeys:
        import json

        return public_keys_in(json.dumps(self.genesis.public()).encode())

    def vote(self, type_: MessageType, by: int, view: int, seq: int, digest: bytes) -> bytes:
        return self.seal(by).signed(type_, view, seq, digest)

    def proposal(self, view: int, seq: int, digest: bytes = A, by: int | None = None) -> bytes:
        return self.vote(MessageType.PRE_PREPARE, view % 4 if by is None else by, view, seq, digest)

    def prepare(self, by: int, view: int, seq: int, digest: bytes = A) -> bytes:
        return self.vote(MessageType.PREPARE, by, view, seq, digest)

    def commit(self, by: int, view: int, seq: int, digest: bytes = A) -> bytes:
        return self.vote(MessageType.COMMIT, by, view, seq, digest)

    def checkpoint(self, by: int, seq: int, digest: bytes = A) -> bytes:
        return self.vote(MessageType.CHECKPOINT, by, 0, seq, digest)

    def proof(self, seq: int) -> tuple[Checkpoint, ...]:
        return tuple(_decoded(self.checkpoint(by, seq)) for by in (0, 1, 2))

    def certificate(
        self, view: int, seq: int, digest: bytes = A, by: Sequence[int] | None = None
    ) -> PreparedCertificate:
        by = [replica for replica in range(4) if replica != view % 4][:2] if by is None else by
        prepares = tuple(_decoded(self.prepare(replica, view, seq, digest)) for replica in by)
        return PreparedCertificate(_decoded(self.proposal(view, seq, digest)), prepares)

    def view_change(
        self,
        by: int,
        view: int,
        *prepared: PreparedCertificate,
        stable: int = 0,
        proof: Sequence[Checkpoint] = (),
    ) -> bytes:
        body = encode_view_change(proof, prepared)
        return self.seal(by).signed(MessageType.VIEW_CHANGE, view, stable, body)

    def new_view(
        self, view: int, changes: Sequence[bytes], order: Sequence[bytes] | None = None, by: int | None = None
    ) -> bytes:
        by = view % 4 if by is None else by
        shown: list[ViewChange] = [_decoded(change) for change in changes]
        if order is None:
            order = [self.proposal(view, seq, digest, by) for seq, digest in new_order(shown)]
        proposals: list[PrePrepare] = [_decoded(one) for one in order]
        return self.seal(by).signed(MessageType.NEW_VIEW, view, 0, encode_new_view(shown, proposals))

    def reply(
        self, by: int, result: bytes, timestamp: int = 5, *, whole: bool = True, view: int = 0
    ) -> bytes:
        return self.seal(by).reply(CLIENT, view, timestamp, result, whole=whole)


def cast(auth: str = "sign") -> Cast:
    cluster = Cluster(
        cluster_id=b"0123456789abcdef", n=4, service="kv", auth=auth, checkpoint_interval=4, window=8
    )
    addresses = [("10.0.0.1", 7000 + i) for i in range(4)]
    return Cast(cluster, make_genesis(cluster, 7, addresses, [ClientBlock(1000, 2000, "10.0.0.9", 7100)]))


def _decoded(raw: bytes):
    return decode(raw)[0]


def frame(raw: bytes) -> Frame:
    found = frame_at(raw)
    assert found is not None
    assert found[1] == len(raw)
    return found[0]


def shown(cast_: Cast, rule: str, *raws: bytes) -> str | None:
    """What these messages prove by that rule."""
    keys = cast_.keys()
    verified = Verified(Signatures(keys, hashed=False), 10_000)
    return guilt(RULES[rule], [frame(raw) for raw in raws], Judged.of(keys), verified.good)


def with_auth(cast_: Cast, auth: str) -> Cast:
    return replace(cast_, cluster=replace(cast_.cluster, auth=auth))


Say = Callable[[Cast], Sequence[bytes]]
