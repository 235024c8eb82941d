"""Lies in NEW-VIEWs: each strategy on the wire, the votes that go with it, what a correct replica says."""

from __future__ import annotations

import re

import pytest
from certified import assert_nobody_elses_signature_was_made, certificate, digest, new_view, view_change
from stage import Stage

from nemesis.lies.new_view_lie import NewViewLie
from nemesis.packets.packet import Packet
from pbft_node.core.certificates import new_order, new_view_problem
from pbft_node.core.digests import NULL_DIGEST
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import NULL_BATCH, Commit, Message, NewView, Prepare, PrePrepare, ViewChange

LIAR, VIEW, STABLE = 1, 5, 4
A, B = digest("a"), digest("b")
REFUSED = {
    "too-few": "2 VIEW-CHANGEs where 3 prove",
    "duplicated": "not of distinct replicas",
    "other-view": "a VIEW-CHANGE to view 4",
    "dropped": "O is not what follows",
    "replaced": "O is not what follows",
    "nulled": "O is not what follows",
    "missing": "O is not what follows",
    "extra": "O is not what follows",
    "permuted": "O is not what follows",
}
OTHERS = ("two-valid", "withheld", "to-few", "not-owned", "replayed")


def stage_of(strategy: str, n: int = 4, liars: tuple[int, ...] = (LIAR,)) -> Stage:
    stage = Stage(n=n, liars=liars, checkpoint_interval=4, window=8)
    stage.rule(action="lie-new-view", replicas=list(liars), strategy=strategy)
    return stage


def changes(stage: Stage, view: int = VIEW) -> list[ViewChange]:
    """Of all: 5 is prepared at the liar and the one after it, 7 at the liar alone, 6 nowhere."""
    both = [certificate(stage, 5, A, 3)]
    more = [*both, certificate(stage, 7, B, 4)]
    prepared = {LIAR: more, LIAR + 1: both}
    return [view_change(stage, one, view, prepared.get(one, ()), STABLE) for one in range(stage.cluster.n)]


def true_new_view(stage: Stage) -> NewView:
    """V: of the first quorum."""
    return new_view(stage, VIEW, changes(stage)[: stage.cluster.quorum])


def tell(stage: Stage) -> dict[str, list[Packet]]:
    """All VIEW-CHANGEs were said to the liar, then its NEW-VIEW is."""
    for change in changes(stage):
        if change.replica not in stage.scene.signers:
            stage.send(int(change.replica), f"r{LIAR}", change.raw)
    return stage.to_all(LIAR, true_new_view(stage).raw)


def split(stage: Stage, packets: list[Packet]) -> tuple[NewView, list[Message]]:
    """The NEW-VIEW, and what came with it."""
    first, *rest = stage.read(packets)
    assert isinstance(first, NewView)
    return first, rest


def test_every_strategy_is_tried_here() -> None:
    assert set(NewViewLie.strategies) == {*REFUSED, *OTHERS}


@pytest.mark.parametrize("strategy", REFUSED)
def test_a_correct_replica_refuses_it_and_the_liar_votes_for_it(strategy: str) -> None:
    stage = stage_of(strategy)
    true = true_new_view(stage)
    assert new_view_problem(stage.cluster, stage.seals[0], true) is None
    told = tell(stage)
    assert sorted(told) == ["r0", "r2", "r3"]
    for packets in told.values():
        said, votes = split(stage, packets)
        problem = new_view_problem(stage.cluster, stage.seals[0], said)
        assert problem is not None
        assert re.search(REFUSED[strategy], problem), problem
        assert_nobody_elses_signature_was_made(stage, said, [true, *changes(stage)], [LIAR])
        assert all(stage.seals[0].verify_raw(LIAR, one.raw) for one in said.pre_prepares)
        assert all(isinstance(vote, Commit) and vote.replica == LIAR for vote in votes)
        assert [(vote.seq, vote.digest) for vote in votes if isinstance(vote, Commit)] == [
            (one.seq, one.digest) for one in said.pre_prepares
        ], "it votes for exactly what it said"
    assert len({split(stage, packets)[0].raw for packets in told.values()}) == 1, "the same lie to all"


