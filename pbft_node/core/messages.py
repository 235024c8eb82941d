"""The messages of PBFT, in the paper's notation.

``raw`` is the authenticated frame as it travels, kept where a message is later shown to others
(certificates) or sent again byte for byte. A message from ``codec.decode`` is well formed, nothing more:
``seal`` says who sent it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from .digests import batch_digest
from .types import ClientId, Digest, ReplicaId, SeqNum, Timestamp, View


@dataclass(frozen=True, slots=True)
class Request:
    """<REQUEST, o, t, c>: section 4.1."""

    client: ClientId
    timestamp: Timestamp
    operation: bytes
    raw: bytes
    digest: Digest = field(repr=False)
    """SHA-256 over the signed frame."""
    replier: ReplicaId | None = None
    """Who sends the whole result; everybody when None (section 5.1)."""
    read_only: bool = False
    """Not to be ordered (section 5.1)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one sequence number orders; without requests (and at time 0) it is the null request.

    ``time_ns``: wall-clock time as its primary chose it, the non-deterministic value of section 4.6. It is
    part of the digest, so that all replicas execute with the same one.
    """

    requests: tuple[Request, ...] = ()
    time_ns: int = 0

    @property
    def digest(self) -> Digest:
        """d: order and content of its requests, and its time."""
        return batch_digest(self.time_ns, [request.digest for request in self.requests])


NULL_BATCH = Batch()


@dataclass(frozen=True, slots=True)
class PrePrepare:
    """<<PRE-PREPARE, v, n, d>, m>: section 4.2. ``batch`` is None inside certificates and NEW-VIEW."""

    view: View
    seq: SeqNum
    digest: Digest
    primary: ReplicaId
    raw: bytes = field(repr=False)
    batch: Batch | None = None


@dataclass(frozen=True, slots=True)
class Prepare:
    """<PREPARE, v, n, d, i>: section 4.2."""

    view: View
    seq: SeqNum
    digest: Digest
    replica: ReplicaId
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Commit:
    """<COMMIT, v, n, d, i>: section 4.2."""

    view: View
    seq: SeqNum
    digest: Digest
    replica: ReplicaId


@dataclass(frozen=True, slots=True)
class Decided:
    """A replica's word that number n was decided as d; f+1 of them are as good as having seen it (not in
    the paper)."""

    seq: SeqNum
    digest: Digest
    replica: ReplicaId


@dataclass(frozen=True, slots=True)
class Reply:
    """<REPLY, v, t, c, i, r>: section 4.1; or the digest of r in its place, section 5.1."""

    view: View
    timestamp: Timestamp
    client: ClientId
    replica: ReplicaId
    result: bytes | None
    """None: only its digest was sent."""
    digest: Digest
    """Of the result."""
    raw: bytes = field(repr=False, default=b"")
    state: SeqNum | None = None
    """To a read-only request: the last number executed, when the operation was."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """<CHECKPOINT, n, d, i>: section 4.3."""

    seq: SeqNum
    digest: Digest
    replica: ReplicaId
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PreparedCertificate:
    """An element of P: a PRE-PREPARE without its batch and matching PREPAREs of distinct backups (section
    4.4)."""

    pre_prepare: PrePrepare
    prepares: tuple[Prepare, ...]


@dataclass(frozen=True, slots=True)
class ViewChange:
    """<VIEW-CHANGE, v+1, n, C, P, i>: section 4.4."""

    view: View
    """The view asked for, v+1."""
    replica: ReplicaId
    stable: SeqNum
    """n, the last stable checkpoint known to i."""
    checkpoint_proof: tuple[Checkpoint, ...]
    """C; empty when n = 0."""
    prepared: tuple[PreparedCertificate, ...]
    """P, by sequence number."""
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewView:
    """<NEW-VIEW, v+1, V, O>: section 4.4."""

    view: View
    primary: ReplicaId
    view_changes: tuple[ViewChange, ...]
    """V, by replica."""
    pre_prepares: tuple[PrePrepare, ...]
    """O, by sequence number, without batches."""
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Status:
    """What a replica has, so that others send what it lacks: the receiver-driven retransmission of section
    5.2."""

    replica: ReplicaId
    parameters: bytes
    """Its ``Cluster.fingerprint``."""
    view: View
    active: bool
    """In the view; False while it waits for the NEW-VIEW of ``view``."""
    log_view: View
    """The last view it was active in; its slots are of this view."""
    stable: SeqNum
    executed: SeqNum
    view_changes: tuple[ReplicaId, ...]
    """While not active: whose VIEW-CHANGE for ``view`` it has, ascending."""
    slots: bytes
    """A byte per sequence number from executed + 1: flags HAS_BATCH, IS_PREPARED, IS_COMMITTED."""
    suspects: bool = False
    """A vote: the primary of ``view``, where it is active, is too slow (see ``slow_primary``)."""


HAS_BATCH = 1
IS_PREPARED = 2
IS_COMMITTED = 4


@dataclass(frozen=True, slots=True)
class FetchBatch:
    """Ask for the batch of a digest (a NEW-VIEW names batches by digest only)."""

    replica: ReplicaId
    digest: Digest


@dataclass(frozen=True, slots=True)
class BatchBody:
    """The answer; worth what its digest says."""

    replica: ReplicaId
    batch: Batch


@dataclass(frozen=True, slots=True)
class FetchState:
    """Ask for a stable checkpoint above ``seq``: section 5.3."""

    replica: ReplicaId
    seq: SeqNum


@dataclass(frozen=True, slots=True)
class StoreOffer:
    """The top of a store's tree of digests."""

    pages: int
    group_digests: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class StateMeta:
    """A stable checkpoint on offer: its proof, and what its digest is made of."""

    replica: ReplicaId
    seq: SeqNum
    proof: tuple[Checkpoint, ...]
    service: StoreOffer
    clients: StoreOffer


