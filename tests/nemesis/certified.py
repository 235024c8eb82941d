"""Certificates, VIEW-CHANGEs and NEW-VIEWs as correct replicas of a stage make them; and who signed what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stage import Stage

from nemesis.packets.packet import Packet
from pbft_node.core.certificates import new_order
from pbft_node.core.codec import encode_new_view, encode_view_change
from pbft_node.core.digests import digest_of
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import (
    Checkpoint,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    ViewChange,
)
from pbft_node.core.types import Digest, ReplicaId, SeqNum, View


def digest(name: str) -> Digest:
    return digest_of(b"test", name.encode())


def certificate(stage: Stage, seq: int, of: Digest, view: int = 0) -> PreparedCertificate:
    """The primary's proposal and the votes of the first backups."""
    cluster = stage.cluster
    primary = cluster.primary(View(view))
    backups = [replica for replica in range(cluster.n) if replica != primary][: cluster.quorum - 1]

    def signed(replica: int, kind: MessageType) -> bytes:
        return stage.seals[replica].signed(kind, view, seq, of)

    proposal = PrePrepare(View(view), SeqNum(seq), of, primary, signed(primary, MessageType.PRE_PREPARE))
    votes = [
        Prepare(View(view), SeqNum(seq), of, ReplicaId(one), signed(one, MessageType.PREPARE))
        for one in backups
    ]
    return PreparedCertificate(proposal, tuple(votes))


def checkpoints(stage: Stage, seq: int) -> tuple[Checkpoint, ...]:
    """A quorum's."""
    if not seq:
        return ()
    of = digest(f"state {seq}")
    return tuple(
        Checkpoint(
            SeqNum(seq),
            of,
            ReplicaId(one),
            stage.seals[one].signed(MessageType.CHECKPOINT, 0, seq, of),
        )
        for one in range(stage.cluster.quorum)
    )


def view_change(
    stage: Stage, replica: int, view: int, prepared: Sequence[PreparedCertificate] = (), stable: int = 0
) -> ViewChange:
    proof = checkpoints(stage, stable)
    body = encode_view_change(proof, prepared)
    raw = stage.seals[replica].signed(MessageType.VIEW_CHANGE, view, stable, body)
    return ViewChange(View(view), ReplicaId(replica), SeqNum(stable), proof, tuple(prepared), raw)


def new_view(stage: Stage, view: int, changes: Sequence[ViewChange]) -> NewView:
    """By its primary."""
    primary = stage.cluster.primary(View(view))
    seal = stage.seals[primary]
    order = tuple(
        PrePrepare(View(view), seq, of, primary, seal.signed(MessageType.PRE_PREPARE, view, seq, of))
        for seq, of in new_order(changes)
    )
    raw = seal.signed(MessageType.NEW_VIEW, view, 0, encode_new_view(changes, order))
    return NewView(View(view), primary, tuple(changes), order, raw)


def parts(message: ViewChange | NewView) -> Iterator[tuple[int, bytes]]:
    """Everything signed inside, and the name on it."""
    yield (message.primary if isinstance(message, NewView) else message.replica), message.raw
    if isinstance(message, NewView):
        for change in message.view_changes:
            yield from parts(change)
        for proposal in message.pre_prepares:
            yield proposal.primary, proposal.raw
        return
    for checkpoint in message.checkpoint_proof:
        yield checkpoint.replica, checkpoint.raw
    for one in message.prepared:
        yield one.pre_prepare.primary, one.pre_prepare.raw
        for vote in one.prepares:
            yield vote.replica, vote.raw


def assert_nobody_elses_signature_was_made(
    stage: Stage, said: ViewChange | NewView, known: Sequence[ViewChange | NewView], liars: Sequence[int]
) -> None:
    """What verifies is a liar's, or was there before."""
    before = {raw for message in known for _, raw in parts(message)}
    checker = stage.seals[-1]
    for name, raw in parts(said):
        if name not in liars and name < stage.cluster.n:
            assert raw in before or not checker.verify_raw(name, raw)


def received(stage: Stage, packets: Sequence[Packet]) -> list[bytes]:
    """The frames, in the order in which they left."""
    return [message.raw for message in stage.read(packets) if hasattr(message, "raw")]