@pytest.mark.parametrize(
    ("strategy", "order"),
    [
        ("dropped", [(5, A), (6, NULL_DIGEST)]),
        ("nulled", [(5, NULL_DIGEST), (6, NULL_DIGEST), (7, NULL_DIGEST)]),
        ("missing", [(5, A), (7, B)]),
        ("permuted", [(5, B), (6, NULL_DIGEST), (7, A)]),
        ("extra", [(5, A), (6, NULL_DIGEST), (7, B), (8, NULL_DIGEST)]),
    ],
)
def test_what_o_says(strategy: str, order: list[tuple[int, bytes]]) -> None:
    stage = stage_of(strategy)
    said, _ = split(stage, tell(stage)["r0"])
    assert [(one.seq, one.digest) for one in said.pre_prepares] == order


def test_replaced_takes_the_batch_of_another_number_where_it_knows_one() -> None:
    stage = stage_of("replaced")
    batch = stage.batch()
    stage.propose(batch, view=0, seq=2)
    said, _ = split(stage, tell(stage)["r0"])
    assert (said.pre_prepares[-1].seq, said.pre_prepares[-1].digest) == (7, batch.digest)


def test_what_its_process_says_of_a_number_later_agrees_with_what_was_told() -> None:
    stage = stage_of("nulled")
    tell(stage)
    truth = stage.vote(LIAR, MessageType.COMMIT, A, VIEW, 5)
    for packets in truth.values():
        (vote,) = stage.read(packets)
        assert isinstance(vote, Commit)
        assert (vote.view, vote.seq, vote.digest) == (VIEW, 5, NULL_DIGEST)
    (same,) = stage.vote(LIAR, MessageType.COMMIT, NULL_DIGEST, VIEW, 6)["r0"]
    assert stage.read([same])
    (later,) = stage.read(stage.vote(LIAR, MessageType.COMMIT, A, VIEW, 9)["r0"])
    assert isinstance(later, Commit)
    assert later.digest == A, "it was told nothing about 9"
    again = stage.seals[LIAR].signed(MessageType.PRE_PREPARE, VIEW, 5, A)
    (proposal,) = stage.read(stage.send(LIAR, "r0", again))
    assert isinstance(proposal, PrePrepare)
    assert proposal.digest == NULL_DIGEST


def test_a_number_that_was_dropped_is_not_spoken_of() -> None:
    stage = stage_of("dropped")
    tell(stage)
    assert stage.vote(LIAR, MessageType.COMMIT, B, VIEW, 7) == {"r0": [], "r2": [], "r3": []}


def test_two_valid_new_views_for_two_halves_and_votes_for_both() -> None:
    stage = stage_of("two-valid", n=7, liars=(1, 5))
    true = new_view(stage, 8, changes(stage, 8)[:5])
    for change in changes(stage, 8):
        if change.replica not in (1, 5):
            stage.send(int(change.replica), "r1", change.raw)
    for liar in (1, 5):
        stage.send(liar, "r0", changes(stage, 8)[liar].raw)
    told = stage.to_all(1, true.raw)
    assert told["r5"][0].data == true.raw, "among liars the truth is told"
    for target in ("r0", "r2", "r3"):
        assert [one.data for one in told[target]] == [true.raw]
    other, votes = split(stage, told["r6"])
    assert other.raw != true.raw
    assert new_view_problem(stage.cluster, stage.seals[0], other) is None
    assert [(one.seq, one.digest) for one in true.pre_prepares] == [(5, A), (6, NULL_DIGEST), (7, B)]
    assert [(one.seq, one.digest) for one in other.pre_prepares] == new_order(other.view_changes)
    assert new_order(other.view_changes) != new_order(true.view_changes)
    assert not other.pre_prepares, "as if nothing had been prepared"
    filled = [one for one in votes if isinstance(one, PrePrepare)]
    assert [(one.seq, one.digest, one.batch) for one in filled] == [
        (n, NULL_DIGEST, NULL_BATCH) for n in (5, 6, 7)
    ]
    rest = [vote for vote in votes if isinstance(vote, Prepare | Commit)]
    assert [(type(vote).__name__, vote.seq, vote.replica) for vote in rest] == [
        (kind, seq, who) for seq in (5, 6, 7) for kind, who in (("Commit", 1), ("Prepare", 5), ("Commit", 5))
    ]
    assert len(votes) == len(filled) + len(rest)
    assert_nobody_elses_signature_was_made(stage, other, [true, *changes(stage, 8)], [1, 5])