class PartKind(IntEnum):
    """What of the tree of section 5.3."""

    GROUP = 1
    """The digests of a group's pages."""
    PAGE = 2
    """A page that is one piece."""
    PIECES = 3
    """The digests of a larger page's pieces: the answer to a question for that page."""
    PIECE = 4
    """A piece of a larger page."""


class Address(NamedTuple):
    """Where in a checkpoint a part is."""

    kind: PartKind
    store: int
    """SERVICE or CLIENTS."""
    number: int
    """Of the group, or the page."""
    piece: int = 0


SERVICE, CLIENTS = 0, 1


class Part(NamedTuple):
    """A part, worth what the digest above it says."""

    address: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class QueryView:
    """A replica whose log is lost asks how far the others are (see ``silence``)."""

    replica: ReplicaId
    view: View
    """The first view it may vote in, once it knows that and has the state; 0 before."""
    nonce: bytes
    """16 bytes, new in each life: an answer that shows it was given after the log was lost."""
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TellView:
    """The answer to QUERY-VIEW."""

    replica: ReplicaId
    view: View
    """The last view it asked for or entered."""
    stable: SeqNum
    nonce: bytes


@dataclass(frozen=True, slots=True)
class FetchParts:
    """Ask for parts of the checkpoint at ``seq``."""

    replica: ReplicaId
    seq: SeqNum
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class StateParts:
    """Parts of the checkpoint at ``seq``."""

    replica: ReplicaId
    seq: SeqNum
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of a message too large for a datagram."""

    sender: int
    receiver: int
    """Named in the body, so that clients behind one address can share it."""
    digest: Digest
    """Of the whole message."""
    index: int
    count: int
    data: bytes


Message = (
    Request
    | PrePrepare
    | Prepare
    | Commit
    | Decided
    | Reply
    | Checkpoint
    | ViewChange
    | NewView
    | Status
    | FetchBatch
    | BatchBody
    | FetchState
    | StateMeta
    | QueryView
    | TellView
    | FetchParts
    | StateParts
    | Fragment
)
