"""Equivocation on the wire: who is told what, and that later words agree with it."""

from __future__ import annotations

import pytest
from stage import FIRST_CLIENT, Stage

from nemesis.lies.alternatives import OTHERS, versions
from nemesis.packets.packet import CLIENTS
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import (
    NULL_BATCH,
    Batch,
    Checkpoint,
    Commit,
    Prepare,
    PrePrepare,
    Reply,
)
from pbft_node.core.types import Digest

RULE = {"action": "equivocate", "strategy": "proposals", "match": {}}
RECEIVERS = ("r1", "r2", "r3")


def proposals(stage: Stage, batch: Batch, seq: int = 1) -> dict[str, PrePrepare]:
    """By receiver; every one is authentic and has the batch its digest says."""
    out = {}
    for target, packets in stage.propose(batch, seq=seq).items():
        (message,) = (one for one in stage.read(packets) if isinstance(one, PrePrepare))
        assert message.batch is not None
        assert message.batch.digest == message.digest
        out[target] = message
    return out


@pytest.mark.parametrize(("split", "sizes"), [("half", [1, 2]), ("one", [1, 2]), ("each", [1, 1, 1])])
def test_halves_are_told_different_batches_of_real_requests(split: str, sizes: list[int]) -> None:
    stage = Stage()
    stage.rule(**RULE, replicas=[0], split=split)
    batch = stage.batch()
    told = proposals(stage, batch)
    digests = [told[target].digest for target in RECEIVERS]
    assert sorted(digests.count(digest) for digest in set(digests)) == sizes
    assert batch.digest in digests
    real = {request.raw for request in batch.requests}
    for message in told.values():
        assert message.batch is not None
        assert {request.raw for request in message.batch.requests} <= real
    assert stage.scene.told.split(0, 1)
    assert [stage.scene.told.told(0, 1, target).digest for target in RECEIVERS] == digests  # type: ignore[union-attr]


def test_coherent_votes_agree_with_what_the_receiver_was_told_and_incoherent_ones_do_not() -> None:
    for coherent in (True, False):
        stage = Stage()
        stage.rule(**RULE, replicas=[0], coherent=coherent)
        batch = stage.batch()
        told = proposals(stage, batch)
        for target, packets in stage.vote(0, MessageType.COMMIT, batch.digest).items():
            (vote,) = stage.read(packets)
            assert isinstance(vote, Commit)
            assert vote.digest == (told[target].digest if coherent else batch.digest)
        for target, packets in stage.vote(0, MessageType.DECIDED, batch.digest).items():
            (word,) = stage.read(packets)
            assert word.digest == (told[target].digest if coherent else batch.digest)  # type: ignore[union-attr]
        again = proposals(stage, batch)
        assert (again == told) is coherent, "sent again, it is the same proposal"


def test_eager_colluders_vote_at_once_for_each_half_what_it_was_told() -> None:
    stage = Stage(n=7, liars=(0, 3))
    stage.rule(**RULE, replicas=[0, 3], eager=True)
    batch = stage.batch()
    digests, votes = {}, []
    for packets in stage.propose(batch).values():
        for packet, message in zip(packets, stage.read(packets), strict=True):
            if isinstance(message, PrePrepare):
                digests[packet.target] = message.digest
            else:
                assert isinstance(message, Prepare | Commit)
                votes.append((packet.source, packet.target, type(message).__name__, message.digest))
                assert packet.source == f"r{message.replica}"
    honest = ["r1", "r2", "r4", "r5", "r6"]
    assert len({digests[target] for target in honest}) == 2
    assert sorted(votes) == sorted(
        [("r3", target, "Prepare", digests[target]) for target in honest]
        + [(liar, target, "Commit", digests[target]) for target in honest for liar in ("r0", "r3")]
    )
    for target, packets in stage.vote(3, MessageType.PREPARE, digests["r3"]).items():
        (vote,) = stage.read(packets)
        assert isinstance(vote, Prepare)
        if target in honest:
            assert vote.digest == digests[target], "also when its process votes, later"


def test_a_backups_votes_are_split_and_stay_so() -> None:
    stage = Stage(liars=(1,))
    stage.rule(action="equivocate", strategy="votes", replicas=[1])
    batch = stage.batch()
    stage.propose(batch)
    prepares = {t: stage.read(p)[0] for t, p in stage.vote(1, MessageType.PREPARE, batch.digest).items()}
    commits = {t: stage.read(p)[0] for t, p in stage.vote(1, MessageType.COMMIT, batch.digest).items()}
    digests = {target: vote.digest for target, vote in prepares.items()}  # type: ignore[union-attr]
    assert len(set(digests.values())) == 2
    assert {target: vote.digest for target, vote in commits.items()} == digests  # type: ignore[union-attr]


def test_who_dethrones_votes_for_no_honest_primary() -> None:
    stage = Stage(liars=(1,))
    stage.rule(**RULE, replicas=[1], dethrone=True)
    digest = Digest(b"d" * 32)
    for kind in (MessageType.PREPARE, MessageType.COMMIT):
        assert not any(stage.vote(1, kind, digest).values())
        assert all(stage.vote(1, kind, digest, view=1).values())


def test_checkpoints_to_halves_and_echoes() -> None:
    digest, own = Digest(b"d" * 32), Digest(b"o" * 32)
    stage = Stage(liars=(1,))
    stage.rule(action="equivocate", strategy="checkpoints", replicas=[1])
    said = [stage.read(p)[0] for p in stage.vote(1, MessageType.CHECKPOINT, digest, seq=128).values()]
    assert len({one.digest for one in said}) == 2  # type: ignore[union-attr]
    echo = Stage()
    echo.rule(**RULE, replicas=[0], eager=True)
    heard = echo.vote(2, MessageType.CHECKPOINT, own, seq=128)["r0"]
    assert [(p.source, p.target) for p in heard] == [("r2", "r0"), ("r0", "r2")]
    answer = echo.read(heard)[1]
    assert isinstance(answer, Checkpoint)
    assert (answer.seq, answer.digest, answer.replica) == (128, own, 0)
    assert echo.read(echo.vote(0, MessageType.CHECKPOINT, digest, seq=128)["r2"])[0].digest == own  # type: ignore[union-attr]


def test_some_clients_are_told_another_result() -> None:
    stage = Stage()
    stage.rule(action="equivocate", strategy="replies", replicas=[0])
    results = []
    for client in (0, 1):
        data = stage.seals[0].reply(FIRST_CLIENT + client, 0, 1, b"result")  # type: ignore[arg-type]
        (packet,) = stage.send(0, CLIENTS, data)
        from pbft_node.core.codec import decode

        message, frame = decode(packet.data)
        assert isinstance(message, Reply)
        assert stage.client(client).authentic(frame)
        results.append(message.result)
    assert results[0] == b"result"
    assert results[1] != b"result"


@pytest.mark.parametrize("how", OTHERS)
def test_other_batches_differ_and_hold_signed_requests_only(how: str) -> None:
    stage = Stage()
    seen = [stage.request(timestamp=t) for t in range(1, 4)]
    for batch in (stage.batch(), Batch((stage.request(2),), 5), NULL_BATCH):
        made = versions(batch, how, seen, 2)
        assert made[0] == batch
        known = {request.raw for request in (*batch.requests, *seen)}
        assert {request.raw for request in made[1].requests} <= known
        assert made[1].digest != batch.digest or batch == NULL_BATCH
    assert len({one.digest for one in versions(stage.batch(), how, seen, 7)}) == 7
