"""The messages of a cluster's members, made with their keys: a test may speak as anybody.

Everything is well formed and rightly sealed unless the test asks for a lie by an argument (``by`` names
whose key seals it). MAC'd messages are made for one receiver, ``to``.
"""

from __future__ import annotations

from collections.abc import Sequence

from memory_cluster import SimulatedKeys

from pbft_node.core.certificates import new_order
from pbft_node.core.cluster import Cluster
from pbft_node.core.codec import (
    encode_batch,
    encode_fragment_head,
    encode_new_view,
    encode_state_meta,
    encode_status,
    encode_view_change,
)
from pbft_node.core.digests import digest_of, request_digest
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import (
    Address,
    Batch,
    Checkpoint,
    NewView,
    Part,
    PartKind,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Request,
    ViewChange,
)
from pbft_node.core.operations import encode_fields
from pbft_node.core.seal import Seal
from pbft_node.core.snapshots import ClientTable, LastReply, Snapshot, take_snapshot
from pbft_node.core.state_codec import encode_addresses, encode_parts
from pbft_node.core.state_transfer import offer_of, part_of
from pbft_node.core.store import Store
from pbft_node.core.types import ClientId, Digest, ReplicaId, SeqNum, Timestamp, View

PUT = (b"put", b"k", b"v")


