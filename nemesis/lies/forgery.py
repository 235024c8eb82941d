"""Certificates, VIEW-CHANGEs and NEW-VIEWs as liars can make them.

A liar signs for itself and for those who lie with it. For everybody else it can only write their name over
its own signature, or over garbage; whoever checks signatures must see that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nemesis.lies.signer import Signer
from pbft_node.core.authentication import SIGNATURE_BYTES
from pbft_node.core.certificates import new_order
from pbft_node.core.codec import encode_batch, encode_new_view, encode_view_change
from pbft_node.core.digests import NULL_DIGEST, digest_of
from pbft_node.core.frames import SIGNED, MessageType, header_and_body
from pbft_node.core.messages import (
    NULL_BATCH,
    Checkpoint,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    ViewChange,
)
from pbft_node.core.types import Digest, ReplicaId, SeqNum, View

OWN, GARBAGE = "own", "garbage"
"""What stands where another's signature belongs."""


@dataclass(frozen=True, slots=True)
class Forger:
    """One liar at work, with those who lie with it."""

    me: Signer
    signers: Mapping[int, Signer]

    def vote(
        self, name: int, type_: MessageType, view: int, seq: int, digest: bytes, instead: str = OWN
    ) -> bytes:
        """A signed frame in anybody's name."""
        signer = self.signers.get(name)
        if signer is not None:
            return signer.seal.signed(type_, view, seq, digest)
        if instead == OWN:
            return self.me.posing_as(name).seal.signed(type_, view, seq, digest)
        content = header_and_body(type_, SIGNED, 0, name, view, seq, digest)
        garbage = digest_of(b"garbage", content) + digest_of(b"more garbage", content)
        return content + garbage[:SIGNATURE_BYTES]

    def proposal(self, name: int, view: int, seq: int, digest: bytes, instead: str = OWN) -> PrePrepare:
        """A PRE-PREPARE without its batch."""
        raw = self.vote(name, MessageType.PRE_PREPARE, view, seq, digest, instead)
        return PrePrepare(View(view), SeqNum(seq), Digest(digest), ReplicaId(name), raw)

    def null_proposal(self, view: int, seq: int) -> bytes:
        """A PRE-PREPARE with its batch, which is empty."""
        return self.proposal(self.me.principal, view, seq, NULL_DIGEST).raw + encode_batch(NULL_BATCH)

    def prepare(self, name: int, view: int, seq: int, digest: bytes, instead: str = OWN) -> Prepare:
        """A PREPARE."""
        raw = self.vote(name, MessageType.PREPARE, view, seq, digest, instead)
        return Prepare(View(view), SeqNum(seq), Digest(digest), ReplicaId(name), raw)

    def checkpoint(self, name: int, seq: int, digest: bytes) -> Checkpoint:
        """A CHECKPOINT."""
        raw = self.vote(name, MessageType.CHECKPOINT, 0, seq, digest)
        return Checkpoint(SeqNum(seq), Digest(digest), ReplicaId(name), raw)

    def certificate(
        self,
        view: int,
        seq: int,
        digest: bytes,
        instead: str = OWN,
        *,
        proposer: int | None = None,
        voters: Sequence[int] | None = None,
    ) -> PreparedCertificate:
        """A certificate of the right shape, unless ``proposer`` and ``voters`` say otherwise. The liars come
        first among its voters: their votes are genuine."""
        cluster = self.me.cluster
        primary = cluster.primary(View(view))
        if voters is None:
            backups = [replica for replica in range(cluster.n) if replica != primary]
            backups.sort(key=lambda replica: (replica not in self.signers, replica))
            voters = sorted(backups[: cluster.quorum - 1])
        votes = {voter: self.prepare(voter, view, seq, digest, instead) for voter in dict.fromkeys(voters)}
        return PreparedCertificate(
            self.proposal(primary if proposer is None else proposer, view, seq, digest, instead),
            tuple(votes[voter] for voter in voters),
        )

    def view_change(
        self,
        view: int,
        stable: int,
        proof: Sequence[Checkpoint],
        prepared: Sequence[PreparedCertificate],
        name: int | None = None,
    ) -> ViewChange:
        """In its own name, or as another's."""
        body = encode_view_change(proof, prepared)
        who = self.me.principal if name is None else name
        raw = self.vote(who, MessageType.VIEW_CHANGE, view, stable, body)
        return ViewChange(View(view), ReplicaId(who), SeqNum(stable), tuple(proof), tuple(prepared), raw)

    def altered(self, change: ViewChange, prepared: Sequence[PreparedCertificate]) -> ViewChange:
        """The same with another P, signed by whoever says it."""
        return self.view_change(
            change.view, change.stable, change.checkpoint_proof, prepared, int(change.replica)
        )

    def new_view(
        self, view: int, changes: Sequence[ViewChange], order: Sequence[tuple[int, bytes]] | None = None
    ) -> NewView:
        """In its own name; O follows from V unless it is given."""
        chosen = new_order(changes) if order is None else order
        proposals = tuple(self.proposal(self.me.principal, view, seq, digest) for seq, digest in chosen)
        body = encode_new_view(changes, proposals)
        raw = self.me.seal.signed(MessageType.NEW_VIEW, view, 0, body)
        return NewView(View(view), ReplicaId(self.me.principal), tuple(changes), proposals, raw)