def test_nobody_of_the_liars_contradicts_what_was_told() -> None:
    stage = stage_of("nulled", n=7, liars=(5, 6))
    true = new_view(stage, 5, changes(stage, 5)[:5])
    told = [one.data for one in stage.send(5, "r0", true.raw)]
    assert [one.data for one in stage.send(6, "r0", true.raw)] == told, "passed on by its colluder"
    assert stage.send(6, "r5", true.raw)[0].data == true.raw
    assert stage.vote(6, MessageType.DECIDED, A, 0, 5)["r0"] == []
    assert len(stage.vote(6, MessageType.DECIDED, NULL_DIGEST, 0, 5)["r0"]) == 1
    assert len(stage.vote(6, MessageType.DECIDED, A, 0, 9)["r0"]) == 1, "it was told nothing about 9"
    assert len(stage.vote(4, MessageType.DECIDED, A, 0, 5)["r0"]) == 1, "another's word"


def test_colluders_vote_with_the_receiver_for_what_it_was_told() -> None:
    stage = stage_of("nulled", n=7, liars=(5, 6))
    true = new_view(stage, 5, changes(stage, 5)[:5])
    _, votes = split(stage, stage.send(5, "r0", true.raw))
    seen = [(type(vote).__name__, vote.replica, vote.seq) for vote in votes if not isinstance(vote, NewView)]  # type: ignore[union-attr]
    assert seen == [
        (kind, who, seq) for seq in (5, 6, 7) for kind, who in (("Commit", 5), ("Prepare", 6), ("Commit", 6))
    ]
    (vote,) = stage.read(stage.vote(6, MessageType.COMMIT, A, 5, 5)["r0"])
    assert isinstance(vote, Commit)
    assert vote.digest == NULL_DIGEST, "the colluder's process is made to agree, too"


def test_withheld_and_to_few() -> None:
    stage = stage_of("withheld")
    for packets in tell(stage).values():
        (packet,) = packets
        assert packet.data == true_new_view(stage).raw
        assert packet.delay_ns == stage.cluster.view_change_timeout_ns * 9 // 10
    few = tell(stage_of("to-few"))
    assert {target: len(packets) for target, packets in few.items()} == {"r0": 1, "r2": 1, "r3": 0}


def test_a_new_view_for_a_view_it_does_not_own() -> None:
    stage = stage_of("not-owned")
    change = view_change(stage, LIAR, 6, [certificate(stage, 5, A, 3)], STABLE)
    own, said = stage.read(stage.send(LIAR, "r0", change.raw))
    assert isinstance(own, ViewChange)
    assert own.raw == change.raw
    assert isinstance(said, NewView)
    assert (said.view, said.primary) == (6, LIAR)
    assert "not the primary of view 6" in str(new_view_problem(stage.cluster, stage.seals[0], said))
    assert_nobody_elses_signature_was_made(stage, said, [change], [LIAR])


def test_old_new_views_are_replayed() -> None:
    stage = stage_of("replayed")
    old = new_view(stage, 2, changes(stage, 2)[1:])
    stage.send(2, "r1", old.raw)
    change = changes(stage)[LIAR]
    _, said = stage.read(stage.send(LIAR, "r0", change.raw))
    assert isinstance(said, NewView)
    assert said.raw == old.raw


def test_a_new_view_of_many_pieces_is_lied_about_whole() -> None:
    stage = Stage(liars=(LIAR,), checkpoint_interval=128, window=256)
    stage.rule(action="lie-new-view", replicas=[LIAR], strategy="dropped")
    prepared = [certificate(stage, seq, digest(f"{seq}")) for seq in range(1, 120)]
    true = new_view(stage, 1, [view_change(stage, one, 1, prepared) for one in range(3)])
    packets = stage.send(LIAR, "r0", true.raw)
    assert len(true.raw) > 120_000
    said, votes = split(stage, packets)
    assert [one.digest for one in said.pre_prepares] == [one.digest for one in true.pre_prepares[:-1]]
    assert len(votes) == 118


def test_a_new_view_of_another_is_none_of_its_business() -> None:
    stage = stage_of("nulled")
    other = new_view(stage, 6, [view_change(stage, one, 6) for one in range(3)])
    assert stage.send(2, "r0", other.raw)[0].data == other.raw
    assert stage.send(LIAR, "r0", other.raw)[0].data == other.raw
    assert stage.engine.report("lie-1")["matched"] == 0