class Members:
    """Everyone's keys."""

    def __init__(self, cluster: Cluster, to: int) -> None:
        self.cluster = cluster
        self.to = to

    def seal(self, owner: int) -> Seal:
        return Seal(self.cluster, owner, SimulatedKeys(owner))

    def sealed(self, by: int, type_: MessageType, view: int, seq: int, body: bytes = b"") -> bytes:
        """Any frame, for ``to``, with the authentication its type demands."""
        return self.seal(by).for_peer(self.to, type_, view, seq, body)

    # ------------------------------------------------------------ 4.1

    def request(
        self,
        timestamp: int = 1,
        *fields: bytes,
        client: int = 1000,
        by: int | None = None,
        replier: ReplicaId | None = None,
        read_only: bool = False,
    ) -> Request:
        operation = encode_fields(*(fields or PUT))
        raw = self.seal(client).request(Timestamp(timestamp), operation, replier, read_only=read_only)
        if by is not None:
            raw = raw[:-64] + self.seal(by).request(Timestamp(timestamp), operation)[-64:]
        digest = request_digest(raw)
        return Request(ClientId(client), Timestamp(timestamp), operation, raw, digest, replier, read_only)

    # ------------------------------------------------------------ 4.2

    def pre_prepare(
        self,
        seq: int,
        *batch: Request,
        view: int = 0,
        by: int | None = None,
        digest: Digest | None = None,
    ) -> PrePrepare:
        by = self.cluster.primary(View(view)) if by is None else by
        digest = Batch(batch).digest if digest is None else digest
        raw = self.seal(by).signed(MessageType.PRE_PREPARE, view, seq, digest)
        return PrePrepare(View(view), SeqNum(seq), digest, ReplicaId(by), raw, Batch(batch))

    def prepare(self, proposal: PrePrepare, by: int, **lies: int | bytes) -> Prepare:
        view, seq = int(lies.get("view", proposal.view)), int(lies.get("seq", proposal.seq))
        digest = Digest(bytes(lies.get("digest", proposal.digest)))
        raw = self.seal(by).signed(MessageType.PREPARE, view, seq, digest)
        return Prepare(View(view), SeqNum(seq), digest, ReplicaId(by), raw)

    def commit(self, proposal: PrePrepare, by: int, **lies: int | bytes) -> bytes:
        view, seq = int(lies.get("view", proposal.view)), int(lies.get("seq", proposal.seq))
        return self.sealed(by, MessageType.COMMIT, view, seq, bytes(lies.get("digest", proposal.digest)))

    def backups(self, view: int = 0, but: Sequence[int] = ()) -> list[ReplicaId]:
        primary = self.cluster.primary(View(view))
        return [ReplicaId(r) for r in range(self.cluster.n) if r != primary and r not in but]

    # ------------------------------------------------------------ 4.3

    def checkpoint(self, seq: int, digest: bytes, by: int) -> Checkpoint:
        raw = self.seal(by).signed(MessageType.CHECKPOINT, 0, seq, digest)
        return Checkpoint(SeqNum(seq), Digest(digest), ReplicaId(by), raw)

    def proof(self, seq: int, digest: bytes, by: Sequence[int] | None = None) -> tuple[Checkpoint, ...]:
        by = range(self.cluster.quorum) if by is None else by
        return tuple(self.checkpoint(seq, digest, replica) for replica in by)

    def state(self, seq: int, clients: dict[int, tuple[int, bytes]], **values: bytes) -> Snapshot:
        """The checkpointed state of a kv service with these clients and values."""
        store, table = Store(), ClientTable()
        for client, (timestamp, result) in clients.items():
            table[ClientId(client)] = LastReply(Timestamp(timestamp), result)
        for key, value in values.items():
            store.put(key.encode(), value)
        return take_snapshot(SeqNum(seq), store.image(), table.image(time_ns=0))

    # ------------------------------------------------------------ 4.4

    def certificate(self, proposal: PrePrepare, by: Sequence[int] | None = None) -> PreparedCertificate:
        """Prepared: the proposal and quorum - 1 PREPAREs of backups."""
        by = self.backups(proposal.view)[: self.cluster.quorum - 1] if by is None else by
        return PreparedCertificate(proposal, tuple(self.prepare(proposal, replica) for replica in by))

    def view_change(
        self,
        view: int,
        by: int,
        *prepared: PreparedCertificate,
        stable: int = 0,
        proof: Sequence[Checkpoint] = (),
    ) -> ViewChange:
        raw = self.seal(by).signed(MessageType.VIEW_CHANGE, view, stable, encode_view_change(proof, prepared))
        return ViewChange(View(view), ReplicaId(by), SeqNum(stable), tuple(proof), prepared, raw)

    def order(self, view: int, changes: Sequence[ViewChange], by: int | None = None) -> list[PrePrepare]:
        """The O that follows from V."""
        return [self.pre_prepare(seq, view=view, by=by, digest=digest) for seq, digest in new_order(changes)]

    def new_view(
        self,
        view: int,
        *changes: ViewChange,
        order: Sequence[PrePrepare] | None = None,
        by: int | None = None,
    ) -> NewView:
        by = self.cluster.primary(View(view)) if by is None else by
        order = self.order(view, changes) if order is None else order
        raw = self.seal(by).signed(MessageType.NEW_VIEW, view, 0, encode_new_view(changes, order))
        return NewView(View(view), ReplicaId(by), changes, tuple(order), raw)

    # ------------------------------------------------------------ 5.2, 5.3

    def status(
        self,
        by: int,
        view: int = 0,
        active: bool = True,
        log_view: int | None = None,
        stable: int = 0,
        executed: int = 0,
        slots: bytes = b"",
        view_changes: Sequence[ReplicaId] = (),
        suspects: bool = False,
    ) -> bytes:
        log_view = view if log_view is None else log_view
        body = encode_status(
            self.cluster.fingerprint(),
            active,
            View(log_view),
            SeqNum(executed),
            view_changes,
            slots,
            suspects,
        )
        return self.sealed(by, MessageType.STATUS, view, stable, body)

    def query_view(self, by: int, view: int = 0, nonce: bytes = b"?" * 16) -> bytes:
        return self.sealed(by, MessageType.QUERY_VIEW, view, 0, nonce)

    def tell_view(self, by: int, view: int = 0, stable: int = 0, nonce: bytes = b"n" * 16) -> bytes:
        return self.sealed(by, MessageType.TELL_VIEW, view, stable, nonce)

    def decided(self, by: int, seq: int, digest: bytes) -> bytes:
        return self.sealed(by, MessageType.DECIDED, 0, seq, digest)

    def fetch_batch(self, digest: bytes, by: int) -> bytes:
        return self.sealed(by, MessageType.FETCH_BATCH, 0, 0, digest)

    def batch_body(self, by: int, *batch: Request) -> bytes:
        return self.sealed(by, MessageType.BATCH, 0, 0, encode_batch(Batch(batch)))

    def fetch_state(self, by: int, above: int = 0) -> bytes:
        return self.sealed(by, MessageType.FETCH_STATE, 0, above)

    def state_meta(self, state: Snapshot, by: int, proof: Sequence[Checkpoint] | None = None) -> bytes:
        proof = self.proof(state.seq, state.digest) if proof is None else proof
        body = encode_state_meta(proof, offer_of(state.service), offer_of(state.clients))
        return self.sealed(by, MessageType.STATE_META, 0, state.seq, body)

    def fetch_parts(self, seq: int, by: int, *addresses: Address) -> bytes:
        return self.sealed(by, MessageType.FETCH_PARTS, 0, seq, encode_addresses(addresses))

    def parts(self, state: Snapshot, by: int, *addresses: Address) -> bytes:
        """These parts of a state."""
        found = [part_of(state, address) for address in addresses]
        return self.state_parts(state.seq, by, *[part for part in found if part is not None])

    def state_parts(self, seq: int, by: int, *parts: Part) -> bytes:
        return self.sealed(by, MessageType.STATE_PARTS, 0, seq, encode_parts(parts))

    def whole_state(self, state: Snapshot, by: int) -> list[bytes]:
        """All of it, group by group, page by page."""
        groups = [Address(PartKind.GROUP, store, 0) for store in (0, 1)]
        pages = [
            Address(PartKind.PAGE, store, number)
            for store, image in enumerate((state.service, state.clients))
            for number in range(len(image.pages))
        ]
        return [self.parts(state, by, address) for address in groups + pages]

    def fragment(self, by: int, data: bytes, index: int = 0, count: int = 1, digest: bytes = b"") -> bytes:
        whole = Digest(digest) or digest_of(b"message", data)
        return self.sealed(
            by, MessageType.FRAGMENT, count, index, encode_fragment_head(self.to, whole) + data
        )


def wire(message: bytes | Request | PrePrepare | Prepare | Checkpoint | ViewChange | NewView) -> bytes:
    """The message as it travels."""
    if isinstance(message, bytes):
        return message
    if isinstance(message, PrePrepare):
        return message.raw if message.batch is None else message.raw + encode_batch(message.batch)
    return message.raw
